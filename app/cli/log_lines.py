"""The two forms of a line of the log: for people, and as JSON for machines. Both say what they are about.

What a record may have in it, ``app.log`` sees to.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app.log import about, escaped
from app.log_stream import LineFormatter

CONSOLE = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


class ConsoleLines(LineFormatter):
    """A line for people: what it is about stands behind the message."""

    def __init__(self) -> None:
        super().__init__(CONSOLE)
        self._clock = _Clock(None)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """See ``logging.Formatter``."""
        return self.line(record.created, record.levelno, record.name, record.message, _fields(record))

    def line(self, created: float, level: int, name: str, message: str, fields: Mapping[str, object]) -> str:
        """See ``LineFormatter``."""
        day, time, milliseconds = self._clock.read(created)
        line = f"{day} {time},{milliseconds:03d} {logging.getLevelName(level):<7} {name}  {message}"
        shown = " ".join([f"{name}={_shown(value)}" for name, value in fields.items()])
        return f"{line}  {shown}" if shown else line


class JsonLines(LineFormatter):
    """A JSON object."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = _Clock(UTC)

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        fields = _fields(record)
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        if trace:
            fields["traceback"] = trace
        return self.line(record.created, record.levelno, record.name, record.getMessage(), fields)

    def line(self, created: float, level: int, name: str, message: str, fields: Mapping[str, object]) -> str:
        """See ``LineFormatter``."""
        day, time, milliseconds = self._clock.read(created)
        line = {
            "time": f"{day}T{time}.{milliseconds:03d}+00:00",
            "level": logging.getLevelName(level).lower(),
            "logger": name,
            "message": message,
            **fields,
        }
        try:
            text = msgspec.json.encode(line).decode()
        except UnicodeEncodeError:  # half of a pair, which is no text
            return json.dumps(line)
        return text if text.isascii() else json.dumps(line)  # ASCII: nothing in it steers a terminal


class _Clock:
    """Tells what time it is in words. Most of them stay the same for a second."""

    def __init__(self, zone: Any) -> None:
        self._zone = zone
        self._now = (-1, "", "")

    def read(self, created: float) -> tuple[str, str, int]:
        """Return day, time and milliseconds."""
        second = int(created)
        now = self._now
        if now[0] != second:
            there = datetime.fromtimestamp(second, self._zone)
            now = self._now = (second, f"{there:%Y-%m-%d}", f"{there:%H:%M:%S}")
        return now[1], now[2], int((created - second) * 1000)


def formatter(form: Literal["auto", "console", "json"]) -> LineFormatter:
    """Return what writes lines in a form; ``auto`` is for people where standard error is a terminal."""
    people = sys.stderr.isatty() if form == "auto" else form == "console"
    return ConsoleLines() if people else JsonLines()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    told = about.get()
    own: dict[str, Any] = getattr(record, "fields", {})
    return {**(told.fields() if told is not None else {}), **own}


def _shown(value: object) -> str:
    text = escaped(str(value))
    return json.dumps(text) if " " in text or '"' in text or not text.isascii() else text
