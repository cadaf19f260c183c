"""Which processor cores serve and which make the load.

With two cores or more the server has one of its own (two for two workers, where there are four), and the mock upstream,
the load generator and this program share the rest. With one core everything shares it, and the report says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Final

_ALL: Final = sorted(os.sched_getaffinity(0))
SEPARATE: Final = len(_ALL) > 1
TWO_SERVERS: Final = len(_ALL) > 3


def serving(workers: int = 1) -> frozenset[int]:
    """Return the cores for a server with that many workers."""
    return frozenset(_ALL[: min(workers, 2 if TWO_SERVERS else 1)])


def loading() -> frozenset[int]:
    """Return the cores for everything that isn't the server."""
    return frozenset(_ALL[2 if TWO_SERVERS else 1 :]) or frozenset(_ALL)


@contextmanager
def on(cores: AbstractSet[int]) -> Iterator[None]:
    """Have the processes that are started meanwhile run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """Tell in one sentence what runs where."""
    if not SEPARATE:
        return "One core, shared by the server, the mock upstream and the load."
    return f"{len(_ALL)} cores: the server on one of its own, the mock upstream and the load on the others."
