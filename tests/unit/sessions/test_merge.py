"""The merge rule: what a request adds to what is stored, whichever way a client resends its conversation."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.merge import Merge, Sent, merge, never_answered

# In the words below a small letter is a user's message and a capital one is the assistant's.


def sent(conversation: str) -> list[Sent]:
    """Return the messages of a request."""
    return [Sent(message, message.isupper()) for message in conversation]


def test_long_repetitive_conversations_are_matched_in_linear_time() -> None:
    """Tens of thousands of equal messages, the worst there is, take no time worth naming: the loop waits for it."""
    many = 20_000
    began = time.process_time()
    assert Merge(0, 0) == merge(["x"] + ["u"] * many, sent("u" * many + "A" + "u"))
    assert Merge(many + 1, many) == merge(["x"] + ["A"] * many, sent("A" * many + "u"))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("stored", "request_", "expected"),
    [
        # The first request of a session: all of it is new.
        ("", "a", Merge(0, 0)),
        ("", "aAb", Merge(0, 0)),
        # Rule 1: only the last message, or several, but nothing of the assistant's.
        ("aA", "b", Merge(2, 0)),
        ("aA", "a", Merge(2, 0)),
        ("aA", "bc", Merge(2, 0)),
        ("aAbB", "c", Merge(4, 0)),
        # Rule 2: everything, from the beginning.
        ("aA", "aAb", Merge(2, 2)),
        ("aAbB", "aAbBc", Merge(4, 4)),
        ("aAbB", "aAbBcd", Merge(4, 4)),
        ("aAbB", "aAbB", Merge(4, 4)),
        # Rule 2: an earlier message was edited, or its answer.
        ("aAbBcC", "aAx", Merge(2, 2)),
        ("aAbBcC", "aAbX", Merge(3, 3)),
        ("aAbBcC", "aXb", Merge(1, 1)),
        # Rule 2: the last answer is wanted anew.
        ("aAbB", "aAb", Merge(3, 3)),
        # Rule 2: an answer that never was stored, in front of what is new.
        ("aA", "aAbBc", Merge(2, 2)),
        # Rule 3: the client has cut old messages off.
        ("aAbBcC", "bBcCd", Merge(6, 4)),
        ("aAbBcC", "cCd", Merge(6, 2)),
        ("aAbBcC", "Cd", Merge(6, 1)),
        ("aAbBcC", "BcCd", Merge(6, 3)),
        # Rule 3: cut off and edited, cut off and answered anew.
        ("aAbBcC", "bBx", Merge(4, 2)),
        ("aAbBcC", "bBc", Merge(5, 2 + 1)),
        # Rule 3: in the longest place, and among equals in the latest.
        ("aAyYbBzyYcC", "yYcCd", Merge(11, 4)),
        ("aAyYbyYc", "yYd", Merge(7, 2)),
        # Rule 3: the window begins with the words that the chain begins with, but is found later at a greater length.
        ("aAbBaCdD", "aCdDe", Merge(8, 4)),
        ("aAbBaAcCdD", "aAcCdDe", Merge(10, 6)),
        ("aAbBaAcC", "aAcx", Merge(7, 3)),
        # ... and not where it is found at no greater length, or no answer proves the place.
        ("aAbBaAcC", "aAx", Merge(2, 2)),
        ("aAbBacC", "aXb", Merge(1, 1)),
        ("aAbaxX", "axY", Merge(1, 1)),
        # Rule 4: another conversation. A user's message alone doesn't prove a place.
        ("aAbB", "xXy", Merge(0, 0)),
        ("aAbB", "bXy", Merge(0, 0)),
        ("aAbB", "Xa", Merge(0, 0)),
    ],
)
def test_rules(stored: str, request_: str, expected: Merge) -> None:
    """Each rule, by example."""
    assert expected == merge(stored, sent(request_))


CONVERSATIONS = st.text("aAbBcC", max_size=10)


def seen(stored: Sequence[str], request: Sequence[str], merged: Merge) -> list[str]:
    """Return the conversation that the engine sees."""
    return [*stored[: merged.kept], *request[merged.known :]]


@given(CONVERSATIONS, CONVERSATIONS)
def test_engine_sees_what_was_sent(stored: str, request: str) -> None:
    """Whatever is stored and sent, the engine sees all that was sent, once and in order, behind what came before it."""
    merged = merge(stored, sent(request))
    assert 0 <= merged.known <= len(request)
    assert merged.known <= merged.kept <= len(stored)
    assert stored[: merged.kept - merged.known] + request == "".join(seen(stored, request, merged))


@given(CONVERSATIONS.filter(str.strip), st.text("abc", min_size=1, max_size=2))
def test_resending_everything_adds_what_is_new(stored: str, new: str) -> None:
    """Who resends everything, repetitions included, adds just what is new."""
    request = f"{stored}{new}"
    if any(message.isupper() for message in request):
        assert Merge(len(stored), len(stored)) == merge(stored, sent(request))


@given(CONVERSATIONS, st.text("abc", min_size=1, max_size=3))
def test_sending_only_what_is_new_adds_it(stored: str, new: str) -> None:
    """Who sends only what is new adds just that, even where it repeats what is stored."""
    assert Merge(len(stored), 0) == merge(stored, sent(new))


class Client:
    """A client and the session behind it, each message a text of its own; a turn is a user's message and an answer."""

    def __init__(self) -> None:
        self.conversation: list[str] = []
        self.stored: list[str] = []
        self._said = 0

    def new(self, who: str) -> str:
        """Return a message nobody has said yet."""
        self._said += 1
        return f"{who}{self._said}"

    def turn(self, request: list[str], expected: list[str]) -> None:
        """Send a request; the engine must see ``expected``. The answer goes to the session and to the client."""
        messages = [Sent(message, message.startswith("assistant")) for message in request]
        found = seen(self.stored, request, merge(self.stored, messages))
        assert expected == found
        answer = self.new("assistant")
        self.stored = [*found, answer]
        self.conversation = [*expected, answer]

    def send_everything(self) -> None:
        """Resend all there is, and say something new."""
        new = [*self.conversation, self.new("user")]
        self.turn(new, new)

    def send_last(self) -> None:
        """Say something new and send only that."""
        new = self.new("user")
        self.turn([new], [*self.conversation, new])

    def send_window(self, size: int) -> None:
        """Resend the last messages only, and say something new."""
        new = self.new("user")
        self.turn([*self.conversation[-size:], new], [*self.conversation, new])

    def edit(self, place: int) -> None:
        """Change a user's message, but the first, and send the conversation up to there."""
        turns = len(self.conversation) // 2
        if turns < 2:
            return
        at = 2 * (1 + place % (turns - 1))
        new = [*self.conversation[:at], self.new("user")]
        self.turn(new, new)

    def edit_in_window(self, place: int) -> None:
        """Change a user's message and send the turn before it and the message."""
        turns = len(self.conversation) // 2
        if turns < 2:
            return
        at = 2 * (1 + place % (turns - 1))
        new = [*self.conversation[:at], self.new("user")]
        self.turn(new[-3:], new)

    def regenerate(self) -> None:
        """Have the last message answered anew; of two turns at least, for one message alone is a new one."""
        if len(self.conversation) > 2:
            self.turn(self.conversation[:-1], self.conversation[:-1])


