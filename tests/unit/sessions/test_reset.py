"""Sessions that begin anew: when they are over, the words for it, and what of a resent conversation is forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.continuation import Continuation, continued, turn_begins
from app.sessions.message import Message, chained, digest
from app.sessions.reset import is_mark, is_over
from app.sessions.reset_command import behind_command
from app.sessions.store import StoredMessage
from tests.unit.conversation import said, script

COMMANDS = ("/new", "/reset")


@pytest.fixture
def lisbon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in a place that changes its clocks."""
    monkeypatch.setenv("TZ", "Europe/Lisbon")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    """Return a local time in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.usefixtures("lisbon")
@pytest.mark.parametrize(
    ("last", "now", "hour", "idle", "expected"),
    [
        ("2026-05-10 03:59:59", "2026-05-10 04:00:00", 4, None, True),
        ("2026-05-10 04:00:00", "2026-05-10 23:59:59", 4, None, False),
        ("2026-05-10 04:00:00", "2026-05-11 03:59:59", 4, None, False),
        ("2026-05-10 04:00:00", "2026-05-11 04:00:00", 4, None, True),
        ("2026-05-01 12:00:00", "2026-05-11 03:00:00", 4, None, True),
        ("2026-05-10 23:59:59", "2026-05-11 00:00:00", 0, None, True),
        ("2026-05-10 22:00:00", "2026-05-10 23:00:00", 23, None, True),
        # The night on which 1:00 doesn't exist, and the one on which it comes twice.
        ("2026-03-29 00:59:59", "2026-03-29 02:00:01", 1, None, True),
        ("2026-03-29 02:00:01", "2026-03-29 12:00:00", 1, None, False),
        ("2026-10-25 00:30:00", "2026-10-25 04:30:00", 4, None, True),
        ("2026-10-25 04:00:00", "2026-10-26 03:59:59", 4, None, False),
        # Idle.
        ("2026-05-10 12:00:00", "2026-05-10 13:00:00", None, 60, False),
        ("2026-05-10 12:00:00", "2026-05-10 13:00:01", None, 60, True),
        ("2026-05-10 12:00:00", "2026-05-10 11:00:00", None, 60, False),
        # Both: whichever comes first.
        ("2026-05-10 12:00:00", "2026-05-10 13:00:01", 4, 60, True),
        ("2026-05-10 03:59:00", "2026-05-10 04:00:00", 4, 60, True),
        ("2026-05-10 12:00:00", "2026-05-10 12:30:00", 4, 60, False),
        # Neither.
        ("2016-05-10 12:00:00", "2026-05-10 12:30:00", None, None, False),
    ],
)
def test_is_over(last: str, now: str, hour: int | None, idle: int | None, expected: bool) -> None:
    """A session is over behind the hour, by the wall clock, or behind the idle minutes, whichever comes first."""
    assert expected is is_over(at(last), at(now), at_hour=hour, idle_minutes=idle)


def talk(words: str) -> tuple[Message, ...]:
    """Return messages: a capital letter is the assistant's, a digit a tool's, a slash a command of its own."""
    spoken = words.split()
    return tuple(
        said("assistant" if word.isupper() else "tool" if word.isdigit() else "user", word.replace("_", " "))
        for word in spoken
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("a", None),
        ("a A /news", None),
        ("a A see_/new", None),
        ("a A /New_", ""),
        ("/new", ""),
        ("/reset", ""),
        ("a A /new", ""),
        ("a A /new_hello__there", "user: hello  there"),
        ("a A /new X b", "user: b"),
        ("a A /new X X b B c", "user: b|assistant: B|user: c"),
        ("a A /new b", "user: b"),
        ("/new X b B /reset_c C d", "user: c|assistant: C|user: d"),
        ("/new X", ""),
    ],
)
def test_command(request_: str, expected: str | None) -> None:
    """What counts is what stands behind the last command, without the confirmation of one that stood alone."""
    behind = behind_command(talk(request_), COMMANDS)
    assert expected == (None if behind is None else "|".join(script(behind)))


def test_command_in_other_forms() -> None:
    """A single text part is a text; several parts or what the assistant says are no command; without words none is."""
    part = {"type": "text", "text": " /new hi "}
    assert ["user: hi"] == script(behind_command([said("user", [part])], COMMANDS) or ())
    assert behind_command([said("user", [part, part])], COMMANDS) is None
    assert behind_command([said("user", [{"type": "image_url", "image_url": {"url": "/new"}}])], COMMANDS) is None
    assert behind_command([said("assistant", "/new"), said("user", None)], COMMANDS) is None
    assert behind_command([said("user", "/new")], ()) is None
    named = behind_command([said("user", "/new hi", name="maria")], COMMANDS)
    assert named == (said("user", "hi", name="maria"),)


def stored(history: list[StoredMessage], going: Continuation, answer: str) -> list[StoredMessage]:
    """Return a session as it is after a turn."""
    after, parent = history[: going.kept], going.parent
    for message in (*going.new, said("assistant", answer)):
        content = digest(message)
        parent = chained(parent, content)
        after.append(StoredMessage(parent, content, message))
    return after


class Session:
    """A session as the store would have it."""

    def __init__(self) -> None:
        self.history: list[StoredMessage] = []

    def turn(self, request: str, answer: str, *, over: bool = False, whole: bool = False) -> str:
        """Do a turn; return what the agent sees."""
        going = continued(self.history, talk(request), commands=COMMANDS, whole=whole)
        if not going.messages:
            self.history = []
            return "reset"
        if over and self.history:
            going = going.begun_anew(self.history)
        seen = [*(one.message for one in self.history[: going.kept]), *going.new]
        self.history = stored(self.history, going, answer)
        return " ".join(line.split(": ")[1] for line in script(seen))


@pytest.mark.parametrize("everything", [True, False], ids=["sends everything", "sends the last"])
def test_forgotten_for_good(everything: bool) -> None:
    """What was said before a session was over doesn't come back, whatever the client resends."""
    session = Session()
    before, first = ("a A b B ", "c C ") if everything else ("", "")
    session.turn("a", "A")
    session.turn("b" if not everything else "a A b", "B")
    assert "c" == session.turn(f"{before}c", "C", over=True)
    assert "c C d" == session.turn(f"{before}{first}d", "D")
    assert "c C d D e" == session.turn(f"{before}{first}d D e" if everything else "e", "E")


