"""What a process and its descendants have used, from ``/proc``: processor time and memory."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def tree(root: int) -> list[int]:
    """Return a process and everything below it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                # The name in brackets may hold anything, blanks included.
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                children[int(parent)].append(int(entry.name))
    found = [root]
    for process in found:
        found += children[process]
    return found


def cpu_seconds(root: int) -> float:
    """Return the processor time that a tree's threads have used, user and system, to the nanosecond."""
    total = 0
    for process in tree(root):
        with suppress(OSError):
            for thread in (_PROC / str(process) / "task").iterdir():
                with suppress(OSError):
                    total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mib(root: int) -> float:
    """Return a tree's memory as proportional set size: what it shares with others counts in part."""
    total = 0
    for process in tree(root):
        with suppress(OSError):
            for line in (_PROC / str(process) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024
