"""Where everything stands in a text that is known to be JSON5.

Owns the positions of values, members and comments. Pure; expects text that ``json5_document`` has accepted.
"""

from __future__ import annotations

from typing import NamedTuple

import json5

LINE_ENDS = "\n\r\u2028\u2029"
_DELIMITERS = frozenset(",]}:/\ufeff")


class Node(NamedTuple):
    """A value in the text: where it stands, and for objects and lists what is in it."""

    start: int
    end: int
    members: dict[str, Node] | None = None
    items: tuple[Node, ...] | None = None
    first: int = -1
    """Where the first member or item begins, its key included."""
    comma: int | None = None
    """Behind the comma that follows the last member or item, if there is one."""
    quoted: bool = False
    """Whether the keys are in quotes."""


class Reader:
    """Finds the places of everything in a text.

    Attributes:
        comments: Where comments begin, as far as the text was read.
    """

    def __init__(self, text: str) -> None:
        """Prepare to read a document."""
        self._text = text
        self._at = 0
        self.comments: list[int] = []

    def document(self) -> Node:
        """Return the top-level value."""
        self._skip()
        return self._value()

    def _skip(self) -> None:
        text = self._text
        while self._at < len(text):
            if text.startswith("//", self._at):
                self.comments.append(self._at)
                ends = [end for mark in LINE_ENDS if (end := text.find(mark, self._at)) >= 0]
                self._at = min(ends, default=len(text))
            elif text.startswith("/*", self._at):
                self.comments.append(self._at)
                self._at = text.index("*/", self._at) + 2
            elif text[self._at].isspace() or text[self._at] == "\ufeff":
                self._at += 1
            else:
                return

    def _value(self) -> Node:
        start, character = self._at, self._text[self._at]
        if character == "{":
            return self._object(start)
        if character == "[":
            return self._list(start)
        if character in "\"'":
            self._string()
        else:
            self._word()
        return Node(start, self._at)

    def _object(self, start: int) -> Node:
        members: dict[str, Node] = {}
        first, quoted, comma = -1, False, None
        self._at += 1
        while True:
            self._skip()
            if self._text[self._at] == "}":
                self._at += 1
                return Node(start, self._at, members, None, first, comma, quoted)
            begin = self._at
            if not members:
                first, quoted = begin, self._text[begin] in "\"'"
            key = self._key()
            self._skip()
            self._at += 1  # the colon
            self._skip()
            members[key] = self._value()
            comma = self._comma()

    def _list(self, start: int) -> Node:
        items: list[Node] = []
        comma = None
        self._at += 1
        while True:
            self._skip()
            if self._text[self._at] == "]":
                self._at += 1
                return Node(start, self._at, None, tuple(items), items[0].start if items else -1, comma)
            items.append(self._value())
            comma = self._comma()

    def _comma(self) -> int | None:
        self._skip()
        if self._text[self._at] != ",":
            return None
        self._at += 1
        return self._at

    def _key(self) -> str:
        begin = self._at
        if self._text[begin] in "\"'":
            self._string()
            return str(json5.loads(self._text[begin : self._at]))
        self._word()
        word = self._text[begin : self._at]
        return word if "\\" not in word else str(next(iter(json5.loads(f"{{{word}: 0}}"))))

    def _string(self) -> None:
        quote = self._text[self._at]
        self._at += 1
        while self._text[self._at] != quote:
            self._at += 2 if self._text[self._at] == "\\" else 1
        self._at += 1

    def _word(self) -> None:
        text = self._text
        while self._at < len(text) and text[self._at] not in _DELIMITERS and not text[self._at].isspace():
            self._at += 1
