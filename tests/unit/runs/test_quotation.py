"""A conversation as quoted text, for a model that reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.quotation import bounded, excerpt, quoted, spoken
from app.runs.token_count import count
from app.sessions.message import Message
from tests.unit.conversation import assistant, said, user

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
WRITING = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}


@given(st.text())
def test_nothing_gets_out_of_a_quotation(text: str) -> None:
    """Whatever a message says, each of its lines is marked as quoted, by whichever character lines end."""
    assert all(line.startswith(">") for line in quoted(text).splitlines())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (user("a\n\nb"), "User:\n> a\n>\n> b"),
        (said("user", [{"type": "text", "text": "what is"}, PICTURE]), "User:\n> what is\n> [image]"),
        (said("user", [SOUND, WRITING, {"type": "hologram"}]), "User:\n> [recording]\n> [file]\n> [something else]"),
        (assistant("A"), "Assistant:\n> A"),
        (said("assistant", None, tool_calls=[CALL]), 'Assistant:\n> [calls the tool look] {"at": "x"}'),
        (
            said("assistant", "Look:", tool_calls=[{"type": "custom", "custom": {"name": "sh", "input": "ls\npwd"}}]),
            "Assistant:\n> Look:\n> [calls the tool sh] ls\n> pwd",
        ),
        (
            said("assistant", None, function_call={"name": "look", "arguments": "{}"}),
            "Assistant:\n> [calls the tool look] {}",
        ),
        (said("assistant", None, refusal="No."), "Assistant:\n> No."),
        (said("assistant", [{"type": "refusal", "refusal": "No."}]), "Assistant:\n> No."),
        (said("assistant", None, audio={"id": "a1"}), "Assistant:\n> [recording]"),
        (said("tool", "found", tool_call_id="c1"), "Result of a tool:\n> found"),
        (said("function", "found", name="look"), "Result of a tool:\n> found"),
        (user(""), "User: nothing."),
    ],
)
def test_messages(message: Message, expected: str) -> None:
    """Who says what; calls and results as text, files only named."""
    assert expected == spoken(message)


STEPS = [
    user("u " * 10),
    said("assistant", None, tool_calls=[CALL]),
    said("tool", "r " * 30, tool_call_id="c1"),
    assistant("a " * 10),
]


def test_as_many_steps_as_there_is_room_for() -> None:
    """A call goes with its results, or not at all."""
    sizes = [count(spoken(message)) for message in STEPS]
    for room, end in (
        (sizes[0], 1),
        (sum(sizes[:3]) - 1, 1),
        (sum(sizes[:3]), 3),
        (sum(sizes) - 1, 3),
        (sum(sizes), 4),
    ):
        text, found = excerpt(STEPS, 0, 4, room)
        assert end == found
        assert "\n\n".join(map(spoken, STEPS[:end])) == text
    assert ("\n\n".join(map(spoken, STEPS[1:3])), 3) == excerpt(STEPS, 1, 3, 1_000)


def test_a_step_that_is_too_long_by_itself() -> None:
    """Is there in part, its beginning and its end, so that what comes behind it is told of as well."""
    steps = [said("user", "begin " + "x " * 5_000 + "end"), assistant("a")]
    text, end = excerpt(steps, 0, 2, 200)
    assert 1 == end
    assert 100 < count(text) <= 220
    assert text.startswith("User:\n> begin x")
    assert text.endswith("x end")
    assert "\n> [...]\n" in text


@given(st.text(max_size=400), st.integers(1, 60))
def test_bounded(text: str, tokens: int) -> None:
    """No more tokens than that, the text's own beginning, and all of it if it fits."""
    found = bounded(text, tokens)
    assert count(found) <= tokens
    assert text.startswith(found)
    assert found == text or count(text) > tokens


def test_bounded_ends_with_a_sentence() -> None:
    """If there is one in the second half of what fits."""
    assert "One is one. Two is two." == bounded("One is one. Two is two. Three is three, and more.", 12)
    assert "- one\n- two" == bounded("- one\n- two\n- three and four and five", 8)
