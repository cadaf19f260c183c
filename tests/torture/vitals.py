"""What a process takes of the machine, as Linux tells it, and whether that grows: a line of fit."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

from tests.machine.zero import STORE

BLOCKS: Final = 12
"""Samples close to each other are alike; the fit is made of the means of so many blocks of them."""
# Student's t for 95 % on both sides, by degrees of freedom.
_T95: Final = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228}


class Vitals(NamedTuple):
    """One look at a process. Memory in bytes; ``private`` is what it has not from files, which others may share.

    ``files`` are without sockets, and without ``stored``, those of the session store, of which there are some for each
    connection in a pool.
    """

    at: float
    resident: int
    private: int
    files: int
    stored: int
    sockets: int
    threads: int
    tasks: int
    blocks: int
    """What Python's allocator has given away: objects, in about as many blocks."""
    named: str
    """The most frequent tasks."""


class Slope(NamedTuple):
    """A line of fit: by how much it rises, and how much more or less that may be with a confidence of 95 %."""

    rise: float
    give_or_take: float

    def by(self, rate: float) -> Slope:
        """Return what each of so many a second adds, of a line by seconds."""
        return Slope(self.rise / rate, self.give_or_take / rate)


def look(pid: int, counts: Path, at: float) -> Vitals:
    """Look at a process that ``tests.machine.instrumented`` has started, and ask it to count for the next time."""
    memory = {
        line.split()[0]: line.split()[1] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    }
    private = int(memory["Anonymous:"])
    open_ones: list[str] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            open_ones.append(str(link.readlink()))
    sockets = sum(one.startswith("socket:") for one in open_ones)
    stored = sum(f"/{STORE}" in one for one in open_ones)
    told = counts.read_text().split(" ", 3) if counts.exists() else ["0", "0", "0", ""]
    os.kill(pid, signal.SIGUSR1)
    return Vitals(
        at,
        int(memory["Rss:"]) * 1024,
        private * 1024,
        len(open_ones) - sockets - stored,
        stored,
        sockets,
        int(told[1]),
        int(told[0]),
        int(told[2]),
        told[3].strip(),
    )


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line through samples of something over time."""
    blocks = min(BLOCKS, len(samples))
    assert blocks >= 3, "too few samples for a line and its confidence"
    parts = [samples[len(samples) * n // blocks : len(samples) * (n + 1) // blocks] for n in range(blocks)]
    points = [(fmean(at for at, _ in part), fmean(value for _, value in part)) for part in parts]
    middle, mean = fmean(at for at, _ in points), fmean(value for _, value in points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    found = sum((at - middle) * (value - mean) for at, value in points) / spread
    left = sum((value - mean - found * (at - middle)) ** 2 for at, value in points)
    return Slope(found, _T95[blocks - 2] * math.sqrt(left / (blocks - 2) / spread))
