"""A command of a document, typed by somebody with several terminals: what serves goes on in another one.

``python terminal.py PROGRAM ARGUMENTS`` is ``PROGRAM ARGUMENTS``, unless that serves (``gateway``, ``app:gateway``).
Then it ends once the server answers on the port in ``STAGE_PORT``; the file in ``STAGE_SERVERS`` gets its process.
``chat`` gets a pseudo-terminal, and Ctrl-D at its prompt.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

SECONDS: Final = 30.0


def answers(port: str) -> bool:
    """Tell whether a gateway is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=SECONDS):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def conversation(program: str, *arguments: str) -> int:
    """Leave at the first prompt; return the exit code."""

    def read(terminal: int) -> bytes:
        shown = os.read(terminal, 65536)
        if b"> " in shown:
            os.write(terminal, b"\x04")
        return shown

    return os.waitstatus_to_exitcode(pty.spawn([program, *arguments], read))


def main(program: str, *arguments: str) -> int:
    """Run a command, or start a server.

    Args:
        program: Its path.
        arguments: Its arguments.

    Returns:
        The exit code of what didn't become a server.
    """
    if arguments[:1] == ("chat",):
        return conversation(program, *arguments)
    if not {"gateway", "app:gateway"} & set(arguments[:1]):
        os.execv(program, [program, *arguments])
    servers, port = Path(os.environ["STAGE_SERVERS"]), os.environ["STAGE_PORT"]
    with servers.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with servers.open("a", encoding="utf-8") as noted:
        noted.write(f"{process.pid}\n")
    deadline = time.monotonic() + SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.stderr.write(f"no gateway came of {program} {arguments}: {servers.with_suffix('.log').read_text()}")
            return process.poll() or 1
        time.sleep(0.02)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
