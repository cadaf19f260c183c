"""How a command ends: its exit codes, and the way from a failure to a message and a code.

Owns the codes of docs/cli.md, "Exit codes". Knows what can fail, not what any command does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from errno import EPIPE
from typing import Any, TypeVar

import click

T = TypeVar("T")


class Ended(click.ClickException):
    """Raised to end a command with a message on stderr: something is wrong."""

    exit_code = 1


class OutOfReach(Ended):
    """Raised when no gateway answers."""

    exit_code = 3


class CannotListen(Ended):
    """Raised when the gateway's port can't be had."""

    exit_code = 3


class NotLetIn(Ended):
    """Raised when the gateway refuses the secret."""

    exit_code = 4


class Stopped(Ended):
    """Raised when somebody else stopped the run."""

    exit_code = 5


class TimedOut(Ended):
    """Raised when it took too long."""

    exit_code = 124


class Interrupted(Ended):
    """Raised when Ctrl-C ended the command. The code is how a shell reports programs that a signal ends."""

    exit_code = 130

    def __init__(self, message: str = "Interrupted.") -> None:
        super().__init__(message)


class Terminated(Interrupted):
    """Raised when a signal ended the command that is about the whole process: SIGTERM."""

    exit_code = 143

    def __init__(self, message: str = "Terminated.") -> None:
        super().__init__(message)


class HungUp(Terminated):
    """Raised when the terminal has gone: SIGHUP."""

    exit_code = 129

    def __init__(self) -> None:
        super().__init__("The terminal has gone.")


def interrupted_by(number: int) -> Interrupted:
    """Return what ends a command that one of the signals ended."""
    kinds: dict[str, type[Interrupted]] = {"SIGTERM": Terminated, "SIGHUP": HungUp}
    return kinds.get(signal.Signals(number).name, Interrupted)()


@contextmanager
def endings() -> Iterator[None]:
    """Turn what fails inside the block into ``Ended``."""
    from app.client.failure import ClientError, RunStopped, Unauthorized, Unreachable
    from app.config import ConfigError

    try:
        yield
    except ConfigError as error:
        raise Ended(str(error)) from None
    except Unreachable as error:
        raise OutOfReach(str(error)) from None
    except Unauthorized as error:
        raise NotLetIn(str(error)) from None
    except RunStopped as error:
        raise Stopped(str(error)) from None
    except ClientError as error:
        raise Ended(str(error)) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end; Ctrl-C, SIGTERM and SIGHUP end it once it has cleaned up.

    Raises:
        Interrupted: If one of these signals came.
        Ended: If the work fails in another way that is foreseen.
    """
    from app.cli.interruption import Interruption

    with endings(), Interruption() as interruption:
        try:
            return interruption.run(work)
        except BaseException:
            if interruption.signal is None:
                raise
            raise interrupted_by(interruption.signal) from None  # whatever came of it: that was the reason


def concluded(command: Callable[[], Any]) -> int:
    """Call a command, say on stderr why it failed if it did, and return its exit code.

    Args:
        command: What click would call without its standalone mode.
    """
    from app.cli.output import discard, output_failed

    failure: click.ClickException
    stdout = sys.stdout
    try:
        return command() or 0
    except click.ClickException as error:
        failure = error
    except (click.Abort, KeyboardInterrupt, EOFError):  # Ctrl-C at a question, or before any work had begun
        failure = Interrupted()
    except SystemExit:
        if sys.stdout is stdout:
            raise
        # Nobody reads a help text: click has put something else in stdout's place, and ends with a code of its own.
        sys.stdout = stdout
        failure = output_failed(BrokenPipeError(EPIPE, "nobody reads"))
    except OSError as error:
        if error.filename is not None:
            raise
        failure = output_failed(error)  # of click's own output: a help text, say
    try:
        failure.show()
    except (OSError, KeyboardInterrupt):  # nobody listens any more, but the code is still worth something
        discard(sys.stderr)
    return failure.exit_code
