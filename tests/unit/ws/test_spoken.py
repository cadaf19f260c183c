"""Between texts and messages: what the WebSocket shows of what is stored."""

from __future__ import annotations

import msgspec
import pytest

from app.routing.target import Target
from app.ws.spoken import chat_message, job_of_text, text_of
from tests.official import Json
from tests.unit.conversation import said, script
from tests.unit.runs.jobs import agent
from tests.ws.contract import validator

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def shown(role: str, content: Json, max_chars: int | None = None, **fields: Json) -> Json:
    """Return a stored message as clients see it, in JSON; it must be valid by the contract."""
    found = msgspec.to_builtins(chat_message(said(role, content, **fields), max_chars=max_chars))
    validator("ChatMessage").validate(found)
    return found


@pytest.mark.parametrize(
    ("role", "content", "expected"),
    [
        ("user", "hi", ("user", [{"type": "text", "text": "hi"}])),
        ("assistant", "hi", ("assistant", [{"type": "text", "text": "hi"}])),
        ("assistant", None, ("assistant", [])),
        ("user", [], ("user", [])),
        (
            "user",
            [{"type": "text", "text": "a"}, PICTURE],
            ("user", [{"type": "text", "text": "a"}, {"type": "omitted"}]),
        ),
        ("tool", "2", ("toolResult", [{"type": "text", "text": "2"}])),
        ("function", "2", ("toolResult", [{"type": "text", "text": "2"}])),
    ],
)
def test_messages(role: str, content: Json, expected: tuple[str, Json]) -> None:
    """The content is always a list; what is no text is there, but not shown."""
    found = shown(role, content)

    assert expected == (found["role"], found["content"])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"function": {"name": "f", "arguments": '{"a": [1]}'}}, {"a": [1]}),
        ({"function": {"name": "f", "arguments": ""}}, ""),
        ({"function": {"name": "f", "arguments": "{a"}}, "{a"),
        ({"function": {"name": "f", "arguments": "[" * 5000}}, "[" * 5000),
        ({"custom": {"name": "f", "input": "free text"}}, "free text"),
        ({"function": {"name": "f"}}, ""),
    ],
)
def test_calls(call: Json, expected: Json) -> None:
    """What a tool is to be called with is read where it is JSON."""
    found = shown("assistant", None, tool_calls=[{"id": "c1", **call}])["content"]

    assert [{"type": "toolCall", "id": "c1", "name": "f", "arguments": expected}] == found


def test_results_name_their_call() -> None:
    """So that a client can put them beside it."""
    assert "c1" == shown("tool", "2", tool_call_id="c1")["toolCallId"]


def test_long_texts_are_cut() -> None:
    """Each of them, where that is asked for."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    assert ["on", "tw"] == [part["text"] for part in shown("user", parts, 2)["content"]]
    assert "on" == shown("user", "one", 2)["content"][0]["text"]


def test_the_words_of_a_message() -> None:
    """All its texts, one after the other."""
    assert "ab" == text_of(said("user", [{"type": "text", "text": "a"}, PICTURE, {"type": "text", "text": "b"}]))
    assert "" == text_of(said("assistant", None))


@pytest.mark.parametrize("system", ["", "Be brief."])
def test_a_text_becomes_a_job(system: str) -> None:
    """As if it had come over HTTP: one user message, and a developer's for what is added to the prompt."""
    target = Target(agent(), "agent:main:k", stateful=True)
    job = job_of_text("hi", target, "r1", system=system, time_limit=3.0)

    assert ["user: hi"] == script(job.messages)
    assert ([f"developer: {system}"] if system else []) == script(job.system)
    assert ("r1", target, 3.0, {}) == (job.run_id, job.target, job.time_limit, job.parameters)