def test_behind_a_reset_the_rules_are_the_same() -> None:
    """Edited, made anew, cut off: as if the session had nothing before it."""
    session = Session()
    session.turn("a", "A")
    assert "b" == session.turn("a A b", "B", over=True)
    assert "x" == session.turn("a A x", "X")
    assert "x X y" == session.turn("a A x X y", "Y")
    assert "x X y" == session.turn("a A x X y", "Z")
    assert "x X y Z z" == session.turn("y Z z", "Z")
    assert "x X y Z q" == session.turn("X y Z q", "Q")
    assert "p" == session.turn("a A x X y Z p", "P", over=True)
    assert "p P r" == session.turn("a A x X y Z p P r", "R")
    assert "p Q s" == session.turn("a A x X y Z p Q s", "S")
    assert "t" == session.turn("a A x X y Z p T t", "T", over=True)
    assert "t T u" == session.turn("a A x X y Z p T t T u", "U")


def test_a_window_that_begins_with_the_last_forgotten_answer() -> None:
    """It is forgotten as well, and what follows it is where it was; no other way to begin is."""
    session = Session()
    session.turn("a A b", "B")
    assert "c" == session.turn("a A b B c", "C", over=True)
    assert "c C d" == session.turn("c C d", "D")
    assert "c C d D e" == session.turn("B c C d D e", "E")
    assert "c C d D e E f" == session.turn("a A b B c C d D e E f", "F")
    assert "X q Q r" == session.turn("X q Q r", "R")
    assert "X c s" == session.turn("X c s", "S")


def test_words_of_before_said_again() -> None:
    """An answer like the last one before the reset is no reset."""
    session = Session()
    session.turn("a", "OK")
    session.turn("a OK b", "OK", over=True)
    assert "x OK y" == session.turn("x OK y", "Y")


def test_a_client_that_goes_back_behind_a_reset() -> None:
    """An edit of what was forgotten is the client's word for another conversation."""
    session = Session()
    session.turn("a A b", "B")
    session.turn("a A b B c", "C", over=True)
    assert "a A x" == session.turn("a A x", "X")


def test_the_same_words_before_and_after() -> None:
    """Where an answer comes twice, the reset is where the stored chain goes on."""
    session = Session()
    session.turn("a", "OK")
    session.turn("a OK b", "OK")
    assert "a" == session.turn("a OK b OK a", "OK", over=True)
    assert "a OK c" == session.turn("a OK b OK a OK c", "OK")
    assert "d" == session.turn("a OK b OK d", "OK", whole=True)
    assert "d OK e" == session.turn("a OK b OK d OK e", "OK")


