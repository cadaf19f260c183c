"""What the tests ask the operating system about a process, without waiting by the clock."""

import asyncio
import os
import select
from collections.abc import Callable


def exists(pid: int) -> bool:
    """Tell whether the process is there, be it only as a zombie that nobody has reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something has happened, at most 20 seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for offers no event to its users
            await asyncio.sleep(0)


class Watch:
    """A handle on a process that need not be ours; made while it lives, it can't mean another one later."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def ended(self, within: float) -> bool:
        """Wait until the process has ended, at most so many seconds; closes the handle."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        try:
            return bool(poll.poll(within * 1000))
        finally:
            os.close(self._descriptor)
