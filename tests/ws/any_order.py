"""Clients that do whatever the protocol lets them, in any order, and a model of what must be true of it.

The model knows what was said in each session and how each run ended. ``test_any_order`` has it played.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.doors.client import chat
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.client import Client, Refused, new_key, said, text_of

MAX_CLIENTS = 4
ANSWER = "late"
Said = list[tuple[str, str]]

sessions = st.sampled_from(["echo:one", "echo:two", "main:one", "main:two"])
texts = st.sampled_from(
    ["a", "wörld", "{}", '"', "a\nb", "\x1b[31m", "\u2028", "😀", "x" * 3000, "'; DROP TABLE x; --"]
)
picks = st.integers(0, 99)


class Held(NamedTuple):
    """A run whose upstream says nothing yet."""

    id: str
    session: str
    text: str


class Begun(NamedTuple):
    """A run that is over, and how it was asked for."""

    id: str
    session: str
    text: str
    status: str


class AnyOrder(RuleBasedStateMachine):
    """A gateway and up to four clients, each frame of whose is checked against the contract as it comes.

    Attributes:
        gateway: The gateway.
        upstream: What answers for the agent ``main``; ``echo`` echoes.
    """

    gateway: ClassVar[LiveGateway]
    upstream: ClassVar[FakeUpstream]

    def __init__(self) -> None:
        super().__init__()
        self.upstream.reset()
        self.mark = new_key()
        self.clients: list[Client] = []
        self.said: dict[str, Said] = {}
        self.held: Held | None = None
        self.begun: list[Begun] = []
        self.count = 0

    @initialize()
    def the_first(self) -> None:
        """There always is one client."""
        self.come()

    def key(self, session: str) -> str:
        """Return the key of a session that no other round has."""
        return f"agent:{session}-{self.mark}"

    def words(self, text: str) -> str:
        """Return a message that is like no other."""
        self.count += 1
        return f"{self.count} {text}"

    def client(self, pick: int) -> Client:
        """Return one of the clients."""
        return self.clients[pick % len(self.clients)]

    def free(self, session: str) -> bool:
        """Tell whether a turn of a session would begin at once."""
        return self.held is None or self.held.session != session

    def answer_to(self, session: str, message: str) -> str:
        """Return what the agent of a session says to a message."""
        return message if session.startswith("echo:") else "Hello, wörld"

    def remember(self, session: str, *turns: tuple[str, str]) -> None:
        """Note what a session must have in it from now on."""
        self.said.setdefault(session, []).extend(turns)

    # Clients come and go.

    @precondition(lambda self: len(self.clients) < MAX_CLIENTS)
    @rule()
    def come(self) -> None:
        """A client comes and is let in."""
        self.clients.append(Client(self.gateway).admitted())

    @rule(frame=st.sampled_from(["health", "secret", "version", "text", "binary"]))
    def come_and_be_refused(self, frame: str) -> None:
        """A client begins with something else than a handshake in order: it is told so, and sees nothing."""
        with Client(self.gateway) as client:
            if frame == "text":
                client.send("x")
            elif frame == "binary":
                client.send(b"x")
            elif frame == "health":
                client.request("health")
            else:
                wrong: dict[str, Any] = {"auth": {"token": "wrong"}} if frame == "secret" else {"minProtocol": 99}
                with pytest.raises(Refused):
                    client.admitted(**{"maxProtocol": 99, **wrong} if frame == "version" else wrong)
            code, _ = client.closed()
            events = [one["event"] for one in client.unread if one["type"] == "event"]
        assert code in (1000, 1002, 1003, 1008)
        assert ["connect.challenge"] == events

    @precondition(lambda self: len(self.clients) > 1)
    @rule(pick=picks, rudely=st.booleans())
    def go(self, pick: int, rudely: bool) -> None:
        """A client leaves, in good order or not; what it has begun goes on."""
        client = self.clients.pop(pick % len(self.clients))
        if rudely:
            client.break_off()
        else:
            client.close()

    @precondition(lambda self: len(self.clients) > 1)
    @rule(pick=picks)
    def go_by_a_binary_frame(self, pick: int) -> None:
        """A frame that is no part of the protocol ends one connection, and that one only."""
        client = self.clients.pop(pick % len(self.clients))
        client.send(b"\0")
        assert 1003 == client.closed()[0]
        client.close()

    # Requests that change nothing.

    @rule(pick=picks, text=st.sampled_from(["", "x", "{", "[1", "\0", '{"type": "req"']))
    def say_no_json(self, pick: int, text: str) -> None:
        """What is no JSON is skipped."""
        self.client(pick).send(text)

    @rule(pick=picks, frame=st.sampled_from([[], {}, 1, None, {"type": "req", "id": "", "method": "health"}]))
    def say_no_request(self, pick: int, frame: Any) -> None:
        """JSON that is no request is answered as one that is invalid."""
        client = self.client(pick)
        client.send("null" if frame is None else frame)
        assert "INVALID_REQUEST" == client.response("invalid")["error"]["code"]

    @rule(
        pick=picks, method=st.sampled_from(["nonsense", "connect", "agent", "chat.send", "agent.wait", "chat.history"])
    )
    def ask_for_nothing(self, pick: int, method: str) -> None:
        """An unknown method, a second handshake, params that are missing: refused, and the connection stays."""
        with pytest.raises(Refused) as refused:
            self.client(pick).call(method)
        assert "INVALID_REQUEST" == refused.value.code

    @rule(pick=picks, session=sessions)
    def abort_nothing(self, pick: int, session: str) -> None:
        """To stop a run that there isn't stops none."""
        answer = self.client(pick).call("chat.abort", {"sessionKey": self.key(session), "runId": new_key()})
        assert (False, []) == (answer["aborted"], answer["runIds"])

    # Turns.

    @rule(pick=picks, session=sessions, text=texts)
    def run(self, pick: int, session: str, text: str) -> None:
        """A turn by ``agent``, whose second answer comes after all of its events."""
        if not self.free(session):
            return
        message, run = self.words(text), new_key()
        result = self.client(pick).run(message, sessionKey=self.key(session), idempotencyKey=run)
        expected = self.answer_to(session, message)
        assert ("ok", expected) == (result["status"], text_of(result))
        self.remember(session, ("user", message), ("assistant", expected))

    @rule(pick=picks, session=sessions, text=texts)
    def send(self, pick: int, session: str, text: str) -> None:
        """A turn by ``chat.send``, which ends in an event to everybody."""
        if not self.free(session):
            return
        message, run, client = self.words(text), new_key(), self.client(pick)
        asked = {"sessionKey": self.key(session), "message": message, "idempotencyKey": run}
        begun = client.call("chat.send", asked)
        assert (run, "started") == (begun["runId"], begun["status"])
        for each in self.clients:
            each.event("chat", runId=run, state="final")
        self.remember(session, ("user", message), ("assistant", self.answer_to(session, message)))
        self.begun.append(Begun(run, session, message, "ok"))

    @rule(session=sessions, text=texts)
    def say_over_http(self, session: str, text: str) -> None:
        """A turn through the other door."""
        if not self.free(session):
            return
        message = self.words(text)
        reply = chat(self.gateway, message, headers={"x-zero-session-key": self.key(session)})
        assert self.answer_to(session, message) == reply.text
        self.remember(session, ("user", message), ("assistant", reply.text))

    @precondition(lambda self: self.begun)
    @rule(pick=picks, which=picks, same=st.booleans())
    def send_again(self, pick: int, which: int, same: bool) -> None:
        """A key that is known begins nothing; with other words it is refused."""
        run = self.begun[which % len(self.begun)]
        message = run.text if same else self.words("other")
        asked = {"sessionKey": self.key(run.session), "message": message, "idempotencyKey": run.id}
        if same:
            known = self.client(pick).call("chat.send", asked)
            assert (run.id, run.status) == (known["runId"], known["status"])
            return
        with pytest.raises(Refused) as refused:
            self.client(pick).call("chat.send", asked)
        assert "INVALID_REQUEST" == refused.value.code

    @precondition(lambda self: self.begun)
    @rule(pick=picks, which=picks)
    def wait(self, pick: int, which: int) -> None:
        """A run that is over is still known, on every connection."""
        run = self.begun[which % len(self.begun)]
        assert run.status == self.client(pick).call("agent.wait", {"runId": run.id})["status"]

    # One turn at a time that takes long.

    @precondition(lambda self: self.held is None)
    @rule(pick=picks, session=sessions.filter(lambda name: name.startswith("main:")), text=texts)
    def begin(self, pick: int, session: str, text: str) -> None:
        """A turn begins whose upstream says nothing for now."""
        self.upstream.reset()
        self.upstream.play(stream(Pause(), *words(ANSWER)))
        held = Held(new_key(), session, self.words(text))
        asked = {"sessionKey": self.key(session), "message": held.text, "idempotencyKey": held.id}
        assert "started" == self.client(pick).call("chat.send", asked)["status"]
        self.upstream.wait()
        self.upstream.play(stream(*words("Hello,", " wörld")))
        self.held = held

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def it_is_known(self, pick: int) -> None:
        """While it lasts everybody may see it, wait for it, and ask for it again."""
        assert self.held is not None
        client, key = self.client(pick), self.key(self.held.session)
        assert "timeout" == client.call("agent.wait", {"runId": self.held.id, "timeoutMs": 1})["status"]
        asked = {"sessionKey": key, "message": self.held.text, "idempotencyKey": self.held.id}
        assert "in_flight" == client.call("chat.send", asked)["status"]
        rows = {row["key"]: row for row in client.call("sessions.list", {"limit": 1000})["sessions"]}
        if self.held.session in self.said:
            assert [self.held.id] == rows[key]["activeRunIds"]

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def it_is_answered(self, pick: int) -> None:
        """It comes to its end, and is kept, whoever has gone meanwhile."""
        assert self.held is not None
        self.upstream.exchanges[0].release()
        assert "ok" == self.client(pick).call("agent.wait", {"runId": self.held.id})["status"]
        self.remember(self.held.session, ("user", self.held.text), ("assistant", ANSWER))
        self.begun.append(Begun(self.held.id, self.held.session, self.held.text, "ok"))
        self.held = None

    @precondition(lambda self: self.held)
    @rule(pick=picks, by_id=st.booleans())
    def it_is_aborted(self, pick: int, by_id: bool) -> None:
        """It is stopped, and leaves its session as it was."""
        assert self.held is not None
        client = self.client(pick)
        which = {"runId": self.held.id} if by_id else {}
        answer = client.call("chat.abort", {"sessionKey": self.key(self.held.session), **which})
        assert (True, [self.held.id]) == (answer["aborted"], answer["runIds"])
        assert "timeout" == client.call("agent.wait", {"runId": self.held.id})["status"]
        self.begun.append(Begun(self.held.id, self.held.session, self.held.text, "timeout"))
        self.held = None

    # Sessions.

    @rule(pick=picks, session=sessions)
    def reset(self, pick: int, session: str) -> None:
        """A session is emptied; there must be one."""
        if not self.free(session):
            return
        if session in self.said:
            assert self.client(pick).call("sessions.reset", {"key": self.key(session)})["key"] == self.key(session)
            self.said[session] = []
            return
        with pytest.raises(Refused):
            self.client(pick).call("sessions.reset", {"key": self.key(session)})

    @rule(pick=picks, session=sessions)
    def delete(self, pick: int, session: str) -> None:
        """A session is removed, if there is one."""
        if not self.free(session):
            return
        answer = self.client(pick).call("sessions.delete", {"key": self.key(session)})
        assert (session in self.said) is answer["deleted"]
        self.said.pop(session, None)

    @rule(pick=picks, session=sessions)
    def look(self, pick: int, session: str) -> None:
        """A session has in it what was said, in that order, and nothing else; or there is none."""
        client, key = self.client(pick), self.key(session)
        history = client.call("chat.history", {"sessionKey": key, "limit": 1000})
        assert self.said.get(session, []) == [said(message) for message in history["messages"]]
        row = client.call("sessions.describe", {"key": key})["session"]
        assert (session in self.said) is (row is not None)

    # Always.

    @invariant()
    def all_are_served(self) -> None:
        """Every connection that wasn't ended answers."""
        for client in self.clients:
            assert client.call("health")["ok"] is True

    def teardown(self) -> None:
        """Leave nothing behind; what was said is looked at once more."""
        if self.held is not None:
            self.it_is_aborted(0, True)
        for session in ("echo:one", "echo:two", "main:one", "main:two"):
            self.look(0, session)
        for client in self.clients:
            client.close()
