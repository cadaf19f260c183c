"""A JSON document seen from afar: how many values it has, and where its long texts are.

Pure, and read piece by piece, so that no step takes long. What is inside texts doesn't count: they may hold any JSON.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

LONG: Final = 128 * 1024
"""Bytes from which a text is a long one. More than a piece, so that one is never all in one."""
PIECE: Final = 64 * 1024
"""Bytes looked at in one step."""
LONG_OF_MANY: Final = 16 * 1024
"""Bytes from which a text is a long one in a document that has much besides texts longer than ``LONG``."""
MUCH: Final = 2 * 1024 * 1024
"""Bytes that may be read in one step, the slowest kind: texts of nothing but escapes."""

_DIGITS: Final = b"0123456789.eE+-"


class Structure(NamedTuple):
    """What a document is made of.

    Attributes:
        values: Objects and lists, and what is behind the first thing in each of them.
        long_texts: Where its long texts begin and end, without their quotes.
    """

    values: int
    long_texts: list[tuple[int, int]]


def structure_of(json: bytes, max_values: int | None = None) -> Structure:
    """Look through a document, no further than to the first value too many.

    Args:
        json: The document; what is no JSON gives some numbers or other.
        max_values: Beyond how many values nobody wants to know more.

    Raises:
        msgspec.DecodeError: If it ends within a long text, or a number is as long as a piece.
    """
    structure = _structure_of(json, max_values, LONG, PIECE)
    besides = len(json) - sum(end - begin for begin, end in structure.long_texts)
    if besides <= MUCH or (max_values is not None and structure.values > max_values):
        return structure
    return _structure_of(json, max_values, LONG_OF_MANY, LONG_OF_MANY // 2)


def _structure_of(json: bytes, max_values: int | None, long: int, piece_size: int) -> Structure:
    values = at = 0
    opened: int | None = None  # the quote that opens the text that the piece begins in
    long_texts: list[tuple[int, int]] = []
    while at < len(json) and (max_values is None or values <= max_values):
        piece = _piece(json, at, piece_size)
        size = len(piece)
        if b'"' in piece:
            segments = piece.split(b'"')
            first, last = at + len(segments[0]), at + size - len(segments[-1]) - 1
            within = opened is not None
            if len(segments) > 1:
                if opened is not None and first - opened > long:
                    long_texts.append((opened + 1, first))
                opened = last if within == bool(len(segments) % 2) else None
            values += _values(b"".join(segments[within::2]))
        elif opened is None:
            if size >= piece_size and not piece.strip(_DIGITS):
                raise msgspec.DecodeError("a number in it is too long")
            values += _values(piece)
        at += size
    if opened is not None and at >= len(json) and at - opened > long:
        raise msgspec.DecodeError("Input data was truncated")
    return Structure(values, long_texts)


def _piece(json: bytes, at: int, size: int) -> bytes:
    """Return a piece whose only quotes are those around texts."""
    piece = json[at : at + size]
    if b"\\" not in piece:
        return piece
    if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
        piece = json[at : at + size + 1]  # an escape stays in one piece
    return piece.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _values(outside: bytes) -> int:
    return outside.count(b"{") + outside.count(b"[") + outside.count(b",")
