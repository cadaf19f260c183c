"""What is remembered of a resent conversation saves work, and changes nothing of how the request goes on."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions import continuation, resent
from app.sessions.continuation import Continuation, continued
from app.sessions.message import Message, chained, digest
from app.sessions.resent import Resent, ResentConversations, joined
from app.sessions.store import StoredMessage
from tests.unit.conversation import assistant, said, user

COMMANDS = ("/new", "/reset")
WORDS = ("a", "b", "A", "B", "1", "/new", "/new x")


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Conversations of a few messages count as long ones here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resent, "_FEW", 0)
        yield


def message(word: str) -> Message:
    """Return a message: a capital letter is the assistant's, a digit a tool's."""
    return said("assistant" if word.isupper() else "tool" if word.isdigit() else "user", word)


def stored(history: list[StoredMessage], going: Continuation, answer: Message) -> list[StoredMessage]:
    """Return a session as it is after a turn."""
    after, parent = history[: going.kept], going.parent
    for one in (*going.new, answer):
        parent = chained(parent, digest(one))
        after.append(StoredMessage(parent, digest(one), one))
    return after


TURNS = st.tuples(
    st.integers(0, 9),  # how much of the last request is left out at its end ...
    st.integers(0, 2),  # ... and at its beginning, most often nothing
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.sampled_from("AB"),
    st.sampled_from([False, False, False, True]),  # over
    st.booleans(),  # whole
)


@given(st.lists(TURNS, max_size=12))
def test_nothing_changes(turns: list[tuple[int, int, list[str], str, bool, bool]]) -> None:
    """Whatever a client resends, edits, cuts off or begins anew, each turn is what it is without the memory."""
    history: list[StoredMessage] = []
    last: Resent | None = None
    words: list[str] = []
    for left_out, begin, said_now, answer, over, whole in turns:
        kept = words if left_out > 3 else words[: len(words) - left_out]
        words = [*kept[begin if left_out > 7 else 0 :], *said_now]
        messages = tuple(map(message, words))
        if not messages:
            continue
        expected = continued(history, messages, whole=whole, commands=COMMANDS)
        going = continued(history, messages, whole=whole, commands=COMMANDS, last=last)
        last = going.resent
        if not expected.messages:
            assert not going.messages
            history = []
            continue
        for name in ("messages", "merged", "kept", "new", "sent", "parent"):
            assert getattr(expected, name) == getattr(going, name)
        if over and history:
            expected, going = expected.begun_anew(history), going.begun_anew(history)
            assert (expected.kept, expected.new, expected.parent) == (going.kept, going.new, going.parent)
        history = stored(history, going, message(answer))
        words = [*words, answer]


class Talk:
    """A client that resends everything, and the session it is in."""

    def __init__(self) -> None:
        self.history: list[StoredMessage] = []
        self.said: list[Message] = []
        self.last: Resent | None = None

    def turn(self, *new: Message) -> Continuation:
        """Say something, and have an answer."""
        self.said += new
        going = continued(self.history, tuple(self.said), commands=COMMANDS, last=self.last)
        self.last = going.resent
        answer = assistant(f"answer {len(self.said)}")
        self.history = stored(self.history, going, answer)
        # As Python's json spells it: not the bytes that the gateway has stored.
        self.said.append(Message("assistant", msgspec.Raw(bytes(answer.raw).replace(b'":"', b'": "'))))
        return going


@pytest.mark.parametrize("opening", ["hello", "/new hello"], ids=["from the beginning", "behind a command"])
def test_work_stays_the_same(opening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long conversation no more is looked at than what came since its last turn."""
    talk = Talk()
    talk.turn(user("what was before"))
    talk.turn(user(opening))
    looked_at: list[Message] = []

    def counting(one: Message) -> str:
        looked_at.append(one)
        return digest(one)

    monkeypatch.setattr(continuation, "digest", counting)
    amounts = []
    for number in range(40):
        looked_at.clear()
        assert 1 == len(talk.turn(user(f"{number}")).new)
        amounts.append(len(looked_at))
    assert {3} == set(amounts[1:])


def test_another_chain_in_the_same_place() -> None:
    """The same words don't hide that the session has become another one: its id in that place counts."""
    talk = Talk()
    for word in ("one", "two", "three"):
        talk.turn(user(word))
    other = Talk()
    for word in ("one", "zwei", "three"):
        other.turn(user(word))
    assert talk.last is not None
    request = (*talk.said, user("four"))
    assert continued(other.history, request).merged == continued(other.history, request, last=talk.last).merged
    assert 2 == continued(other.history, request, last=talk.last).kept


def test_another_message_of_the_same_length() -> None:
    """One byte that differs is another conversation."""
    talk = Talk()
    for word in ("one", "two", "three"):
        talk.turn(user(word))
    edited = (user("ons"), *talk.said[1:], user("four"))
    assert 0 == continued(talk.history, edited, last=talk.last).kept


def test_other_commands() -> None:
    """What has become a command meanwhile is one, wherever in the conversation it stands."""
    talk = Talk()
    for word in ("/one", "/two hi", "three"):
        talk.turn(user(word))
    request = (*talk.said, user("four"))
    going = continued(talk.history, request, commands=("/two",), last=talk.last)
    assert continued(talk.history, request, commands=("/two",)).new == going.new
    assert 5 == len(going.new)


def test_few_messages_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends its last message only leaves nothing behind here."""
    monkeypatch.setattr(resent, "_FEW", 8)
    assert b"" == joined([user("a")] * 8)
    assert b"".join([bytes(user("a").raw)] * 9) == joined([user("a")] * 9)


def one(size: int) -> Resent:
    """Return something to remember."""
    return Resent(b"x" * size, size, 2, 2, "sha256:x", ())


def test_memory_is_bounded() -> None:
    """Those used longest ago go first, a session has a quarter at most, and nothing is left of what was replaced."""
    memory = ResentConversations(max_bytes=40_000)
    for name in "abc":
        memory.remember(name, one(9_000))
    assert memory.get("a") is not None
    memory.remember("d", one(9_000))
    memory.remember("e", one(9_000))
    assert [True, False, True, True, True] == [memory.get(name) is not None for name in "abcde"]
    assert memory.held <= 40_000
    memory.remember("e", one(10_001))
    assert memory.get("e") is None
    for name in "acd":
        memory.remember(name, None)
    assert (0, 0) == (len(memory), memory.held)
