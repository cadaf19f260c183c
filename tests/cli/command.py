"""The ``zero`` command as a process of its own: run to its end, or driven through a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.live_gateway import LiveGateway

ZERO: Final = Path(sys.executable).with_name("zero")
SECONDS: Final = 20.0

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
# A process gets its terminal's signals only if the terminal is its session's own.
IN_TERMINAL: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def environ(home: Path, **more: str) -> dict[str, str]:
    """Return an environment whose HOME is empty and which knows nothing of this machine's gateways."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZERO_") and name != "NO_COLOR"}
    return {**kept, "HOME": str(home), **more}


def zero(home: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [ZERO, *arguments],
        env=environ(home, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def beside(gateway: LiveGateway, **more: str) -> dict[str, str]:
    """Return the environment of a command that shares configuration, state and port with a gateway."""
    return environ(
        gateway.folder,
        **{
            "ZERO_CONFIG_PATH": str(gateway.config_file),
            "ZERO_STATE_DIR": str(gateway.folder / "state"),
            "ZERO_GATEWAY_PORT": str(gateway.port),
            **more,
        },
    )


def ask(gateway: LiveGateway, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside a gateway to its end."""
    return subprocess.run(
        [ZERO, *arguments],
        env=beside(gateway, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def begun(gateway: LiveGateway, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    """Start a command beside a gateway, its output in pipes."""
    return subprocess.Popen(
        [ZERO, *arguments],
        env=beside(gateway, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def read_until(process: subprocess.Popen[bytes], expected: bytes) -> bytes:
    """Read a process's output until it ends in ``expected``, without waiting for more."""
    assert process.stdout is not None
    return _read(process.stdout.fileno(), lambda got: got.endswith(expected), repr(expected))


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"


def group(leader: int) -> list[int]:
    """Return the processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if int(fields[2]) == leader:
            found.append(int(folder.name))
    return found


def _read(descriptor: int, enough: Any, what: str) -> bytes:
    got = b""
    deadline = time.monotonic() + SECONDS
    while not enough(got):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"{what} did not come; what came: {got!r}"
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # a terminal whose other end has gone
            more = b""
        assert more, f"the output ended before {what}; what came: {got!r}"
        got += more
    return got


class Terminal:
    """A command in a pseudo-terminal. Use it as a context manager.

    Args:
        gateway: Whose configuration and port the command uses.
        arguments: The command.
        program: What is started instead of ``zero``, if anything.
        more: Further environment variables.
    """

    def __init__(
        self, gateway: LiveGateway, *arguments: str, program: Sequence[str | Path] = (ZERO,), **more: str
    ) -> None:
        self._master, slave = pty.openpty()
        self._open = True
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *program, *arguments],
            env=beside(gateway, **{"TERM": "xterm", "PYTHONUTF8": "1", **more}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, keys: str) -> None:
        """Press keys; ``\\x03`` is Ctrl-C, ``\\x04`` is Ctrl-D."""
        os.write(self._master, keys.encode())

    def until(self, expected: str) -> str:
        """Return what is shown from now on until ``expected`` has come, without escape sequences."""
        return shown(_read(self._master, lambda got: expected in shown(got), repr(expected)))

    def modes(self) -> list[Any]:
        """Return how the terminal is set up: whether it echoes, and so on."""
        return termios.tcgetattr(self._master)

    def raw_until(self, expected: str) -> str:
        """Return the same with escape sequences."""
        return _read(self._master, lambda got: expected in shown(got), repr(expected)).decode()

    def close(self) -> None:
        """Take the terminal away, as somebody does who closes its window."""
        os.close(self._master)
        self._open = False

    def end(self) -> int:
        """Wait for the command to end by itself; return its exit code."""
        return self.process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self._open:
            os.close(self._master)


def shown(output: bytes) -> str:
    """Return output without a terminal's escape sequences."""
    return _ESCAPES.sub("", output.decode(errors="replace")).replace("\r\n", "\n")
