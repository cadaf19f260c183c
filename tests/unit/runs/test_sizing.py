"""Conversations cut to size: each message counted once, tools counted too, and less on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from app.config import Window
from app.runs import sizing
from app.runs.sizing import Conversation, Sizing
from app.runs.token_count import FILE_TOKENS, Size, count, largest_size, measured, size
from app.sessions.history import History, Spoken
from app.sessions.message import Message
from app.sessions.store import StoredMessage
from tests.unit.conversation import assistant, said, user

WORD = "word " * 99
"""Some hundred tokens, with the message's frame."""


def history(turns: int) -> list[Message]:
    """Return turns of some two hundred tokens each, all different."""
    return [said(role, f"{turn} {WORD}") for turn in range(turns) for role in ("user", "assistant")]


def fitted(
    sized: Sizing, past: Sequence[Message], window: int | None, parameters: Mapping[str, Any] | None = None
) -> tuple[Message, ...]:
    """Cut a conversation with a short question to size."""
    conversation = Conversation((), past, (user("and now?"),))
    bound = Window(window) if window is not None else None
    return asyncio.run(sized.fitted(conversation, bound, parameters or {}, 0))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Messages whose tokens were really counted."""
    seen: list[Message] = []

    def counting(message: Message) -> Size:
        seen.append(message)
        return measured(message)

    monkeypatch.setattr(sizing, "measured", counting)
    return seen


def test_a_model_of_unknown_size_gets_everything(counted: list[Message]) -> None:
    """Nobody has said what it has room for."""
    assert 201 == len(fitted(Sizing(), history(100), None))
    assert [] == counted


def test_what_surely_fits_is_not_counted(counted: list[Message]) -> None:
    """No token is less than a byte."""
    assert 21 == len(fitted(Sizing(), history(10), 100_000))
    assert [] == counted


def test_each_message_is_counted_once(counted: list[Message]) -> None:
    """The thousandth turn counts the two messages that came since the last one, and the system message never again."""
    sized, system = Sizing(), said("system", "s " * 500)
    past = history(1_000)

    def ask(turns: int) -> int:
        conversation = Conversation((system,), past[: 2 * turns], (user(f"question {turns}"),))
        asyncio.run(sized.fitted(conversation, Window(30_000), {}, 1))
        return len(counted)

    ask(998)
    before = ask(999)
    # The last question's answer, its question, and the new question.
    assert 3 == ask(1_000) - before


@pytest.mark.parametrize("window", [600, 2_000, 8_000, 22_000, 24_000, 400_000])
def test_a_session_s_history_is_cut_as_any_other(window: int) -> None:
    """What is known of a history as a whole saves looking at it, and changes nothing."""
    sized, past = Sizing(), history(100)
    spoken = Spoken.of(past)
    for turns in (30, 99, 100, 50):
        messages, sums = past[: 2 * turns], Spoken.of(past[: 2 * turns])
        expected = fitted(Sizing(), messages, window)
        assert expected == fitted(sized, sums, window) == fitted(sized, spoken[: 2 * turns], window)
        assert expected == fitted(sized, sums, window)


@pytest.mark.parametrize("window", [4_096, 100_000, 400_000], ids=["cut", "counted", "surely fits"])
def test_a_history_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """In a window that is full or not yet full, the thousandth turn looks at no more messages than the tenth."""
    looked_at: list[Message] = []

    def looking(message: Message) -> int:
        looked_at.append(message)
        return largest_size(message)

    def once(sized: Sizing, raw: bytes, counting: Callable[[], Size], at_once: object = None) -> Size:
        looked_at.append(user("counted"))
        return really(sized, raw, counting, at_once)  # type: ignore[arg-type]  # what it was called with

    really = Sizing._once
    monkeypatch.setattr(sizing, "largest_size", looking)
    monkeypatch.setattr(Sizing, "_once", once)
    sized, past = Sizing(), History()
    amounts = []
    for turn in range(200):
        looked_at.clear()
        kept = fitted(sized, past.messages, window)
        assert 2 * turn + 1 == len(kept) if window > 4_096 or turn < 10 else 15 < len(kept) < 40
        amounts.append(len(looked_at))
        past = past.extended(StoredMessage("", "", message) for message in history(turn + 1)[-2:])
    assert max(amounts[-10:]) <= 4


def test_an_estimate_counts_what_is_new(counted: list[Message]) -> None:
    """Where the engine doesn't count, a long session's thousandth turn counts what has come since the turn before."""
    sized, system, past = Sizing(), said("system", "s"), History()
    amounts = []
    for turn in range(100):
        conversation = Conversation((system,), past.messages, (user(f"question {turn}"),))
        counted.clear()
        told = conversation.messages
        assert sum(measured(message).words for message in told) == sized.words_in(conversation, told)
        amounts.append(len(counted))
        past = past.extended(StoredMessage("", "", message) for message in history(turn + 1)[-2:])
    assert [3] * 99 == amounts[1:]


def test_an_estimate_of_what_was_cut_counts_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it does once the window is full, and with the first turn pinned; what it comes to is the sum."""
    looked_at: list[bytes] = []

    def once(sized: Sizing, raw: bytes, counting: Callable[[], Size], at_once: object = None) -> Size:
        looked_at.append(raw)
        return really(sized, raw, counting, at_once)  # type: ignore[arg-type]  # what it was called with

    really = Sizing._once
    monkeypatch.setattr(Sizing, "_once", once)
    sized, system, past = Sizing(), said("system", "s"), History()
    amounts = []
    for turn in range(100):
        conversation = Conversation((system,), past.messages, (user(f"question {turn}"),))
        told = asyncio.run(sized.fitted(conversation, Window(4_096), {}, 1))
        looked_at.clear()
        assert sum(measured(message).words for message in told) == sized.words_in(conversation, told)
        amounts.append(len(looked_at))
        past = past.extended(StoredMessage("", "", message) for message in history(turn + 1)[-2:])
    assert len(told) < 30
    assert max(amounts[20:]) <= 6  # the system message, two pinned ones, two new ones, the question


