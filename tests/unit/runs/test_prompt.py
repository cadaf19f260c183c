"""The system message: the agent's prompt first, then the request's; one message or none."""

from __future__ import annotations

import pytest

from app.runs.prompt import system_messages
from app.sessions.message import Message
from tests.unit.conversation import said

PARTS = said("system", [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}])
MARKED = said("developer", [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}], name="app")


@pytest.mark.parametrize("message", [said("system", "a"), said("developer", "a"), PARTS, MARKED, said("system", "")])
def test_alone(message: Message) -> None:
    """A request's one system message stays as it is when the agent has no prompt: role, name, parts and marks."""
    assert (message,) == system_messages("", [message])


def test_nothing() -> None:
    """Nothing to say is no message."""
    assert () == system_messages("", [])


@pytest.mark.parametrize(
    ("prompt", "requested", "expected"),
    [
        ("You are Zero.", [], "You are Zero."),
        ("You are Zero.", [said("system", "Be brief.")], "You are Zero.\n\nBe brief."),
        ("You are Zero.", [said("developer", "Be brief.")], "You are Zero.\n\nBe brief."),
        ("You are Zero.", [PARTS], "You are Zero.\n\nBe brief."),
        ("You are Zero.", [said("system", "")], "You are Zero."),
        ("", [said("system", "a"), said("developer", "b")], "a\n\nb"),
        ("z", [said("developer", "b"), said("system", "a"), PARTS], "z\n\nb\n\na\n\nBe brief."),
        (' "quoted"\u2028\n', [said("system", "{}")], ' "quoted"\u2028\n\n\n{}'),
    ],
)
def test_together(prompt: str, requested: list[Message], expected: str) -> None:
    """The agent's prompt comes first, what the request adds follows in order; it adds and doesn't replace."""
    assert (said("system", expected),) == system_messages(prompt, requested)
