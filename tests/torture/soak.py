"""The soak: 70 % of what one gateway can do, for as long as it is told, with clients that leave at random moments.

Owns its course and its verdict. What is asked is the business of ``clients``, what is measured that of ``vitals``.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.live_gateway import configuration
from tests.machine.talk import verified
from tests.machine.zero import Zero
from tests.torture.clients import MOMENTS, WEIGHTS, Clients
from tests.torture.upstream import served
from tests.torture.vitals import Slope, Vitals, look, slope

LOAD: Final = 0.7
MOST: Final = 400
"""Clients at a time in the soak: a machine that is busy with something else is not to be drowned. As many while it is
measured how much the gateway can do: what memory they take is never taken again then."""
REST_SECONDS: Final = 20.0
WARM: Final = 1 / 3
"""The part of the soak in which memory may still find its size: caches fill, the allocator keeps what it got."""
WARM_CLIENTS: Final = 20_000
"""Nor is it looked at before so many clients: the slowest cache to fill keeps 1,000 runs that began over the WebSocket
(``app.runs.background``), and 1 client in 14 begins one."""
MOST_STORED: Final = 32
"""Descriptors that the pools of connections to the store may have."""
LEAK: Final = 32.0
"""Bytes a client. Whoever forgets to let go of even the smallest object leaks more."""
LEAKED_BLOCKS: Final = 0.2
"""The same in blocks of Python's allocator: they depend on the load, and not on what allocators keep for later."""
SHORT_SECONDS: Final = 75.0
"""Memory is shown and not judged if less than this is left of the soak behind that."""


class Outcome(NamedTuple):
    """What a soak has found.

    Attributes:
        report: The figures, for people.
        faults: What is wrong; empty is what we want.
    """

    report: list[str]
    faults: list[str]


def soak(folder: Path, seconds: float, tell: bool = True) -> Outcome:
    """Soak a gateway.

    Args:
        folder: An empty folder.
        seconds: How long, without the measuring before and the rest behind.
        tell: Whether a line is written now and then.
    """
    counts = folder / "counts"
    with served() as (upstream, port):
        agents = {"list": [{"id": "main", "model": "up/soak"}]}
        providers = {"up": {"baseUrl": f"http://127.0.0.1:{port}/v1"}}
        config = configuration(agents=agents, models={"providers": providers})
        with Zero(folder, config, environ={"ZERO_TEST_COUNTS": str(counts)}) as zero:
            found = uvloop.run(_Course(zero, upstream, counts, tell).held(seconds))
            log = zero.log
        faults = list(found.faults)
        if "Traceback" in log:
            faults.append("the log has a traceback: " + log[log.index("Traceback") :][:1500])
        if zero.process.returncode:
            faults.append(f"the gateway ended with {zero.process.returncode}")
        store = verified(zero)
    if " 0 fault(s)." not in store:
        faults.append(store)
    return Outcome([*found.report, f"store: {store}"], faults)


