"""The load generator, wrk: many requests over kept connections, and what they took."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.installed.debian import Program, debian_program
from benchmarks.places import PROGRAMS
from benchmarks.standing import Standing
from benchmarks.targets.target import Request

_RESULT: Final = "result "


class Load(msgspec.Struct, frozen=True):
    """What one run of wrk found; times in microseconds."""

    requests: int
    microseconds: int
    p50: float
    p99: float
    errors: int
    connections: int = 0
    cpu: float = 0.0
    """Seconds of processor time that the target used meanwhile."""

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.requests / self.microseconds * 1e6

    @property
    def cpu_each(self) -> float:
        """Processor time of the target for one request, microseconds.

        Requests that were under way when wrk stopped count half.
        """
        return self.cpu * 1e6 / (self.requests + self.connections / 2)


class WrongAnswers(Exception):
    """Raised when a target answers a load with errors."""


def wrk() -> Program:
    """Return wrk.

    Raises:
        Missing: If it can't be had.
    """
    return debian_program("wrk", "wrk", "libluajit-5.1-2")


def load(standing: Standing, request: Request, *, connections: int, seconds: int, sessions: int = 0) -> Load:
    """Send a request again and again.

    Args:
        standing: Whom to.
        request: What; ``{n}`` in its body becomes the number of a session.
        connections: How many at the same time.
        seconds: For how long.
        sessions: How many sessions to go through.

    Raises:
        WrongAnswers: If an answer isn't a 200, or doesn't come.
    """
    program = wrk()
    file = standing.folder / "body"
    file.write_bytes(request.body)
    options: list[str | Path] = [
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        PROGRAMS / "load.lua",
    ]
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    url = f"http://127.0.0.1:{standing.server.port}{request.path}"
    before = standing.server.cpu_seconds
    done = subprocess.run(  # noqa: S603 - our own command
        [program.path, *options, url, "--", file, str(sessions), *headers],
        env={**os.environ, **program.environ},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    used = standing.server.cpu_seconds - before
    line = next(line for line in done.stdout.splitlines() if line.startswith(_RESULT))
    found = msgspec.json.decode(line.removeprefix(_RESULT), type=Load)
    if found.errors or not found.requests:
        raise WrongAnswers(f"{found.errors} of {found.requests} answers at {connections} connections were errors")
    return msgspec.structs.replace(found, connections=connections, cpu=used)
