"""Our own client for streams (``programs/streams.c``): many open ones, and the time until the first words."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.installed.compiled import compiled
from benchmarks.load import WrongAnswers
from benchmarks.standing import Standing
from benchmarks.targets.target import Request

OPENING_SECONDS: Final = 90.0


class Firsts(msgspec.Struct, frozen=True):
    """How long streams took, one after the other, in microseconds."""

    p50: float
    p99: float
    whole: float


class Count(msgspec.Struct, frozen=True):
    """What has become of the open streams so far."""

    begun: int
    ended: int
    failed: int
    chunks: int


class Flow(msgspec.Struct, frozen=True):
    """What open streams did in a while."""

    chunks: int
    cpu: float
    seconds: float

    @property
    def cpu_each(self) -> float:
        """Processor time of the target for one chunk, microseconds."""
        return self.cpu * 1e6 / max(self.chunks, 1)


class Held:
    """Streams that are open and being read."""

    def __init__(self, standing: Standing, process: subprocess.Popen[bytes], wanted: int) -> None:
        self._standing = standing
        self._process = process
        self._wanted = wanted
        self.count()

    def count(self) -> Count:
        """Return what has become of them.

        Raises:
            WrongAnswers: If one of them failed or ended.
        """
        assert self._process.stdout is not None, "it was started with pipes"
        now = msgspec.json.decode(self._process.stdout.readline(), type=Count)
        if now.failed or now.ended or now.begun < self._wanted:
            raise WrongAnswers(f"of {self._wanted} streams {now.failed} didn't begin and {now.ended} ended")
        return now

    def flow(self, seconds: float) -> Flow:
        """Watch them for a while."""
        first, cpu, began = self._now(), self._standing.server.cpu_seconds, time.perf_counter()
        time.sleep(seconds)
        last, used = self._now(), self._standing.server.cpu_seconds - cpu
        return Flow(last.chunks - first.chunks, used, time.perf_counter() - began)

    def _now(self) -> Count:
        assert self._process.stdin is not None, "it was started with pipes"
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self.count()


@contextmanager
def held(standing: Standing, request: Request, streams: int) -> Iterator[Held]:
    """Open streams, wait until all have begun, and close them in the end.

    Raises:
        WrongAnswers: If one of them fails.
    """
    command = _command(standing, request, "hold", streams)
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Held(standing, process, streams)
        finally:
            process.kill()


def firsts(standing: Standing, request: Request, streams: int) -> Firsts:
    """Run streams one after the other and return how long they took.

    Raises:
        WrongAnswers: If one of them has no words.
    """
    command = _command(standing, request, "first", streams)
    done = subprocess.run(command, capture_output=True, timeout=OPENING_SECONDS, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise WrongAnswers(done.stderr.decode(errors="replace")[:300])
    return msgspec.json.decode(done.stdout, type=Firsts)


def _command(standing: Standing, request: Request, mode: str, streams: int) -> list[str | Path]:
    file = standing.folder / "request"
    file.write_bytes(request.wire(standing.server.port))
    return [compiled("streams"), str(standing.server.port), file, mode, str(streams)]
