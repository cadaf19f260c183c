"""Values written as JSON whose long texts are written piece by piece. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from app.large.structure import PIECE

LONG_CHARACTERS: Final = 128 * 1024
"""Characters from which a text is a long one."""

_STEP: Final = PIECE


class Written:
    """A value as JSON, in pieces.

    Args:
        value: Objects, lists, texts and numbers, as they come from reading JSON; or structs of them.
        order: As msgspec has it.
    """

    def __init__(self, value: Any, order: Literal["sorted"] | None = None) -> None:
        self._nonce = secrets.token_hex(16)
        self._texts: list[str] = []
        self._json = msgspec.json.encode(self._without(value), order=order)

    def pieces(self) -> Iterator[bytes]:
        """Yield the JSON."""
        if not self._texts:
            yield self._json
            return
        at = 0
        for found in re.finditer(rb"%b([0-9a-f]{8})" % self._nonce.encode(), self._json):
            yield self._json[at : found.start()]
            yield from spelled(self._texts[int(found[1], 16)])
            at = found.end()
        yield self._json[at:]

    def _without(self, value: Any) -> Any:
        if isinstance(value, str):
            if len(value) < LONG_CHARACTERS:
                return value
            self._texts.append(value)
            return f"{self._nonce}{len(self._texts) - 1:08x}"
        if isinstance(value, list | tuple):
            return [self._without(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self._without(inner) for name, inner in value.items()}
        return value


def spelled(text: str) -> Iterator[bytes]:
    """Yield a text as it stands between quotes."""
    for at in range(0, len(text), _STEP):
        yield msgspec.json.encode(text[at : at + _STEP])[1:-1]


def written(value: Any) -> bytes:
    """Return a value as JSON, written in steps."""
    return b"".join(Written(value).pieces())
