"""The estimate of tokens: never nothing, never slow, and not of what isn't text."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.models import CompletionUsage
from app.runs.token_count import count, estimate, measured
from app.sessions.message import Message
from tests.unit.conversation import assistant, said, user


def estimated(messages: list[Message], *texts: str) -> CompletionUsage:
    """Estimate a turn's usage."""
    return asyncio.run(estimate(lambda: sum(measured(message).words for message in messages), texts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("hello world", 2), ("Olá, mundo!", 5), ("<|endoftext|>", 7), ("\n", 1), ("\u2028", 2)],
)
def test_count(text: str, expected: int) -> None:
    """A text has as many tokens as cl100k gives it; what looks like a special token is just text."""
    assert expected == count(text)


def test_usage() -> None:
    """The prompt is each message's text and four for its frame, the completion the texts of all choices."""
    expected = CompletionUsage(prompt_tokens=2 + 4 + 1 + 4, completion_tokens=2 + 1, total_tokens=14)
    assert expected == estimated([user("hello world"), assistant("hello")], "hello world", "hello")


@pytest.mark.parametrize("texts", [(), ("",), ("", "")])
def test_never_zero(texts: tuple[str, ...]) -> None:
    """An empty answer to an empty message still costs something."""
    usage = estimated([user("")], *texts)
    assert (4, 1, 5) == (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


@settings(max_examples=40)
@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text(prompt: str, texts: list[str]) -> None:
    """Whatever the text, both counts are positive and the total is their sum."""
    usage = estimated([user(prompt)], *texts)
    assert usage.prompt_tokens >= 4
    assert usage.completion_tokens >= 1
    assert usage.prompt_tokens + usage.completion_tokens == usage.total_tokens


@pytest.mark.parametrize("letter", ["a", " ", "é", "\n", "漢"])
def test_long_unbroken_text(letter: str) -> None:
    """A megabyte without a break is counted in a time that grows with its length only: this test would hang else."""
    assert 1_000 < count(letter * 1_000_000) < 3_000_000


def test_more_text_is_more_tokens() -> None:
    """Counting in pieces doesn't lose any of them."""
    text = "The quick brown fox jumps over the lazy dog. " * 200
    whole = count(text)
    assert 2 * whole - 5 <= count(text + text) <= 2 * whole + 5
    assert 0.95 * 2000 < whole < 1.05 * 2000 + 100


URI = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 400).decode()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "input_audio", "input_audio": {"data": URI[22:], "format": "wav"}},
        {"type": "file", "file": {"file_data": URI[22:]}},
        {"type": "file", "file": {"file_data": URI}},
    ],
)
def test_files_are_not_text(part: dict[str, object]) -> None:
    """The megabytes of an image, a recording or a file aren't counted as words."""
    text = {"type": "text", "text": "hello world"}
    assert estimated([said("user", [text, part])]).prompt_tokens < 12


@pytest.mark.parametrize("text", ["data: hello world", "data:\nhello world", "data:hello world, and more"])
def test_text_that_begins_like_a_data_uri(text: str) -> None:
    """Words that just begin with "data:" are counted."""
    assert 4 + count(text) == estimated([user(text)]).prompt_tokens


def test_tool_calls_count() -> None:
    """What a model reads of a tool call, its name and arguments, is counted."""
    function = {"name": "get_weather", "arguments": '{"city": "Lisboa"}'}
    message = said("assistant", None, tool_calls=[{"id": "", "type": "function", "function": function}])
    expected = 4 + count("get_weather") + count('{"city": "Lisboa"}')
    assert expected == estimated([message]).prompt_tokens
