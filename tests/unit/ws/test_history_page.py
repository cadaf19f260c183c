"""How much of a history goes into one answer."""

from __future__ import annotations

import msgspec
import pytest

from app.sessions.message import Message
from app.ws import history_page
from app.ws.history_page import PAGE_BYTES, SHORTENED_CHARS, TOO_LARGE, page
from tests.official import Json
from tests.unit.conversation import assistant, said, user
from tests.ws.client import said as shown
from tests.ws.contract import validator

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TWO = [{"type": "text", "text": "a"}, {"type": "text", "text": "b" * PAGE_BYTES}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "x" * PAGE_BYTES}}


def shown_of(*messages: Message, max_chars: int | None = None) -> list[Json]:
    """Return a page as clients get it; it must be valid by the contract and fit into an answer."""
    found = msgspec.json.encode(page(messages, max_chars=max_chars))
    assert len(found) <= PAGE_BYTES
    told: list[Json] = msgspec.json.decode(found)
    for message in told:
        validator("ChatMessage").validate(message)
    return told


def test_what_fits_is_shown() -> None:
    """In order, and all of it where there is room."""
    assert [] == shown_of()
    assert [("user", "a"), ("assistant", "b")] == [shown(one) for one in shown_of(user("a"), assistant("b"))]


def test_the_latest_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as have room together, to the byte; those before them have to be asked for."""
    messages = [user(f"{number}" * 10) for number in range(5)]
    one = len(msgspec.json.encode(page(messages[:1])[0])) + 1
    for room, expected in ((5 * one, 5), (5 * one - 1, 4), (2 * one, 2), (2 * one - 1, 1)):
        monkeypatch.setattr(history_page, "PAGE_BYTES", room)
        assert messages[-expected:] == [user(shown(message)[1]) for message in shown_of(*messages)]


def test_nothing_behind_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that doesn't fit ends the page, though a shorter one before it would fit."""
    monkeypatch.setattr(history_page, "PAGE_BYTES", 200)
    assert ["c"] == [shown(one)[1] for one in shown_of(user("a"), user("x" * 100), user("c"))]


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (user("x" * PAGE_BYTES), ["x" * SHORTENED_CHARS]),
        (user("\x00" * (PAGE_BYTES // 6)), ["\x00" * SHORTENED_CHARS]),
        (said("user", [{"type": "text", "text": "x" * PAGE_BYTES}, PICTURE]), ["x" * SHORTENED_CHARS]),
        (said("user", [PICTURE, {"type": "text", "text": "x" * PAGE_BYTES}]), [None, "x" * SHORTENED_CHARS]),
        (said("user", TWO), ["a", "b" * (SHORTENED_CHARS - 1)]),
        (said("user", [{"type": "text", "text": ""}] * 200_000), [""] * 1_000),
        (said("assistant", "a", tool_calls=[CALL]), ["a"]),
        (said("tool", "a", tool_call_id="x" * PAGE_BYTES), ["a"]),
    ],
    ids=["text", "escaped", "part", "picture", "parts", "many parts", "call", "id"],
)
def test_too_large_for_a_page(message: Message, kept: list[str | None]) -> None:
    """The beginning of a message that alone is too large is shown, and the words that say that something is missing."""
    (found,) = shown_of(user("before"), message)

    assert [*kept, TOO_LARGE] == [part.get("text") for part in found["content"]]


def test_cut_texts_need_less_room() -> None:
    """A message is measured as it is shown."""
    found = shown_of(user("x" * PAGE_BYTES), user("y" * PAGE_BYTES), max_chars=3)

    assert ["xxx", "yyy"] == [shown(message)[1] for message in found]
