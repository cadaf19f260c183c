"""``chat.send`` and ``sessions.changed``: what others hear of a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import npm
from tests.doors.client import chat
from tests.fakes.script import error, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.answers import LATE, halting, sent
from tests.ws.client import Client, Refused, said

Dial = Callable[..., Client]

USAGE = {"input": 11, "output": 7, "total": 18}


class TestChat:
    """``chat.send``: a turn, told to everybody who may read."""

    def test_everybody_hears_of_it(self, dial: Dial, upstream: FakeUpstream, key: str) -> None:
        """Whoever began it and others get the same events: the text as it grows, and how it ended."""
        upstream.play(halting("Hel", "lo"))
        one, other = dial().admitted(), dial().admitted(scopes=["operator.read"])
        run = sent(one, key)
        begun_with = [client.event("chat", state="delta") for client in (one, other)]
        upstream.last.release()
        ends = [client.event("chat", state="final") for client in (one, other)]
        grown = [[first, *client.events("chat")] for first, client in zip(begun_with, (one, other), strict=True)]

        assert ends[0] == ends[1]
        assert grown[0] == grown[1]
        assert [("delta", "Hel", 1), ("delta", "lo", 2)] == [(e["state"], e["deltaText"], e["seq"]) for e in grown[0]]
        assert (("assistant", "Hello"), USAGE, "stop", 3) == (
            said(ends[0]["message"]),
            ends[0]["usage"],
            ends[0]["stopReason"],
            ends[0]["seq"],
        )
        assert {(run, key, "main")} == {(e["runId"], e["sessionKey"], e["agentId"]) for e in [*grown[0], ends[0]]}

    def test_who_may_not_read_hears_nothing(self, dial: Dial, key: str) -> None:
        """A connection without any scope gets no events of others."""
        one, deaf = dial().admitted(), dial().admitted(scopes=["operator.pairing"])
        sent(one, key)
        one.event("chat", state="final")
        with pytest.raises(Refused, match="missing scope"):
            deaf.call("health")

        assert ["connect.challenge"] == [frame["event"] for frame in deaf.unread]

    def test_events_are_valid_by_the_protocols_schema(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Growing, done, failed and aborted."""
        upstream.play(stream(*words("Hel", "lo")), error(500, {"message": "no"}), LATE)
        for _ in range(2):
            client.call("agent.wait", {"runId": sent(client, key)})
        sent(client, key)
        upstream.wait(3)
        client.call("chat.abort", {"sessionKey": key})
        seen = [client.event("chat", state=state) for state in ("delta", "final", "error", "aborted")]

        for payload in seen:
            npm.protocol_validator("ChatEvent").validate(payload)

    def test_turns_of_one_session_take_turns(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """In the order they were sent, each seeing what the ones before it said."""
        upstream.play(LATE, stream(*words("two")), stream(*words("three")))
        runs = [sent(client, key, text) for text in ("a", "b", "c")]
        upstream.wait()
        assert 1 == len(upstream.exchanges)
        upstream.last.release()
        ends = [client.event("chat", state="final", runId=run) for run in runs]

        assert ["late", "two", "three"] == [said(end["message"])[1] for end in ends]
        assert ["a", "late", "b", "two", "c"] == [message["content"] for message in upstream.last.json["messages"]]

    def test_a_message_is_what_it_says(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Also when it begins with a slash: there are no commands but those that begin a session anew."""
        sent(client, key, "/status")
        client.event("chat", state="final")

        assert [{"role": "user", "content": "/status"}] == upstream.last.json["messages"]


class TestChanged:
    """``sessions.changed``: to whoever subscribed."""

    def test_only_subscribers_hear_of_changes(self, dial: Dial, live: LiveGateway, key: str) -> None:
        """Of turns of either door, of a reset and of a deletion; of nothing when nothing was there to delete."""
        one, other = dial().admitted(), dial().admitted()
        assert {"subscribed": True} == one.call("sessions.subscribe")
        other.run("one", sessionKey=key)
        chat(live, "two", headers={"x-zero-session-key": key})
        other.call("sessions.reset", {"key": key})
        other.call("sessions.delete", {"key": key})
        other.call("sessions.delete", {"key": key})
        other.run("stateless")

        seen = [(e["sessionKey"], e["agentId"], e["reason"]) for e in one.events("sessions.changed")]
        assert [(key, "main", reason) for reason in ("update", "update", "reset", "delete")] == seen
        assert [] == other.events("sessions.changed")

    def test_it_can_be_ended(self, client: Client, key: str) -> None:
        """After ``sessions.unsubscribe`` nothing comes any more; twice is no error."""
        client.call("sessions.subscribe")
        client.call("sessions.subscribe")
        client.run("one", sessionKey=key)
        assert 1 == len(client.events("sessions.changed"))
        assert {"subscribed": False} == client.call("sessions.unsubscribe")
        client.call("sessions.unsubscribe")
        client.run("two", sessionKey=key)

        assert [] == client.events("sessions.changed")
