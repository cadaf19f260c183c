"""What requests leave behind, in objects: of no type is there one more for each of them, whatever the client does."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.live_gateway import configuration
from tests.machine.zero import Zero
from tests.torture.clients import SESSIONS, Clients
from tests.torture.upstream import served

CLIENTS: Final = 60
AT_ONCE: Final = 16
BLOCKS: Final = 4 * CLIENTS
"""What may be more in blocks: little texts and numbers that nobody counts, and that caches keep."""
KEPT_RUNS: Final = 1_000
"""Finished runs of the WebSocket that the gateway remembers; nothing more may be kept of those behind them."""
PARTS: Final = 5
"""A cache grows with the first of them, a leak with each."""
GONE_SECONDS: Final = 1.0
"""What the last clients left may take so long to go."""
SECONDS: Final = 20.0


class _Counted:
    """A gateway whose objects are counted."""

    def __init__(self, zero: Zero, file: Path, upstream: int) -> None:
        self.clients = Clients(zero.port, random.Random(5))
        self._pid = zero.process.pid
        self._file = file
        self._upstream = upstream

    async def serve(self, kind: str, leaves: str, count: int = CLIENTS) -> None:
        """Have so many clients served, and every session begun anew: what is remembered of it is as long as before."""
        for _ in range(0, count, AT_ONCE):
            await asyncio.gather(*(self.clients.one(kind, leaves) for _ in range(AT_ONCE)))
        if kind in ("session", "websocket"):
            for number in range(SESSIONS):
                await self.clients.begin_anew(number)

    def objects(self) -> dict[str, int]:
        """Count, with no connection to the upstream waiting for another request."""
        os.kill(self._upstream, signal.SIGUSR1)
        self._file.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR2)
        deadline = time.monotonic() + SECONDS
        while not self._file.exists():
            assert time.monotonic() < deadline, "the gateway doesn't count"
            time.sleep(0.01)
        found: dict[str, int] = json.loads(self._file.read_text())
        return found

    def grown(self, before: dict[str, int]) -> dict[str, int]:
        """Return what there is more of, by half as many as there were clients, or in blocks by ``BLOCKS``."""
        deadline = time.monotonic() + GONE_SECONDS
        while True:
            now = self.objects()
            more = {name: count - before.get(name, 0) for name, count in now.items()}
            found = {
                name: count for name, count in more.items() if count >= (BLOCKS if name == "blocks" else CLIENTS // 2)
            }
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Counted]:
    """A gateway in front of a model."""
    with _counted(tmp_path_factory.mktemp("objects")) as found:
        yield found


@contextmanager
def _counted(folder: Path) -> Iterator[_Counted]:
    file = folder / "objects"
    with served() as (upstream, port):
        providers = {"up": {"baseUrl": f"http://127.0.0.1:{port}/v1"}}
        config = configuration(agents={"list": [{"id": "main", "model": "up/soak"}]}, models={"providers": providers})
        with Zero(folder, config, environ={"ZERO_TEST_OBJECTS": str(file)}) as zero:
            yield _Counted(zero, file, upstream.pid)


@pytest.mark.parametrize(
    ("kind", "leaves"),
    [
        ("json", ""),
        ("stream", ""),
        ("session", ""),
        ("keyed", ""),
        ("websocket", ""),
        ("wrong", ""),
        ("list", ""),
        ("json", "connected"),
        ("json", "head"),
        ("json", "body"),
        ("json", "asked"),
        ("stream", "asked"),
        ("stream", "begun"),
        ("session", "asked"),
        ("keyed", "asked"),
        ("websocket", "head"),
        ("websocket", "begun"),
    ],
)
def test_nothing_is_kept(counted: _Counted, kind: str, leaves: str) -> None:
    """Requests of one kind alone, given up or not, leave no object behind, and little else."""

    if kind == "websocket" and leaves != "head":
        asyncio.run(counted.serve(kind, leaves, KEPT_RUNS))
    grown: list[dict[str, int]] = []
    while len(grown) < PARTS and (not grown or grown[-1]):
        before = counted.objects()
        asyncio.run(counted.serve(kind, leaves))
        grown.append(counted.grown(before))
    assert {} == grown[-1], grown
    assert [] == counted.clients.wrong