class _Course:
    def __init__(self, zero: Zero, upstream: subprocess.Popen[str], counts: Path, tell: bool) -> None:
        self._zero = zero
        self._upstream = upstream
        self._counts = counts
        self._tell = tell
        self._held_back = 0
        self._clients = Clients(zero.port, random.Random(7))

    async def held(self, seconds: float) -> Outcome:
        # Each kind and each way to leave once: what is imported or made at first use is there when the count begins.
        for kind in WEIGHTS:
            await asyncio.gather(*(self._clients.one(kind, moment) for moment in ("", *MOMENTS)))
        rate = await self._capacity(min(10.0, seconds / 6)) * LOAD
        before = await self._rested(None)
        self._say(f"{rate / LOAD:.0f} clients/s at most; {seconds:.0f} s with {rate:.0f}; at rest {_figures(before)}")
        self._clients.counts.clear()
        cpu, began = self._zero.cpu_seconds, time.monotonic()
        samples, warm_at = await self._loaded(rate, seconds)
        took = time.monotonic() - began
        share = (self._zero.cpu_seconds - cpu) / took
        after = await self._rested(before)
        clients, counts = sum(self._clients.counts.values()), self._clients.counts
        left = sum(count for what, count in counts.items() if "left when" in what)
        warm = [one for one in samples if one.at > warm_at]
        enough = seconds - warm_at >= SHORT_SECONDS
        judged = enough and not self._held_back  # those who wait take memory: more and more of them, more and more
        if not enough:
            warm = [one for one in samples if one.at > seconds * WARM]
        each = slope([(one.at, one.private) for one in warm]).by(clients / took)
        blocks = slope([(one.at, one.blocks) for one in warm]).by(clients / took)
        report = [
            (
                f"{clients} clients in {took:.0f} s ({clients / took:.0f}/s), {left} left early, "
                f"{counts['not as it must be']} not answered as they must be; the gateway took {share:.0%} of a core"
            ),
            (
                f"memory from {warm[0].at:.0f} s on: {each.rise:+.1f} ± {each.give_or_take:.1f} bytes a client (95 %); "
                f"of Python's {blocks.rise:+.3f} ± {blocks.give_or_take:.3f} blocks a client"
                + ("" if judged else "; not judged: the machine was too busy, or the time too short")
            ),
            f"{self._held_back} more clients were held back: with {MOST} at a time the machine was full",
            f"at rest before: {_figures(before)}",
            f"at rest after:  {_figures(after)}",
            *_course(samples),
        ]
        return Outcome(report, [*self._clients.wrong, *leaks(before, after, (each, blocks) if judged else None)])

    async def _capacity(self, seconds: float) -> float:
        """Return how many clients a second there are when each is followed by another at once."""
        until = time.monotonic() + seconds
        done = 0

        async def again() -> None:
            nonlocal done
            while time.monotonic() < until:
                await self._clients.one()
                done += 1

        await asyncio.gather(*(again() for _ in range(MOST)))
        return done / seconds

    async def _loaded(self, rate: float, seconds: float) -> tuple[list[Vitals], float]:
        """Return the samples, and when memory should have found its size."""
        chance = random.Random(11)
        samples: list[Vitals] = []
        warm_at = 0.0
        began = time.monotonic()
        due, told = began, began
        every = max(0.5, seconds / 400)
        async with _tasks() as tasks:
            while (now := time.monotonic()) < began + seconds:
                while due <= now:
                    due += chance.expovariate(rate)
                    if len(tasks) >= MOST:
                        self._held_back += 1
                    else:
                        one = asyncio.create_task(self._clients.one())
                        tasks.add(one)
                        one.add_done_callback(tasks.discard)
                if not warm_at and self._clients.counts.total() >= WARM_CLIENTS:
                    warm_at = max(now - began, seconds * WARM)
                if now - began >= len(samples) * every:
                    samples.append(look(self._zero.process.pid, self._counts, now - began))
                    if now - told > 30:
                        told = now
                        self._say(f"{now - began:5.0f} s  {_figures(samples[-1])}")
                await asyncio.sleep(0.005)
        return samples, warm_at or seconds

    async def _rested(self, before: Vitals | None) -> Vitals:
        """Return the figures once nothing is asked: when they are as before, or don't change any more."""
        deadline = time.monotonic() + REST_SECONDS
        known: Vitals | None = None
        while True:
            self._upstream.send_signal(signal.SIGUSR1)
            await asyncio.sleep(0.5)
            seen = look(self._zero.process.pid, self._counts, 0.0)
            now = (seen.files, seen.sockets, seen.tasks)
            if before is None:
                if known is not None and now == (known.files, known.sockets, known.tasks):
                    return seen
            elif all(
                one <= other for one, other in zip(now, (before.files, before.sockets, before.tasks), strict=True)
            ):
                return seen
            if time.monotonic() > deadline:
                return seen
            known = seen

    def _say(self, text: str) -> None:
        if self._tell:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def leaks(before: Vitals, after: Vitals, growth: tuple[Slope, Slope] | None) -> Iterator[str]:
    """Tell what is left behind: at rest after the soak, and with each client, in bytes and in Python's blocks."""
    for name in ("files", "sockets", "tasks"):
        was, now = getattr(before, name), getattr(after, name)
        if now > was:
            yield f"{now - was} more {name} at rest than before: {after.named if name == 'tasks' else now}"
    if after.stored > MOST_STORED:
        yield f"{after.stored} files of the session store"
    if after.threads > before.threads + 4:  # pools of threads start theirs one by one
        yield f"{after.threads} threads instead of {before.threads}"
    if growth is None:
        return
    each, blocks = growth
    if each.rise - each.give_or_take > LEAK:
        yield f"memory grows by {each.rise:.0f} ± {each.give_or_take:.0f} bytes a client"
    if blocks.rise - blocks.give_or_take > LEAKED_BLOCKS:
        yield f"Python's objects grow by {blocks.rise:.2f} ± {blocks.give_or_take:.2f} blocks a client"


def _course(samples: list[Vitals]) -> Iterator[str]:
    """Tell ten of the samples."""
    for n in range(10):
        one = samples[(len(samples) - 1) * n // 9]
        yield f"{one.at:7.0f} s  {_figures(one)}"


def _figures(one: Vitals) -> str:
    mib = 1024 * 1024
    return (
        f"{one.private / mib:.1f} MiB private, {one.resident / mib:.1f} resident, {one.files}+{one.stored} files, "
        f"{one.sockets} sockets, {one.tasks} tasks, {one.threads} threads, {one.blocks} blocks"
    )


@asynccontextmanager
async def _tasks() -> AsyncIterator[set[asyncio.Task[None]]]:
    tasks: set[asyncio.Task[None]] = set()
    try:
        yield tasks
    finally:
        if tasks:
            await asyncio.wait(tasks)
