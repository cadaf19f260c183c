"""How many file descriptors a gateway may have: as many as the system allows, and a word in the log when none is left.

Every connection takes one, and every connection to an upstream another. Without one left, libuv closes whoever comes
without a word, so that the log is the only place where somebody can see why. Knows processes, and no connections.
"""

from __future__ import annotations

import asyncio
import os
from errno import EMFILE, ENFILE
from typing import Final

from app.log import logger

LOOK_SECONDS: Final = 1.0
_log = logger("zero")


def raise_limit() -> int | None:
    """Allow this process as many descriptors as it may have: the usual 1,024 are for programs that use select.

    Returns:
        How many those are; ``None`` if there is no limit.
    """
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:  # macOS says that there is no limit, and has one
            _log.debug("the limit of file descriptors stays at %d: %s", soft, error)
    return None if soft == resource.RLIM_INFINITY else soft


async def watch_descriptors() -> None:
    """Tell the log when no descriptor is left, and when there are some again; never returns."""
    out = False
    while True:
        left = _any_left()
        if not left and not out:
            _log.error(
                "no file descriptors are left: connections are closed unanswered until others end. "
                "Allow the gateway more of them (ulimit -n, LimitNOFILE= of systemd)"
            )
        elif left and out:
            _log.warning("there are file descriptors again")
        out = not left
        await asyncio.sleep(LOOK_SECONDS)


def _any_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (EMFILE, ENFILE)
    return True
