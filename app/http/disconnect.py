"""Work that ends when its client does, in whatever phase it is: queued, waiting for the upstream, or writing.

Where the server doesn't say that the client is gone, a task per request reads ASGI's ``receive`` until it is. Source of
the rule: design.md, "Answer".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

from app.http.departure import Departure

T = TypeVar("T")


class ClientDisconnected(Exception):
    """Raised when nobody is there any more to be answered."""


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T], departure: Departure | None = None) -> T:
    """Run ``work`` in this task and return its result; cancel it as soon as the client has gone.

    Args:
        receive: ASGI's.
        work: What to do.
        departure: Where the server says that the client has gone, if it does: that needs no task.

    Raises:
        ClientDisconnected: If the client left first; the work has been cancelled and has cleaned up.
    """
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    gone = False

    def leave() -> None:
        nonlocal gone
        gone = True
        task.cancel()

    watcher: asyncio.Task[None] | None = None
    if departure is None:
        watcher = asyncio.create_task(_watch(receive, leave), name="disconnect-watcher")
    else:
        departure.expect(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise  # the server is shutting down
        # Python 3.11 and 3.12 keep a cancellation in mind until it is taken back.
        task.uncancel()
        gone = False
        raise ClientDisconnected from None
    finally:
        if watcher is not None:
            watcher.cancel()
        if departure is not None:
            departure.forget()
        if gone:
            # The work was done before the cancellation reached it: let it arrive here and not in somebody else's await.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()


async def _watch(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()
