"""How a command ends: its exit codes, and the way from a failure to a message and a code.

Owns the codes of docs/cli.md, "Exit codes". Knows what can fail, not what any command does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from app.config import ConfigError

T = TypeVar("T")


class Ended(click.ClickException):
    """Raised to end a command with a message on stderr: something is wrong."""

    exit_code = 1


class OutOfReach(Ended):
    """Raised when no gateway answers."""

    exit_code = 3


class NotLetIn(Ended):
    """Raised when the gateway refuses the secret."""

    exit_code = 4


class TimedOut(Ended):
    """Raised when it took too long."""

    exit_code = 124


class Interrupted(Ended):
    """Raised when somebody pressed Ctrl-C."""

    exit_code = 130


@contextmanager
def endings() -> Iterator[None]:
    """Turn what fails inside the block into ``Ended``."""
    from app.client.failure import ClientError, Unauthorized, Unreachable

    try:
        yield
    except ConfigError as error:
        raise Ended(str(error)) from None
    except ClientError as error:
        kind = OutOfReach if isinstance(error, Unreachable) else Ended
        raise (NotLetIn if isinstance(error, Unauthorized) else kind)(str(error)) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end; Ctrl-C ends it with 130, once it has cleaned up.

    Raises:
        Ended: If it fails in a way that is foreseen.
    """
    with endings():
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.") from None
