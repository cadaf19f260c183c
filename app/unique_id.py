"""Ids that nobody else has: of requests, runs, and sessions of one call. They are no secrets.

``uuid.uuid4`` asks the operating system anew for each, which is a notable part of what a small request costs.
"""

from __future__ import annotations

import os
import random
from typing import Final

_source: Final = random.Random(os.urandom(32))  # noqa: S311 - nothing is protected by an id's being hard to guess
if hasattr(os, "register_at_fork"):
    # A forked process would give the same ids as its parent.
    os.register_at_fork(after_in_child=lambda: _source.seed(os.urandom(32)))


def unique_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits."""
    return f"{_source.getrandbits(128):032x}"


def unique_uuid() -> str:
    """Return a UUID of version 4 in its usual form."""
    digits = unique_id()
    # Written out by hand: the class for it takes longer than the number.
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
