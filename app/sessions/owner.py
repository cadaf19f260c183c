"""Which process has something, and whether it is known to be dead.

Processes of one machine see each other, so that what one of them leaves behind needn't wait until it expires. Of those
on other machines, or in other containers, nothing is known here. Knows ``/proc``; where there is none, nobody is known
to be dead.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Final
from uuid import uuid4

_PROC: Final = Path("/proc")
_DEAD_STATES: Final = {"Z", "X", "x"}
"""Those of a process that has ended, whether its parent has taken notice or not."""


def this_process() -> str:
    """Return a name for something of this process's, which nothing else has."""
    return f"{machine()}.{os.getpid()}.{_begun(os.getpid()) or '0'}.{uuid4().hex}"


def machine() -> str:
    """Return what all processes have in common that can see each other; empty if that is not known."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        processes = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {processes} {socket.gethostname()}".encode()).hexdigest()[:16]


def is_dead(owner: str | None) -> bool:
    """Tell whether the process of that name is known to have ended."""
    if owner is None:
        return False
    place, _, rest = owner.partition(".")
    process, _, rest = rest.partition(".")
    begun = rest.partition(".")[0]
    if not place or place != machine() or not process.isdecimal() or begun == "0":
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's process, and there
    found = _begun(int(process))
    # Another one may have its number by now. Where nobody may look, it counts as alive.
    return found is not None and found != begun


def _begun(process: int) -> str | None:
    """Return when a process began, in ticks; ``""`` of one that has ended, ``None`` if there is no telling."""
    try:
        text = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return None
    # Its name stands in parentheses, and may have anything in it.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in _DEAD_STATES else fields[19]
