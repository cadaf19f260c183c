"""The gateway's loggers: what others wrote can neither forge a line of the log nor steer the terminal that shows it.

Knows nothing of what is logged. Whoever says something in the log gets the logger from here.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import Final

MAX_CHARACTERS: Final = 8192
"""The longest message, before its escapes."""

_INDENT: Final = "    "
# Controls of both kinds, Unicode's line ends, halves of pairs, and what turns the direction of writing.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DONE: Final = "zero_one_line"
_format: Final = logging.Formatter()


class About:
    """What the lines of the log are about that are written meanwhile.

    Attributes:
        request: The request's id; empty where there is none (WebSocket).
        run: The run's id, once there is one.
        session: Its session's key.
        who: Who is asking: ``operator``, or ``key:`` and an API key's name.
    """

    __slots__ = ("request", "run", "session", "who")

    def __init__(self, request: str = "", run: str = "", session: str = "", who: str = "") -> None:
        self.request = request
        self.run = run
        self.session = session
        self.who = who

    def fields(self) -> dict[str, str]:
        """Return what is known, by the names that it has in the log."""
        every = {"request_id": self.request, "run_id": self.run, "session": self.session, "who": self.who}
        return {name: value for name, value in every.items() if value}


about: ContextVar[About | None] = ContextVar("about", default=None)
"""Of the task that is running."""


class OneLine(logging.Filter):
    """Has each record begin on one line of its own, and everything behind that (a traceback) on indented ones.

    For loggers and handlers; a record may come by several times.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record; it is never held back."""
        if getattr(record, _DONE, False):
            return True
        setattr(record, _DONE, True)
        try:
            message = record.getMessage()
        except Exception:  # somebody's template doesn't fit its values: then both are shown as they are
            message = f"{record.msg!r} {record.args!r}"
        record.msg, record.args = escaped(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _format.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = indented(record.exc_text)
        if record.stack_info:
            record.stack_info = indented(record.stack_info)
        return True


def logger(name: str) -> logging.Logger:
    """Return the logger of that name. Its records are safe to write, whoever's handlers do that."""
    found = logging.getLogger(name)
    if not any(isinstance(each, OneLine) for each in found.filters):
        found.addFilter(OneLine())
    return found


def escaped(text: str) -> str:
    """Return a text on one line, its control characters as backslash escapes, and cut where it is very long."""
    cut = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}... ({len(text)} characters)"
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), cut)


def indented(text: str) -> str:
    """Return a text of several lines, each escaped and indented, so that none looks like the beginning of a record."""
    return "\n".join(_INDENT + escaped(line) for line in text.split("\n"))
