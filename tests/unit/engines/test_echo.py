"""The echo engine: says what it is told, and honours n, stop and the limits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.models import CompletionUsage
from app.engines.echo import EchoEngine
from app.runs.answer import Answer
from app.runs.turn import Turn
from app.sessions.message import Message
from tests.unit.conversation import assistant, said, user
from tests.unit.runs.jobs import agent, request


def echoed(*messages: Message, **fields: object) -> Answer:
    """Return the engine's answer to messages, asked with the given fields."""
    asked = request(**fields)
    turn = Turn(run_id="run_1", agent=agent(), model="echo", messages=messages, request=asked, parameters={})

    async def run() -> Answer:
        answer = Answer(turn.choices)
        engine = EchoEngine()
        async for event in engine.run(turn):
            answer.feed(event)
        await engine.close()
        answer.complete()
        return answer

    return asyncio.run(run())


def texts(answer: Answer) -> list[tuple[str | None, str]]:
    """Return text and end of each choice."""
    return [(choice.message.content, choice.finish_reason) for choice in answer.choices()]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("hello  world\n")], "hello  world\n"),
        ([user("a"), assistant("b"), user("c")], "c"),
        ([user("a"), assistant("b")], "a"),
        ([user("a"), said("tool", "21", tool_call_id="c")], "21"),
        ([user("a"), said("function", None, name="f")], ""),
        ([said("system", "s"), user("")], ""),
        ([said("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], "a b"),
        ([said("user", [{"type": "image_url", "image_url": {"url": "u"}}])], ""),
        ([assistant("b")], ""),
    ],
)
def test_last_words(messages: list[Message], expected: str) -> None:
    """It repeats the text of the last user or tool message, to the letter."""
    assert [(expected, "stop")] == texts(echoed(*messages))


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text comes back whole, its blanks included."""
    assert [(text, "stop")] == texts(echoed(user(text)))


def test_choices() -> None:
    """Each of n choices says the same."""
    assert [("a b", "stop")] * 3 == texts(echoed(user("a b"), n=3))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 2}, ("one two ", "length")),
        ({"max_completion_tokens": 1}, ("one ", "length")),
        ({"max_completion_tokens": 1, "max_tokens": 2}, ("one ", "length")),
        ({"max_tokens": 3}, ("one two three", "stop")),
        ({"max_tokens": None}, ("one two three", "stop")),
        ({"stop": "tw"}, ("one ", "stop")),
        ({"stop": ["three", "two"]}, ("one ", "stop")),
        ({"stop": "nothing"}, ("one two three", "stop")),
        ({"stop": ""}, ("one two three", "stop")),
        ({"stop": "one"}, ("", "stop")),
        ({"stop": "three", "max_tokens": 2}, ("one two ", "stop")),
    ],
)
def test_limits(fields: dict[str, object], expected: tuple[str, str]) -> None:
    """It ends before a stop sequence, and at the limit of tokens with the reason length."""
    assert [expected] == texts(echoed(user("one two three"), **fields))


def test_usage() -> None:
    """A token is a word; prompt and all choices are counted."""
    answer = echoed(said("system", "Be brief."), user("one two three"), n=2)
    assert CompletionUsage(prompt_tokens=5, completion_tokens=6, total_tokens=11) == answer.usage


def test_usage_is_never_zero() -> None:
    """An empty prompt costs something."""
    assert CompletionUsage(prompt_tokens=1, completion_tokens=0, total_tokens=1) == echoed(user("")).usage
