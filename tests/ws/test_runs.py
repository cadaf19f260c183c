"""``agent``, ``agent.wait`` and ``chat.send``: runs begun over the WebSocket, as they go and as they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import npm
from tests.fakes.script import Pause, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.answers import LATE, begun, halting, sent
from tests.ws.client import Client, new_key, said, text_of

Dial = Callable[..., Client]

USAGE = {"input": 11, "output": 7, "total": 18}


class TestAgent:
    """One run, told to whoever began it."""

    def test_two_answers_and_the_events_between_them(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Accepted; it begins; the text grows; it ends; the result. In this order, numbered, nothing else between."""
        role, *pieces, end, usage, last = words("Hel", "lo ", "you")
        upstream.play(stream(role, *(step for piece in pieces for step in (piece, Pause())), end, usage, last))
        client.call("health")
        run = new_key()
        request = client.request("agent", {"message": "hi", "idempotencyKey": run, "sessionKey": key})
        exchange, frames = upstream.wait(), [client.next(), client.next()]
        for _ in pieces:
            frames.append(client.next())
            exchange.release()
        accepted, *events, done = [*frames, client.next(), client.next()]

        assert (request, "accepted", run) == (
            accepted["id"],
            accepted["payload"]["status"],
            accepted["payload"]["runId"],
        )
        assert ["agent"] * 5 == [frame["event"] for frame in events]
        payloads = [frame["payload"] for frame in events]
        assert [1, 2, 3, 4, 5] == [payload["seq"] for payload in payloads]
        assert {(run, key, "main")} == {(p["runId"], p["sessionKey"], p["agentId"]) for p in payloads}
        assert ["start", "end"] == [p["data"]["phase"] for p in payloads if p["stream"] == "lifecycle"]
        grown = [(p["data"]["delta"], p["data"]["text"]) for p in payloads if p["stream"] == "assistant"]
        assert [("Hel", "Hel"), ("lo ", "Hello "), ("you", "Hello you")] == grown
        assert (request, True, "ok") == (done["id"], done["ok"], done["payload"]["status"])

    def test_the_result_says_all_there_is(self, client: Client, key: str) -> None:
        """The text, how long it took, who answered, and the tokens that the provider counted."""
        result = client.run("hi", sessionKey=key)
        meta = result["result"]["meta"]

        assert [{"text": "Hello, wörld", "mediaUrl": None}] == result["result"]["payloads"]
        assert ("completed", "stop") == (result["summary"], meta["stopReason"])
        assert {"sessionKey": key, "agentId": "main", "provider": "fake", "model": "main", "usage": USAGE} == meta[
            "agentMeta"
        ]

    def test_the_model_that_answered_is_named(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Be it a fallback; also when the key comes again."""
        upstream.play(error(500, {"message": "no"}), model="first")
        params = {"agentId": "chained", "sessionKey": key.replace("main", "chained", 1), "idempotencyKey": new_key()}
        metas = [client.run("hi", **params)["result"]["meta"]["agentMeta"] for _ in range(2)]

        assert [("fake", "third")] * 2 == [(meta["provider"], meta["model"]) for meta in metas]

    def test_events_are_valid_by_the_protocols_schema(self, client: Client) -> None:
        """But for the session's key and the agent's id, which the protocol's own gateway sends too."""
        client.run("hi")
        events = client.events("agent")

        assert {"lifecycle", "assistant"} == {payload["stream"] for payload in events}
        for payload in events:
            known = {name: value for name, value in payload.items() if name not in ("sessionKey", "agentId")}
            npm.protocol_validator("AgentEvent").validate(known)

    def test_an_answer_grows_while_it_is_written(self, client: Client, upstream: FakeUpstream) -> None:
        """The first words are there while the provider still has to say the others."""
        upstream.play(halting("Hel", "lo"))
        request, run = begun(client)

        assert "Hel" == client.event("agent", stream="assistant")["data"]["text"]
        assert {"runId": run, "status": "timeout"}.items() <= client.call(
            "agent.wait", {"runId": run, "timeoutMs": 0}
        ).items()
        upstream.last.release()
        assert "Hello" == text_of(client.result(request))

    def test_others_do_not_hear_of_it(self, dial: Dial) -> None:
        """``agent`` events go to the connection that began the run, and to no other."""
        one, other = dial().admitted(), dial().admitted()
        one.run("hi")

        assert [] == other.events("agent") + other.events("chat")

    def test_without_a_key_nothing_is_kept(self, client: Client) -> None:
        """The run has a session of its own, which nobody finds afterwards; an empty key is none."""
        for more in ({}, {"sessionKey": ""}):
            session = client.run("hi", **more)["result"]["meta"]["agentMeta"]["sessionKey"]
            assert session.startswith("agent:main:openai:")
            assert client.call("sessions.describe", {"key": session})["session"] is None

    def test_prompts_add_up(self, client: Client, upstream: FakeUpstream) -> None:
        """The agent's own first, then what the request adds; the agent's parameters go with it."""
        client.run("hi", agentId="prompted", extraSystemPrompt="Say it in Portuguese.")
        asked = upstream.last.json

        assert ["system", "user"] == [message["role"] for message in asked["messages"]]
        assert "You are terse.\n\nSay it in Portuguese." == asked["messages"][0]["content"]
        assert (0.1, 50, "prompted") == (asked["temperature"], asked["max_tokens"], asked["model"])

    def test_an_answer_of_calls_has_no_text(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """What a model wants called is in the history; the result has no payload then."""
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        upstream.play(stream(event(chunk({"tool_calls": [call]})), event(chunk({}, finish_reason="tool_calls"))))
        result = client.run("hi", sessionKey=key)

        assert ([], "tool_calls") == (result["result"]["payloads"], result["result"]["meta"]["stopReason"])
        content = client.call("chat.history", {"sessionKey": key})["messages"][1]["content"]
        assert ["toolCall"] == [part["type"] for part in content]


class TestBroken:
    """The connection that began a run breaks."""

    @pytest.mark.parametrize("leave", [Client.close, Client.break_off], ids=["closed", "reset"])
    def test_the_run_goes_on(
        self, dial: Dial, upstream: FakeUpstream, key: str, leave: Callable[[Client], None]
    ) -> None:
        """However the client left, its turn is answered, stored, and known by its id from elsewhere."""
        upstream.play(halting("Hel", "lo"))
        one, other = dial().admitted(), dial().admitted()
        _, run = begun(one, sessionKey=key)
        one.event("agent", stream="assistant")
        leave(one)
        waiting = other.request("agent.wait", {"runId": run})
        other.call("health")
        upstream.last.release()

        assert "ok" == other.result(waiting)["status"]
        history = other.call("chat.history", {"sessionKey": key})["messages"]
        assert [("user", "hi"), ("assistant", "Hello")] == [said(message) for message in history]

    def test_leaving_at_any_time_is_no_error(self, dial: Dial, live: LiveGateway, upstream: FakeUpstream) -> None:
        """Before the challenge is read, before the handshake, with requests under way: the log stays clean."""
        before = len(live.log)
        for _ in range(5):
            dial().break_off()
            dial().close()
            busy = dial().admitted()
            for _ in range(20):
                busy.request("sessions.list")
            busy.break_off()

        assert 1 == dial().admitted().call("status")["connections"]
        assert "Traceback" not in live.log[before:]


class TestFailures:
    """Runs that don't get to their end."""

    @pytest.mark.parametrize(
        ("status", "code", "details"),
        [(500, "UNAVAILABLE", "odd"), (400, "INVALID_REQUEST", "odd"), (429, "UNAVAILABLE", "odd")],
    )
    def test_a_failure_is_an_error_with_a_result(
        self, client: Client, upstream: FakeUpstream, status: int, code: str, details: str
    ) -> None:
        """``ok`` is false, the error says which, and the payload is an ``AgentResult`` all the same."""
        upstream.play(error(status, {"message": "no", "code": "odd"}))
        request, run = begun(client)
        answer = client.response(request)

        assert (False, code, details) == (answer["ok"], answer["error"]["code"], answer["error"]["details"]["code"])
        assert {"runId": run, "status": "error", "summary": answer["error"]["message"]} == answer["payload"]
        end = client.event("agent", stream="lifecycle", seq=2)["data"]
        assert ("error", answer["error"]["message"]) == (end["phase"], end["error"])

    def test_a_failure_in_the_middle(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """What was said until then was told, but is not kept."""
        upstream.play(stream(*words("Hel", "lo")[:2], event({"error": {"message": "no", "type": "server_error"}})))
        request, _ = begun(client, sessionKey=key)

        assert client.response(request)["ok"] is False
        assert "Hel" == client.event("agent", stream="assistant")["data"]["text"]
        assert [] == client.call("chat.history", {"sessionKey": key})["messages"]

    def test_a_session_goes_on_after_a_failure(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """As if the failed turn had not been."""
        upstream.play(error(500, {"message": "no"}), stream(*words("yes")))
        request, _ = begun(client, "one", sessionKey=key)
        assert client.response(request)["ok"] is False
        client.run("two", sessionKey=key)

        assert [{"role": "user", "content": "two"}] == upstream.last.json["messages"]

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [(500, None, "unknown"), (429, None, "rate_limit"), (400, "context_length_exceeded", "context_length")],
    )
    def test_chat_says_what_kind_of_failure(
        self, client: Client, upstream: FakeUpstream, key: str, status: int, code: str | None, kind: str
    ) -> None:
        """In the protocol's words."""
        upstream.play(error(status, {"message": "no", "code": code}))
        sent(client, key)

        assert kind == client.event("chat", state="error")["errorKind"]

    def test_time_runs_out(self, client: Client, upstream: FakeUpstream) -> None:
        """The agent's time: ``ok`` with the status ``timeout``, as the protocol has it, and the provider is let go."""
        upstream.play(LATE)
        request, run = begun(client, agentId="hasty")
        answer = client.response(request)

        assert (True, "timeout", "timeout") == (
            answer["ok"],
            answer["payload"]["status"],
            answer["payload"]["stopReason"],
        )
        assert "error" == client.event("agent", stream="lifecycle", seq=2)["data"]["phase"]
        waited = client.call("agent.wait", {"runId": run})
        assert ("timeout", "timeout", True) == (waited["status"], waited["stopReason"], "endedAt" in waited)
        upstream.last.wait_closed()

    def test_the_clients_time_runs_out(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """``timeoutMs`` of ``chat.send``, where that is less than the agent's; 0 is no limit."""
        upstream.play(LATE)
        sent(client, key, timeoutMs=50)
        assert "timeout" == client.event("chat", state="error")["errorKind"]
        upstream.last.wait_closed()
        upstream.reset()

        assert "ok" == client.call("agent.wait", {"runId": sent(client, key, timeoutMs=0)})["status"]

    def test_nobody_there(self, client: Client) -> None:
        """A provider that can't be reached is one that is not available."""
        request, _ = begun(client, agentId="lost")

        assert "UNAVAILABLE" == client.response(request)["error"]["code"]