STEPS = st.one_of(
    st.tuples(st.sampled_from([Client.send_everything, Client.send_last, Client.regenerate])),
    st.tuples(st.sampled_from([Client.send_window, Client.edit, Client.edit_in_window]), st.integers(1, 8)),
)


@given(st.lists(STEPS, max_size=15))
def test_client(steps: list[tuple[object, ...]]) -> None:
    """However a client mixes the ways to resend, the engine sees the conversation each turn once and in order."""
    client = Client()
    for step, *arguments in steps:
        step(client, *arguments)  # type: ignore[operator]  # one of the methods above


@pytest.mark.parametrize(
    ("stored", "request_", "expected"),
    [
        ("", "a", Merge(0, 0)),
        # The first answer is wanted anew, the first message was edited, and both with more stored behind them.
        ("aA", "a", Merge(1, 1)),
        ("aA", "b", Merge(0, 0)),
        ("aAbB", "a", Merge(1, 1)),
        ("aAbB", "b", Merge(0, 0)),
        # A first turn that failed, so that there are two messages in a row.
        ("aA", "ab", Merge(1, 1)),
        # With an answer in it nothing is different.
        ("aAbB", "aAbBc", Merge(4, 4)),
        ("aAbB", "aAb", Merge(3, 3)),
        ("aAbBcC", "bBcCd", Merge(6, 4)),
        ("aA", "xXy", Merge(0, 0)),
    ],
)
def test_a_whole_conversation_is_no_next_turn(stored: str, request_: str, expected: Merge) -> None:
    """Of a client that says it sends everything, a message without an answer is the beginning, not the next turn."""
    assert expected == merge(stored, sent(request_), whole=True)


@given(CONVERSATIONS, CONVERSATIONS)
def test_whole_conversations_are_seen_as_they_were_sent(stored: str, request: str) -> None:
    """Whatever is stored, such a client's conversation is seen to its end, behind nothing but what was cut off it."""
    merged = merge(stored, sent(request), whole=True)
    assert stored[: merged.kept - merged.known] + request == "".join(seen(stored, request, merged))
    if request.islower():
        assert request == "".join(seen(stored, request, merged))


@pytest.mark.parametrize(
    ("stored", "request_", "expected"),
    [
        ("aA", "ab", True),
        ("aAbB", "abc", True),
        ("aAbB", "ab", True),
        ("abA", "abc", True),
        # One alone may be said twice.
        ("aA", "a", False),
        # Something else was said in between, or first.
        ("aAbB", "ac", False),
        ("aAbBcC", "ab", False),
        ("aA", "ba", False),
        # Some answers did arrive.
        ("aAbB", "aAbc", False),
        ("", "ab", False),
    ],
)
def test_answers_that_got_lost(stored: str, request_: str, expected: bool) -> None:
    """All that was said before, without its answers, and then more: it is said again and not anew."""
    assert expected is never_answered(sent(stored), sent(request_))
    if expected:
        merged = merge(stored, sent(request_), whole=True)
        assert request_ == "".join(seen(stored, request_, merged))


def test_first_message_again_is_a_new_message() -> None:
    """A first message sent again without an answer in it is said again: nothing tells it from a repetition."""
    assert Merge(2, 0) == merge("aA", sent("a"))
