"""What is told of a fault: a line of the table that ``make torture`` prints."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One fault, once it has been done and everything asserted.

    Attributes:
        done: What was done.
        seen: What the client saw.
        lost: What was lost of what a client had been told.
        again: When there was service again.
    """

    done: str
    seen: str
    lost: str
    again: str
