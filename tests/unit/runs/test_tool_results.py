"""Calls and results, where only the run knows both: the rest is tests/doors/test_request_rules.py."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from app.runs.tool_results import check_tool_results
from app.sessions.message import Message
from tests.unit.conversation import assistant, said, user
from tests.unit.runs.jobs import job, request


def calling(*ids: str) -> Message:
    """Return an assistant's message with tool calls."""
    calls = [{"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call in ids]
    return said("assistant", None, tool_calls=calls)


def result(call: str) -> Message:
    """Return the result of a call."""
    return said("tool", "21", tool_call_id=call)


def fault(*messages: Message, kept: tuple[Message, ...] = (), known: int = 0) -> str | None:
    """Return the place that a conversation is refused for, or ``None``."""
    try:
        check_tool_results(job(*messages), kept, known)
    except InvalidRequest as error:
        return error.param
    return None


@pytest.mark.parametrize(
    ("kept", "new", "expected"),
    [
        ((user("a"), calling("c")), (result("c"),), None),
        ((user("a"), calling("c", "d")), (result("c"),), "messages"),
        ((user("a"), calling("c", "d")), (result("d"), user("b")), "messages"),
        ((user("a"), calling("c", "d"), result("c")), (result("d"),), None),
        ((user("a"), calling("c", "d"), result("c")), (result("c"),), "messages[0].tool_call_id"),
        ((user("a"), calling("c")), (user("b"),), None),
        ((user("a"), calling("c")), (user("b"), result("c")), "messages[1].tool_call_id"),
        ((user("a"), calling("c"), user("b"), assistant("x")), (result("c"),), "messages[0].tool_call_id"),
        ((), (assistant("about tool_calls"), user("b")), None),
    ],
)
def test_the_session_counts(kept: tuple[Message, ...], new: tuple[Message, ...], expected: str | None) -> None:
    """What is stored can be answered once, in whole, and only directly; it needn't be."""
    assert expected == fault(*new, kept=kept)


def test_what_the_session_knows_is_not_checked_again() -> None:
    """Of a resent conversation only what is new is looked at."""
    known = (user("a"), calling("c"), result("c"))
    assert fault(*known, user("b"), kept=known, known=3) is None
    assert "messages[3].tool_call_id" == fault(*known, result("c"), kept=known, known=3)


def test_places_are_those_of_the_request() -> None:
    """System messages stand between the others in the request, and count in the place that is named."""
    sent = request(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a"},
            {"role": "tool", "content": "21", "tool_call_id": "c"},
        ]
    )
    with pytest.raises(InvalidRequest) as caught:
        check_tool_results(job(user("a"), result("c"), request=sent), (), 0)
    assert "messages[2].tool_call_id" == caught.value.param


@pytest.mark.parametrize(("other", "expected"), [("", None), ("x", "messages[2].tool_call_id")])
def test_ids_of_any_length_are_compared_whole(other: str, expected: str | None) -> None:
    """Some services put what a model thought into them."""
    long = "c" * 300_000
    assert expected == fault(user("a"), calling(long), result(long + other))
