"""A JSON document with its long texts taken out: the rest is read in one short step, each text in several.

Pure. In a long text's place stands its beginning with a mark behind it, which any rule for texts judges as it would
judge the whole: it is longer than any that is bounded, and has a blank if the whole has one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from app.large.structure import PIECE, Structure, structure_of

KEPT: Final = 8_192
"""Characters of a long text that stay in its place, at least: more than any of the contract's rules allows."""
_MARK: Final = 40
"""Characters of a mark."""
_LONGEST_CHARACTER: Final = 12
"""Bytes of the longest spelling of one character: two escapes, for the two halves of a surrogate pair."""

_text_decoder = msgspec.json.Decoder(str)


class LongText(NamedTuple):
    """A text that was taken out.

    Attributes:
        spelled: As it stands in the document, but for the head.
        head: What stands in its place.
        rest: What doesn't, in pieces.
        padding: What stands between the head and the mark.
    """

    spelled: memoryview
    head: str
    rest: list[str]
    padding: str

    @property
    def text(self) -> str:
        """All of it."""
        return "".join((self.head, *self.rest))


class Shortened:
    """A document without its long texts.

    Args:
        json: The document.
        structure: What it is made of, if that is known.

    Raises:
        msgspec.DecodeError: If a long text is none.
        UnicodeDecodeError: If one isn't UTF-8.

    Attributes:
        json: What remains.
        whole: The document itself.
    """

    def __init__(self, json: bytes, structure: Structure | None = None) -> None:
        self.whole = self.json = json
        self._texts: dict[str, LongText] = {}
        if structure is None:
            if len(json) <= KEPT:
                return  # no text in it can be longer; to make marks takes longer than to read it
            structure = structure_of(json)
        if not structure.long_texts:
            return
        nonce = secrets.token_hex(16)
        self._marks = re.compile(f"{nonce}[0-9a-f]{{8}}")
        self._raw_marks = re.compile(self._marks.pattern.encode())
        pieces: list[bytes] = []
        at = 0
        for number, (begin, end) in enumerate(structure.long_texts):
            mark = f"{nonce}{number:08x}"
            head, kept = _step(json, begin, begin + KEPT + 1, end)
            while len(head) <= KEPT and kept < end:
                more, kept = _step(json, kept, kept + KEPT, end)
                head += more
            if kept == end:
                continue  # spelled in so many bytes, but not longer than what stays
            rest = list(_steps(json, kept, end))
            padding = " " if any(" " in piece for piece in rest) else ""
            self._texts[mark] = LongText(memoryview(json)[kept:end], head, rest, padding)
            pieces += (json[at:kept], padding.encode(), mark.encode())
            at = end
        if pieces:
            self.json = b"".join((*pieces, json[at:]))

    def __bool__(self) -> bool:
        """Whether there are long texts in it."""
        return bool(self._texts)

    def whole_raw(self, raw: msgspec.Raw) -> msgspec.Raw:
        """Return a slice of what remains as it was in the document."""
        if not self._texts:
            return raw
        short = bytes(raw)
        pieces: list[bytes | memoryview] = []
        at = 0
        for found in self._raw_marks.finditer(short):
            text = self._texts[found.group().decode()]
            pieces += (short[at : found.start() - len(text.padding)], text.spelled)
            at = found.end()
        return msgspec.Raw(b"".join((*pieces, short[at:]))) if pieces else raw

    def stripped(self, text: str) -> str:
        """Return a text, read from what remains, without the blanks around it; what is taken out loses them too."""
        mark = self._mark_in(text)
        if mark is None:
            return text.strip()
        long = self._texts[mark]
        if not long.head.strip() or not long.rest[-1].strip():
            return long.text.strip()
        long.rest[-1] = long.rest[-1].rstrip()
        return text.lstrip()

    def pieces(self, json: bytes) -> Iterator[bytes]:
        """Yield JSON that was written from what remains, with the long texts in it."""
        if not self._texts:
            yield json
            return
        at = 0
        for found in self._raw_marks.finditer(json):
            text = self._texts[found.group().decode()]
            yield json[at : found.start() - len(text.padding)]
            for piece in text.rest:
                yield msgspec.json.encode(piece)[1:-1]
            at = found.end()
        yield json[at:]

    def parts(self, text: str) -> Sequence[str]:
        """Return a text, read from what remains, in pieces."""
        mark = self._mark_in(text)
        return (text,) if mark is None else (self._texts[mark].head, *self._texts[mark].rest)

    def restored(self, value: Any) -> Any:
        """Return a value read from what remains with its long texts in it; lists, objects and structs are changed."""
        if not self._texts:
            return value
        if isinstance(value, str):
            return self._restored_text(value)
        if isinstance(value, list):
            for place, inner in enumerate(value):
                value[place] = self.restored(inner)
        elif isinstance(value, dict):
            items = [(self.restored(name), self.restored(inner)) for name, inner in value.items()]
            value.clear()
            value.update(items)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                had = getattr(value, name)
                new = self.restored(had)
                if new is not had:
                    setattr(value, name, new)
        return value

    def _restored_text(self, text: str) -> str:
        mark = self._mark_in(text)
        return text if mark is None else self._texts[mark].text

    def _mark_in(self, text: str) -> str | None:
        if len(text) <= KEPT or not self._texts:
            return None
        found = self._marks.search(text, len(text) - _MARK)
        return found.group() if found is not None else None


def read(json: bytes | msgspec.Raw) -> Any:
    """Return what a document says, read in steps.

    Raises:
        msgspec.DecodeError: If it can't be read.
        UnicodeDecodeError: If it isn't UTF-8.
    """
    if memoryview(json).nbytes < PIECE:
        return msgspec.json.decode(json)
    short = Shortened(bytes(json))
    return short.restored(msgspec.json.decode(short.json))


def _steps(json: bytes, at: int, end: int) -> Iterator[str]:
    while at < end:
        piece, at = _step(json, at, at + PIECE, end)
        yield piece


def _step(json: bytes, at: int, to: int, end: int) -> tuple[str, int]:
    """Return a piece of a text, and where it ends: between two characters, which begin and end nobody knows where."""
    for more in range(_LONGEST_CHARACTER):
        cut = min(to + more, end)
        try:
            return _text_decoder.decode(b'"%b"' % json[at:cut]), cut
        except (msgspec.DecodeError, UnicodeDecodeError):
            if cut == end or more == _LONGEST_CHARACTER - 1:
                raise
    raise AssertionError("the last one returns or raises")
