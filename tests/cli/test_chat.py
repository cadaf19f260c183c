"""``zero chat`` as somebody at a terminal uses it."""

from __future__ import annotations

import re
import signal

import pytest

from tests.cli.command import Terminal, ask, eventually
from tests.fakes.script import Pause, chunk, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HELLO = event(chunk({"role": "assistant", "content": "Hello"}))
PROMPT = "\n> "


def said(service: FakeUpstream) -> list[tuple[str, str]]:
    """Return the conversation that the service was last asked to continue."""
    return [(message["role"], message["content"]) for message in service.last.json["messages"]]


def test_a_conversation(live: LiveGateway, service: FakeUpstream) -> None:
    """The agent remembers; the session's key is printed and leads to what was said; Ctrl-D leaves."""
    service.play(stream(*words("one.")), stream(*words("two.")))
    with Terminal(live, "chat", "--agent", "prompted") as terminal:
        greeting = terminal.until(PROMPT)
        terminal.type("first\n")
        terminal.until("one." + PROMPT)
        terminal.type("second\n")
        terminal.until("two." + PROMPT)
        terminal.type("\x04")
        code = terminal.end()
    key = re.search(r"agent:prompted:chat-\S+", greeting)

    assert 0 == code
    assert key is not None
    assert [("system", "You are terse."), ("user", "first"), ("assistant", "one."), ("user", "second")] == said(service)
    assert "second" in ask(live, "sessions", "show", key[0]).stdout


def test_the_answer_comes_as_it_is_generated(live: LiveGateway, service: FakeUpstream) -> None:
    """The first words are there while the model still thinks about the next ones."""
    service.play(stream(HELLO, Pause(), *words(", world.")[1:]))
    with Terminal(live, "chat") as terminal:
        terminal.until(PROMPT)
        terminal.type("hi\n")
        terminal.until("Hello")
        service.last.release()
        terminal.until(", world." + PROMPT)


def test_ctrl_c_stops_the_answer_and_nothing_else(live: LiveGateway, service: FakeUpstream) -> None:
    """The run ends at once and nothing of the turn is kept; at the prompt it does no harm."""
    service.play(stream(HELLO, Pause()), stream(*words("fine.")))
    with Terminal(live, "chat") as terminal:
        terminal.until(PROMPT)
        terminal.type("hi\n")
        terminal.until("Hello")
        terminal.type("\x03")
        service.last.wait_closed()
        terminal.until("nothing of this turn is kept)" + PROMPT)
        terminal.type("\x03")
        terminal.until("(Ctrl-D leaves)" + PROMPT)
        terminal.type("again\n")
        terminal.until("fine." + PROMPT)

    assert [("user", "again")] == said(service)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_end_it(live: LiveGateway, service: FakeUpstream, how: signal.Signals, code: int) -> None:
    """In the middle of an answer, which is stopped, and at the prompt, where the terminal is given back as it was."""
    service.play(stream(HELLO, Pause()))
    with Terminal(live, "chat") as terminal:
        terminal.until(PROMPT)
        terminal.type("hi\n")
        terminal.until("Hello")
        terminal.process.send_signal(how)
        assert code == terminal.end()
        service.last.wait_closed()
    with Terminal(live, "chat") as terminal:
        before = terminal.modes()
        terminal.until(PROMPT)
        eventually(lambda: before != terminal.modes())
        terminal.process.send_signal(how)
        eventually(lambda: before == terminal.modes())
        assert code == terminal.end()


def test_new_begins_another_session(live: LiveGateway, service: FakeUpstream) -> None:
    """``/new`` prints its key; the agent doesn't know what was said before."""
    with Terminal(live, "chat") as terminal:
        first = terminal.until(PROMPT)
        terminal.type("one\n")
        terminal.until("wörld" + PROMPT)
        terminal.type("/new\n")
        second = terminal.until(PROMPT)
        terminal.type("two\n")
        terminal.until("wörld" + PROMPT)

    keys = [re.findall(r"agent:main:chat-\S+", text) for text in (first, second)]
    assert keys[0] != keys[1]
    assert [("user", "two")] == said(service)


def test_history_and_a_given_session(live: LiveGateway, service: FakeUpstream) -> None:
    """A session that is there is gone on with, and ``/history`` shows it."""
    ask(live, "agent", "--session-key", "given", "--message", "before")
    with Terminal(live, "chat", "--session-key", "given") as terminal:
        assert "agent:main:given" in terminal.until(PROMPT)
        terminal.type("/history\n")
        history = terminal.until(PROMPT)
        terminal.type("now\n")
        terminal.until("wörld" + PROMPT)
        terminal.type("/exit\n")
        assert 0 == terminal.end()

    assert "user\nbefore\n\nassistant\nHello, wörld\n" in history
    assert [("user", "before"), ("assistant", "Hello, wörld"), ("user", "now")] == said(service)


def test_slashes(live: LiveGateway, service: FakeUpstream) -> None:
    """An unknown command is explained and not said; two slashes say one; an empty line says nothing."""
    with Terminal(live, "chat") as terminal:
        terminal.until(PROMPT)
        terminal.type("/nonsense\n")
        assert "/history" in terminal.until(PROMPT)
        terminal.type("\n")
        terminal.until("> ")
        terminal.type("//etc\n")
        terminal.until("wörld" + PROMPT)

    assert [("user", "/etc")] == said(service)


def test_an_error_is_not_the_end(live: LiveGateway, service: FakeUpstream) -> None:
    """A turn that fails is told, and the next one may do better."""
    service.play(stream(HELLO, event({"error": {"message": "out of luck"}})), stream(*words("fine.")))
    with Terminal(live, "chat") as terminal:
        terminal.until(PROMPT)
        terminal.type("hi\n")
        assert "Error: " in terminal.until(PROMPT)
        terminal.type("again\n")
        terminal.until("fine." + PROMPT)


def test_an_unknown_agent(live: LiveGateway) -> None:
    """It is told before anything is typed."""
    with Terminal(live, "chat", "--agent", "nobody") as terminal:
        terminal.until("There is no agent 'nobody'.")
        assert 1 == terminal.end()


def test_needs_a_terminal(live: LiveGateway) -> None:
    """A pipe is told what to use instead."""
    done = ask(live, "chat")

    assert 2 == done.returncode
    assert "zero agent --message -" in done.stderr