def test_an_estimate_is_of_what_was_told() -> None:
    """Not of what a summary stands for, even if nothing has become shorter by it; files are no words."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "look"}, picture]
    past, new = history(10), Message("user", msgspec.Raw(msgspec.json.encode({"role": "user", "content": parts})))
    conversation = Conversation((), Spoken.of(past), (new,))
    told = (said("system", "in short"), *past[1:], new)
    assert conversation.is_all_in(told)
    expected = sum(count(text) + 4 for text in ("in short", *(f"{at // 2} {WORD}" for at in range(1, 20)), "look"))
    assert expected == Sizing().words_in(conversation, told)


def test_the_whole_window_is_used_and_not_more() -> None:
    """The prompt is counted as the estimate counts it, and leaves a tenth and the answer's share free."""
    kept = fitted(Sizing(), history(100), 8_000)
    assert 3_000 < sum(map(size, kept)) <= 8_000 - 800 - 2_000


TOOLS = msgspec.json.encode([{"type": "function", "function": {"name": "f", "description": WORD * 20}}])


@pytest.mark.parametrize("value", [msgspec.Raw(TOOLS), msgspec.json.decode(TOOLS)], ids=["request's", "agent's"])
@pytest.mark.parametrize("name", ["tools", "functions", "response_format"])
def test_tools_take_up_room(name: str, value: object) -> None:
    """What describes tools and answers is part of what the model reads, whoever says it."""
    without, with_tools = (fitted(Sizing(), history(100), 8_000, said) for said in ({}, {name: value}))
    assert count(TOOLS.decode()) - 600 < sum(map(size, without)) - sum(map(size, with_tools))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("raw", [True, False])
def test_the_answer_s_limit_is_what_is_kept_free(name: str, raw: bool) -> None:
    """The client's limit or the agent's, under either name."""
    little, much = (
        fitted(Sizing(), history(100), 8_000, {name: msgspec.Raw(b"%d" % limit) if raw else limit})
        for limit in (10, 3_900)
    )
    assert len(little) > len(much) + 10
    assert len(fitted(Sizing(), history(100), 8_000)) == len(
        fitted(Sizing(), history(100), 8_000, {name: msgspec.Raw(b"null")})
    )


def test_half() -> None:
    """What a model found too long is halved until only the request is left, and then no more."""
    sized = Sizing()
    conversation = Conversation((said("system", "Be brief."),), history(40), (user("and now?"),))
    told: tuple[Message, ...] | None = conversation.messages
    sizes = []
    while told is not None:
        sizes.append(sum(map(size, told)))
        last, told = told, asyncio.run(sized.halved(conversation, told, 1))
    assert (*conversation.system, *conversation.new) == last
    assert all(less <= more / 2 or less == sizes[-1] for more, less in pairwise(sizes))
    assert 3 < len(sizes) < 12


def test_remembered_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch, counted: list[Message]) -> None:
    """The oldest is forgotten, and what was asked for lately is not."""
    monkeypatch.setattr(sizing, "REMEMBERED", 2)
    sized, (a, b, c) = Sizing(), (user("a"), user("b"), user("c"))
    for message in (a, b, a, c, a, b):
        assert size(message) == sized.size(message)
    assert [a, b, c, b] == counted


PICTURE = {"type": "image_url", "image_url": {"url": "https://images.example.com/1.png"}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (user("hello world"), 6),
        (said("user", [{"type": "text", "text": "hello world"}]), 6),
        (
            said("user", [PICTURE, {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]),
            2 * FILE_TOKENS,
        ),
        (assistant(""), 4),
        (said("assistant", [{"type": "refusal", "refusal": "no"}]), 5),
        (said("assistant", None), 4),
    ],
)
def test_size(message: Message, expected: int) -> None:
    """Words by the tokenizer, four for the frame, a thousand for each file; and never above the bound."""
    assert expected <= size(message) <= expected + 20 * ("https" in bytes(message.raw).decode())
    assert size(message) <= largest_size(message)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was given to a thread."""
    given: list[object] = []
    to_thread = asyncio.to_thread

    async def noting(work: Any, *arguments: Any) -> Any:
        given.append(work)
        return await to_thread(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", noting)
    return given


def test_the_next_turn_needs_no_thread(threads: list[object]) -> None:
    """Where all but the last messages were counted before, the rest is counted at once; it comes to the same."""
    sized, past = Sizing(), history(100)
    count("the vocabulary is loaded by this")
    fitted(sized, past[:-2], 10_000)
    before = len(threads)
    told = fitted(sized, past, 10_000)
    assert before == len(threads)
    assert fitted(Sizing(), past, 10_000) == told


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (history(100), "nothing was counted before"),
        ([said("user", f"{number}") for number in range(3_000)], "there are many to be looked at"),
        ([*history(100)[:-1], said("assistant", WORD * 50)], "one of them is long"),
    ],
)
def test_more_work_goes_to_a_thread(threads: list[object], past: list[Message], why: str) -> None:
    """The event loop does no more of it than takes two milliseconds or so."""
    sized = Sizing()
    count("the vocabulary is loaded by this")
    if why != "nothing was counted before":
        fitted(sized, past[:-1], 16_000)
        threads.clear()
    fitted(sized, past, 16_000)
    assert 1 == len(threads), why