def test_a_client_that_has_cut_off_what_was_forgotten() -> None:
    """Where an answer from before is said again, and the client sends only what came after, nothing of that is lost."""
    session = Session()
    session.turn("a", "OK")
    session.turn("a OK b", "OK", over=True)
    session.turn("a OK b OK c", "OK")
    assert "b OK c OK d" == session.turn("c OK d", "D")
    assert "b OK c OK d D e" == session.turn("OK d D e", "E")
    assert "b OK c OK d D e E f" == session.turn("b OK c OK d D e E f", "F")


def test_over_twice() -> None:
    """Each time only what is new counts."""
    session = Session()
    session.turn("a", "A")
    session.turn("a A b", "B", over=True)
    assert "c" == session.turn("a A b B c", "C", over=True)
    assert "c C d" == session.turn("a A b B c C d", "D")


def test_an_answer_made_anew_behind_the_end() -> None:
    """The last turn once more, after the session was over, is the new session's first."""
    session = Session()
    session.turn("a", "A")
    session.turn("a A b", "B")
    assert "b" == session.turn("a A b", "X", over=True)
    assert "b X c" == session.turn("a A b X c", "C")


def test_results_of_tools_belong_to_the_session_that_called_them() -> None:
    """A session doesn't come to its end between a call and its result."""
    session = Session()
    session.turn("a", "A")
    assert "a A 1" == session.turn("1", "B", over=True)


def test_commands() -> None:
    """A word alone empties the session; with more behind it, that is the new session's first message."""
    session = Session()
    session.turn("a", "A")
    assert "reset" == session.turn("a A /new", "-")
    assert "b" == session.turn("a A /new X b", "B")
    assert "b B c" == session.turn("a A /new X b B c", "C")
    assert "hello" == session.turn("a A /new X b B c C /reset_hello", "H")
    assert "hello H d" == session.turn("a A /new X b B c C /reset_hello H d", "D")
    assert "hello H d D e" == session.turn("e", "E")
    assert "hello H x" == session.turn("a A /new X b B c C /reset_hello H x", "X")
    assert "y" == session.turn("/new_y", "Y")


def test_a_command_in_a_session_that_is_over() -> None:
    """Both at once are one reset, and the old turns stay away."""
    session = Session()
    session.turn("a", "A")
    assert "b" == session.turn("a A /new_b", "B", over=True)
    assert "b B c" == session.turn("a A /new_b B c", "C")
    assert "d" == session.turn("a A /new_b B c C d", "D", over=True)
    assert "d D e" == session.turn("a A /new_b B c C d D e", "E")


def test_mark() -> None:
    """The first message behind a reset has no message's id for a parent."""
    history: list[StoredMessage] = []
    history = stored(history, continued(history, talk("a")), "A")
    going = continued(history, talk("a A b")).begun_anew(history)
    assert going.parent is not None
    assert is_mark(going.parent)
    assert not is_mark(history[-1].id)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("a", 0), ("a b", 0), ("a A b", 2), ("a A 1 2", 2), ("a A 1 b", 2), ("a A b B", 2), ("A", 0), ("A b", 1)],
)
def test_turn_begins(words: str, expected: int) -> None:
    """The last turn is what the user or tools said last, with all of it that isn't interrupted by an answer."""
    assert expected == turn_begins(talk(words))


WORD = st.sampled_from("ab")
TURN = st.tuples(st.sampled_from(["", "", "", "over", "/new", "/reset_"]), WORD, WORD.map(str.upper))


@given(st.lists(TURN, max_size=12))
def test_any_conversation(turns: list[tuple[str, str, str]]) -> None:
    """Whether a client sends everything or its last message, the agent sees the turns since the last reset, no others.

    With no more than two words to say, so that everything is said again and again.
    """
    whole, short = Session(), Session()
    shown: list[str] = []
    since: list[str] = []
    for begins, word, answer in turns:
        if begins:
            since = []
        if begins == "/new":
            shown += ["/new", "DONE"]
            assert "reset" == short.turn("/new", "-") == whole.turn(" ".join(shown[:-1]), "-")
        said_ = f"/reset_{word}" if begins == "/reset_" else word
        shown.append(said_)
        since.append(word)
        expected = " ".join(since)
        assert expected == short.turn(said_, answer, over=begins == "over")
        assert expected == whole.turn(" ".join(shown), answer, over=begins == "over", whole=True)
        shown.append(answer)
        since.append(answer)
