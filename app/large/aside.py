"""The one thread for work on large values. One, because each thread more would stand between the loop and its lock."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

LARGE: Final = 128 * 1024
"""Bytes up to which a document is read where it is: in less than the loop may be held up, whatever is in it."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="large")


async def aside_if(large: bool, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do work in the thread if it is on something large, else at once."""
    return await aside(work, *args, **kwargs) if large else work(*args, **kwargs)


async def aside(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do work in the thread, after all that was given to it before; return what it returns, raise what it raises.

    Cancelling the wait leaves work alone that has begun.
    """
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: _uncollected(work, *args, **kwargs))


def _uncollected(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do work without the garbage collector, which would look at 100,000 values time and again as they are read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return work(*args, **kwargs)
    finally:
        if was_enabled:
            gc.enable()
