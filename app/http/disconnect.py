"""Work that ends when its client does.

One watcher per request reads ASGI's ``receive`` until the client is gone, and cancels the work then, in whatever phase
it is: queued, waiting for the upstream, or writing. Source of the rule: design.md, "Answer".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

T = TypeVar("T")


class ClientDisconnected(Exception):
    """Raised when nobody is there any more to be answered."""


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in this task and return its result; cancel it as soon as the client has gone.

    Raises:
        ClientDisconnected: If the client left first; the work has been cancelled and has cleaned up.
    """
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch(), name="disconnect-watcher")
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
        watcher.cancel()
        if gone:
            # The work was done before the cancellation reached it: let it arrive here and not in somebody else's await.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()
