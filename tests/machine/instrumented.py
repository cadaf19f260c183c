"""``zero`` with two things that a test needs and nobody else: a clock that can jump, and a count of its tasks.

``time.time()`` is the only wall clock that the gateway reads; the file that ZERO_TEST_CLOCK names has the seconds by
which it is wrong. SIGUSR1 writes to the file that ZERO_TEST_COUNTS names how many tasks and threads there are.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
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
        new = file.with_suffix(".new")
        new.write_text(f"{sum(tasks.values())} {threading.active_count()} {dict(tasks.most_common(8))}\n")
        new.rename(file)

    signal.signal(signal.SIGUSR1, count)


def main() -> None:
    """Do what ``zero`` does."""
    if clock := os.environ.get("ZERO_TEST_CLOCK"):
        wrong_clock(Path(clock))
    if counts := os.environ.get("ZERO_TEST_COUNTS"):
        counted(Path(counts))
    from app.cli import main as zero

    sys.argv[0] = "zero"
    zero()


if __name__ == "__main__":
    main()
