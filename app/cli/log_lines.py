"""The two forms of a line of the log: for people, and as JSON for machines. Both say what they are about.

What a record may have in it, ``app.log`` sees to.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from app.log import about, escaped

CONSOLE = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


class ConsoleLines(logging.Formatter):
    """A line for people: what it is about stands behind the message."""

    def __init__(self) -> None:
        super().__init__(CONSOLE)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """See ``logging.Formatter``."""
        fields = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        line = super().formatMessage(record)
        return f"{line}  {fields}" if fields else line


class JsonLines(logging.Formatter):
    """A JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        if trace:
            line["traceback"] = trace
        return json.dumps(line)  # ASCII: nothing in it steers a terminal


def formatter(form: Literal["auto", "console", "json"]) -> logging.Formatter:
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
