"""Where a JSON value ends in a text that comes in pieces. Pure."""

from __future__ import annotations

from typing import Final

_BLANK: Final = " \t\r\n"


class JsonValue:
    """One JSON value in a stream of text.

    Attributes:
        done: Whether it has come to its end. Of a number at the very end of the text nobody can tell.
    """

    def __init__(self) -> None:
        self.done = False
        self._begun = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> str:
        """Return what of the text belongs to the value: not the blanks around it, nor anything behind."""
        begin = 0
        if not self._begun:
            begin = len(text) - len(text.lstrip(_BLANK))
            self._begun = begin < len(text)
        for at in range(begin, len(text)):
            if self.done:
                return text[begin:at]
            if self._take(text[at]):
                self.done = True
                return text[begin:at]
        return text[begin:]

    def _take(self, character: str) -> bool:
        """Take in a character. Returns whether it stands behind the value already."""
        if self._in_string:
            self._take_in_string(character)
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif self._depth == 0:
            return character in ",]}" or character in _BLANK
        elif character in "]}":
            self._depth -= 1
            self.done = self._depth == 0
        return False

    def _take_in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
            self.done = self._depth == 0
