"""``zero`` with what a test needs and nobody else: a clock that can jump, and counts of its tasks and its objects.

``time.time()`` is the only wall clock that the gateway reads; the file that ZERO_TEST_CLOCK names has the seconds by
which it is wrong. SIGUSR1 writes to the file that ZERO_TEST_COUNTS names how many tasks, threads and blocks of Python's
allocator there are; SIGUSR2 to the one that ZERO_TEST_OBJECTS names how many objects of which type have come since the
start, as JSON, when the collector has been through them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import time
import weakref
from collections import Counter
from contextlib import suppress
from pathlib import Path


def wrong_clock(file: Path) -> None:
    """Have ``time.time()`` go wrong by what the file says. Before whoever uses it is imported."""
    right = time.time
    time.time = lambda: right() + float(file.read_text())


def counted(file: Path) -> None:
    """Have SIGUSR1 count."""

    def count(_signal: int, _frame: object) -> None:
        tasks: Counter[str] = Counter()
        with suppress(RuntimeError):  # there is no loop yet
            for task in asyncio.all_tasks():
                tasks[getattr(task.get_coro(), "__qualname__", "?")] += 1
        blocks = sys.getallocatedblocks()
        _write(file, f"{sum(tasks.values())} {threading.active_count()} {blocks} {dict(tasks.most_common(8))}\n")

    signal.signal(signal.SIGUSR1, count)


def named(file: Path) -> None:
    """Have SIGUSR2 count objects by their types; ``blocks`` is all there is, tracked by the collector or not."""

    def count(_signal: int, _frame: object) -> None:
        gc.collect()
        found: Counter[str] = Counter(blocks=sys.getallocatedblocks())
        for one in gc.get_objects():  # what was there when the gateway had settled is frozen, and not among them
            if isinstance(one, weakref.ref) and one() is None:
                found["blocks"] -= 1  # sqlite3 keeps up to 200 dead ones of each connection's cursors
            else:
                found[f"{type(one).__module__}.{type(one).__qualname__}"] += 1
        _write(file, json.dumps(found))

    signal.signal(signal.SIGUSR2, count)


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def main() -> None:
    """Do what ``zero`` does."""
    if clock := os.environ.get("ZERO_TEST_CLOCK"):
        wrong_clock(Path(clock))
    if counts := os.environ.get("ZERO_TEST_COUNTS"):
        counted(Path(counts))
    if objects := os.environ.get("ZERO_TEST_OBJECTS"):
        named(Path(objects))
    from app.cli import main as zero

    sys.argv[0] = "zero"
    zero()


if __name__ == "__main__":
    main()
