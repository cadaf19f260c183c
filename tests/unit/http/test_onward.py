"""Answers that are given behind the router: in its place, with the same errors."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from app.errors import RateLimited
from app.http.notes import Notes
from app.http.onward import Onward, answer_later


def asked(answer: Any) -> tuple[list[str], list[Any]]:
    """Return the order of what happened, and what was sent, for a handler that leaves ``answer`` behind."""
    happened: list[str] = []
    sent: list[Any] = []

    async def router(scope: Any, _receive: Any, _send: Any) -> None:
        if answer is not None:
            answer_later(scope, answer)
        happened.append("router done")

    async def send(message: Any) -> None:
        happened.append("sent")
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody asks")

    scope: Any = {"type": "http", "headers": []}
    Notes.begun(scope, b"req_1")
    asyncio.run(Onward(router)(scope, receive, send))
    return happened, sent


def test_an_answer_follows_the_router() -> None:
    """It begins when the router has returned."""

    async def answer(_receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    assert (["router done", "sent"], 204) == ((found := asked(answer))[0], found[1][0]["status"])


def test_a_request_that_is_answered_already_is_left_alone() -> None:
    """Nothing is sent where the handler has left nothing behind."""
    assert (["router done"], []) == asked(None)


def test_an_answer_that_fails_is_the_error_it_names() -> None:
    """As if the handler had raised it: status, headers and OpenAI's error object."""

    async def answer(_receive: Any, _send: Any) -> None:
        raise RateLimited("Too many.", retry_after=3)

    _, (start, body) = asked(answer)
    assert (429, b"3") == (start["status"], dict(start["headers"])[b"retry-after"])
    assert "Too many." == json.loads(body["body"])["error"]["message"]


def test_an_answer_that_crashes_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the request's id, and the log what happened."""

    async def answer(_receive: Any, _send: Any) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        _, (start, body) = asked(answer)
    assert 500 == start["status"]
    assert "req_1" in json.loads(body["body"])["error"]["message"]
    assert ["request req_1 failed"] == [record.message for record in caplog.records]
