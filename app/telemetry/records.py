"""What is written of requests and runs: an access line for each request, and the audit log of runs.

Nothing of what was said is in either.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from time import perf_counter, time
from typing import Any, Final

import msgspec

from app.config import ConfigError
from app.log import logger
from app.log_stream import sole_stream
from app.telemetry.facts import CallFacts, RequestFacts, RunFacts

_access: Final = logger("zero.access")


def access_lines_are_read() -> bool:
    """Tell whether the log has a place for access lines: one that shows warnings only doesn't."""
    return _access.isEnabledFor(logging.INFO)


class AccessLines:
    """Writes a line for each HTTP request when it is over. A ``Sink``.

    A record of ``logging`` is made only if somebody else than the gateway's own log may want to see it: a record takes
    several times as long as the line.
    """

    def request_over(self, request: RequestFacts) -> None:
        """See ``Sink``."""
        seconds = request.seconds
        overhead = request.overhead(seconds)
        fields: dict[str, Any] = {"status": request.status or 499, "duration_ms": _milliseconds(seconds)}
        if overhead is not None:
            fields["overhead_ms"] = _milliseconds(overhead)
        if request.streamed and request.first_byte is not None:
            fields["first_chunk_ms"] = _milliseconds(request.first_byte - request.began)
        run = request.run
        if run is not None:
            fields["agent"] = run.job.target.agent.id
            fields["outcome"] = run.outcome
            if run.answer is not None and run.answer.usage is not None:
                fields["input_tokens"] = run.answer.usage.prompt_tokens
                fields["output_tokens"] = run.answer.usage.completion_tokens
        message = f"{request.method} {request.route or '(no such path)'}"
        place = sole_stream(_access, logging.INFO)
        if place is None:
            _access.info("%s", message, extra={"fields": fields})
            return
        stream, form = place
        known = request.about.fields() if request.about is not None else {}
        stream.add(form.line(time(), logging.INFO, _access.name, message, {**known, **fields}))

    def run_over(self, run: RunFacts) -> None:
        """See ``Sink``."""

    def call_over(self, call: CallFacts) -> None:
        """See ``Sink``."""

    def close(self) -> None:
        """Write what is still to be written."""
        place = sole_stream(_access, logging.INFO)
        if place is not None:
            place[0].flush()


class AuditLog:
    """Appends a line of JSON to a file for each run when it is over. A ``Sink``.

    A file that was moved away (logrotate) is made anew. Several processes may share one.

    Args:
        path: The file; only its owner may read it.

    Raises:
        ConfigError: If it can't be written.
    """

    def __init__(self, path: str) -> None:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            self._file = WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"the audit log can't be written: {os.strerror(error.errno or 0).lower()}",
                "Name a file in a folder that the gateway may write to.",
                path="gateway.logs.audit",
            ) from None

    def request_over(self, request: RequestFacts) -> None:
        """See ``Sink``."""

    def run_over(self, run: RunFacts) -> None:
        """See ``Sink``."""
        job, answer = run.job, run.answer
        usage = answer.usage if answer is not None else None
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run_id": job.run_id,
            "request_id": run.request_id or None,
            "who": job.caller,
            "agent": job.target.agent.id,
            "session": job.target.session_key,
            "model": str(answer.model) if answer is not None and answer.model is not None else None,
            "outcome": run.outcome,
            "code": run.error_code or None,
            "input_tokens": usage.prompt_tokens if usage is not None else None,
            "output_tokens": usage.completion_tokens if usage is not None else None,
            "estimated": answer.estimated if answer is not None else None,
            "seconds": round(perf_counter() - run.began, 6),
        }
        text = msgspec.json.encode(line).decode()
        self._file.handle(logging.LogRecord("zero.audit", logging.INFO, "", 0, text, None, None))

    def call_over(self, call: CallFacts) -> None:
        """See ``Sink``."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
