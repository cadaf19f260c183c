"""Where a gateway writes its log: records at once, and lines of which there are very many several in one write.

Owns when something is written. Neither what a line says nor who says it is known here.
"""

from __future__ import annotations

import logging
from asyncio import get_running_loop
from collections.abc import Mapping
from typing import Final, TextIO

from app.log import OneLine

APART_SECONDS: Final = 0.05
"""Time between two writes of lines: a line waits no longer. One that comes after a while of silence doesn't wait."""
TOGETHER: Final = 32 * 1024
"""Characters that are written at once: half of what a pipe holds on Linux."""


class LineFormatter(logging.Formatter):
    """A form that has no need of a record."""

    def line(self, created: float, level: int, name: str, message: str, fields: Mapping[str, object]) -> str:
        """Return a line, without its end.

        Args:
            created: Seconds since 1970.
            level: As ``logging`` counts it.
            name: The logger's.
            message: On one line, and safe to show.
            fields: What it is about, and whatever else it says.
        """
        raise NotImplementedError


class LogStream(logging.StreamHandler[TextIO]):
    """Writes to standard error. What is written keeps its order."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._size = 0
        self._due = False
        self._next = 0.0

    def add(self, line: str) -> None:
        """Write a line soon. To be called on the event loop only.

        Args:
            line: As a ``LineFormatter`` returns it.
        """
        self._lines.append(line)
        self._size += len(line)
        if self._size > TOGETHER:
            self._write()
        elif not self._due:
            self._due = True
            loop = get_running_loop()
            now = loop.time()
            if self._next > now:
                loop.call_at(self._next, self._tick)
            else:
                loop.call_soon(self._tick)

    def flush(self) -> None:
        """Write what is still to be written."""
        self.acquire()
        try:
            # A line may be added meanwhile, where this is another thread than the event loop's.
            lines = self._lines[:]
            del self._lines[: len(lines)]
            self._size = 0
            if lines:
                self.stream.write("\n".join((*lines, "")))
            super().flush()
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        if self._lines:
            self._write()
        super().emit(record)

    def _tick(self) -> None:
        # Whoever else wrote meanwhile has left this to come: there is never more than one of it.
        self._due = False
        self._next = get_running_loop().time() + APART_SECONDS
        self._write()

    def _write(self) -> None:
        try:
            self.flush()
        except Exception:  # as with records: a log that can't be written ends nothing
            self.handleError(logging.makeLogRecord({"name": __name__, "msg": "lines of the log are lost"}))


def sole_stream(log: logging.Logger, level: int) -> tuple[LogStream, LineFormatter] | None:
    """Return what alone would write a logger's records, and its form; ``None`` if anybody else is to see them."""
    if log.filters and not (len(log.filters) == 1 and type(log.filters[0]) is OneLine):
        return None
    found: logging.Handler | None = None
    each: logging.Logger | None = log
    while each is not None:
        for handler in each.handlers:
            if found is not None:
                return None
            found = handler
        each = each.parent if each.propagate else None
    if type(found) is not LogStream or found.level > level or not log.isEnabledFor(level):
        return None
    if len(found.filters) > 1 or not all(type(one) is OneLine for one in found.filters):
        return None
    form = found.formatter
    return (found, form) if isinstance(form, LineFormatter) else None
