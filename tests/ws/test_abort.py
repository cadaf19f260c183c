"""``chat.abort``, ``sessions.reset`` and ``sessions.delete`` while runs are under way, whichever door they came by."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.test_zero import ended, served
from tests.doors.client import CHAT, SECONDS, Reply, user
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway, free_port
from tests.official import Json, validator
from tests.ws.answers import LATE, begun, halting, sent
from tests.ws.client import Client, new_key, said

Dial = Callable[..., Client]
Http = Callable[..., Future[Reply]]


def stopped(client: Client, key: str) -> list[str]:
    """Abort whatever runs in a session; return the ids."""
    answer = client.call("chat.abort", {"sessionKey": key})
    assert answer["aborted"] is bool(answer["runIds"])
    found: list[str] = answer["runIds"]
    return found


def remembered(client: Client, upstream: FakeUpstream, key: str) -> None:
    """Have a session stored, so that it can be described."""
    client.run("zero", sessionKey=key)
    upstream.reset()


def waiting_behind(client: Client, key: str, first: str) -> str:
    """Wait until a second run of a session has come in behind the first; return its id."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        runs = client.call("sessions.describe", {"key": key})["session"]["activeRunIds"]
        if len(runs) > 1:
            assert first == runs[0]
            second: str = runs[1]
            return second
    raise AssertionError("no second run came")


class TestOverWebSocket:
    """Runs that came over the WebSocket."""

    def test_a_run_of_agent(self, dial: Dial, upstream: FakeUpstream, key: str) -> None:
        """From another connection. It ends as aborted, the provider is let go, the session stays as it was."""
        upstream.play(halting("Hel", "lo"))
        one, other = dial().admitted(), dial().admitted()
        request, run = begun(one, sessionKey=key)
        one.event("agent", stream="assistant")
        assert [run] == stopped(other, key)

        assert {"runId": run, "status": "timeout", "summary": "aborted", "stopReason": "rpc"} == one.result(request)
        end = one.event("agent", stream="lifecycle", seq=3)["data"]
        assert ("error", True, "rpc") == (end["phase"], end["aborted"], end["stopReason"])
        upstream.last.wait_closed()
        assert [] == one.call("chat.history", {"sessionKey": key})["messages"]
        waited = other.call("agent.wait", {"runId": run})
        assert ("timeout", "rpc", True) == (waited["status"], waited["stopReason"], "endedAt" in waited)

    def test_a_turn_of_chat(self, dial: Dial, upstream: FakeUpstream, key: str) -> None:
        """Everybody hears what it had said until then."""
        upstream.play(halting("Hel", "lo"))
        one, other = dial().admitted(), dial().admitted()
        run = sent(one, key)
        other.event("chat", state="delta")
        stopped(one, key)
        ends = [client.event("chat", state="aborted") for client in (one, other)]

        assert ends[0] == ends[1]
        assert (run, "rpc", ("assistant", "Hel")) == (
            ends[0]["runId"],
            ends[0]["stopReason"],
            said(ends[0]["message"]),
        )

    def test_sent_and_aborted_in_one_breath(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """A client need not wait for the first answer to change its mind."""
        upstream.play(LATE)
        run = new_key()
        client.request("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": run})

        assert [run] == stopped(client, key)
        assert run == client.event("chat", state="aborted")["runId"]

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            ({}, {"sessionKey": "whatever"}),
            ({"agentId": "careful"}, {"sessionKey": "agent:main:whatever"}),
            ({"agentId": "careful", "sessionKey": "bare"}, {"sessionKey": "bare"}),
            ({"agentId": "careful", "sessionKey": "bare"}, {"sessionKey": "bare", "agentId": "careful"}),
        ],
        ids=str,
    )
    def test_before_the_first_answer(self, client: Client, upstream: FakeUpstream, asked: Json, named: Json) -> None:
        """A client that has heard nothing yet doesn't know the session's full key, but it knows the run's id."""
        upstream.play(LATE)
        run = new_key()
        request = client.request("agent", {"message": "hi", "idempotencyKey": run, **asked})
        answer = client.call("chat.abort", {"runId": run, **named})

        assert {"ok": True, "aborted": True, "runIds": [run]} == answer
        assert "accepted" == client.result(request)["status"]
        assert ("timeout", "rpc") == ((end := client.result(request))["status"], end["stopReason"])

    def test_one_of_several(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """A run that waits its turn can be taken out alone; the others aren't disturbed, and come to their turn."""
        upstream.play(LATE)
        first, second, third = (sent(client, key, text) for text in ("one", "two", "three"))
        upstream.wait()
        answer = client.call("chat.abort", {"sessionKey": key, "runId": second})

        assert {"ok": True, "aborted": True, "runIds": [second]} == answer
        assert "message" not in client.event("chat", state="aborted", runId=second)
        upstream.last.release()
        client.event("chat", state="final", runId=first)
        upstream.wait(2).release()
        client.event("chat", state="final", runId=third)
        assert ["one", "late", "three"] == [message["content"] for message in upstream.last.json["messages"]]

    def test_all_of_them(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Without a run's id every run of the session is stopped, in the order they came; other sessions' aren't."""
        upstream.play(LATE)
        runs = [sent(client, key, text) for text in ("one", "two", "three")]
        other = sent(client, f"{key}-other")
        upstream.wait(2)

        assert runs == stopped(client, key)
        assert runs == [client.event("chat", state="aborted")["runId"] for _ in runs]
        assert [other] == stopped(client, f"{key}-other")

    @pytest.mark.parametrize("more", [{}, {"runId": "nothing"}])
    def test_nothing_to_abort_is_no_error(self, client: Client, key: str, more: Json) -> None:
        """Nor is a run's id that the session doesn't have."""
        answer = client.call("chat.abort", {"sessionKey": key, **more})

        assert {"ok": True, "aborted": False, "runIds": []} == answer

    def test_another_sessions_run_is_not_touched(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """The id alone is not enough where the client has named the session itself."""
        upstream.play(LATE)
        run = sent(client, key)
        upstream.wait()

        bare = key.removeprefix("agent:main:")
        for other in ({"sessionKey": f"{key}-other"}, {"sessionKey": "x"}, {"sessionKey": bare, "agentId": "echo"}):
            assert [] == client.call("chat.abort", {**other, "runId": run})["runIds"]
        upstream.last.release()
        assert "ok" == client.call("agent.wait", {"runId": run})["status"]


class TestOverHttp:
    """Runs that came over HTTP."""

    def test_a_request(self, client: Client, live: LiveGateway, upstream: FakeUpstream, http: Http, key: str) -> None:
        """It is answered with 503, and told not to try again by itself."""
        upstream.play(LATE)
        reply = http(live, "hi", headers={"x-zero-session-key": key})
        upstream.wait()
        (run,) = stopped(client, key)

        assert (503, "run_aborted", None) == reply.result().summary
        assert ("false", run, key) == (
            reply.result().header("x-should-retry"),
            reply.result().header("x-zero-run-id"),
            reply.result().header("x-zero-session-key"),
        )
        assert "chat.abort" in reply.result().error["message"]
        upstream.last.wait_closed()
        assert [] == client.call("chat.history", {"sessionKey": key})["messages"]

    def test_a_stream(self, client: Client, live: LiveGateway, upstream: FakeUpstream, key: str) -> None:
        """What was said is followed by an error event in OpenAI's shape and by nothing that looks like success."""
        upstream.play(halting("Hel", "lo"))
        body = json.dumps({"model": "zero", "stream": True, "messages": [user("hi")]})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "x-zero-session-key": key}
        with closing(HTTPConnection("127.0.0.1", live.port, timeout=SECONDS)) as connection:
            connection.request("POST", CHAT, body, headers)
            response = connection.getresponse()
            begun_with = b""
            while b'"content":"Hel"' not in begun_with:
                begun_with += response.readline()
            (run,) = stopped(client, key)
            answer = (begun_with + response.read()).decode()
        events = [line.removeprefix("data: ") for line in answer.split("\n\n") if line]

        assert (200, run, "[DONE]") == (response.status, response.getheader("x-zero-run-id"), events[-1])
        failure = json.loads(events[-2])
        validator("ErrorResponse").validate(failure)
        assert ("run_aborted", "server_error") == (failure["error"]["code"], failure["error"]["type"])
        chunks = [json.loads(text) for text in events[:-2]]
        assert [] == [choice for one in chunks for choice in one["choices"] if choice["finish_reason"]]
        upstream.last.wait_closed()

    @pytest.mark.parametrize("by", ["id", "key"])
    def test_a_stream_without_a_session(
        self, client: Client, live: LiveGateway, upstream: FakeUpstream, by: str
    ) -> None:
        """By its id, which is in the headers as its session's key is, or by that."""
        upstream.play(halting("Hel", "lo"))
        body = json.dumps({"model": "zero", "stream": True, "messages": [user("hi")]})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", live.port, timeout=SECONDS)) as connection:
            connection.request("POST", CHAT, body, headers)
            response = connection.getresponse()
            run, key = (response.getheader(f"x-zero-{name}") for name in ("run-id", "session-key"))
            by_id = {"sessionKey": "main", "runId": run}
            answer = client.call("chat.abort", by_id if by == "id" else {"sessionKey": key})
            said = response.read()

        assert [run] == answer["runIds"]
        assert b'"run_aborted"' in said
        upstream.last.wait_closed()

    def test_one_that_waits_its_turn(
        self, client: Client, live: LiveGateway, upstream: FakeUpstream, http: Http, key: str
    ) -> None:
        """A request behind a run of the WebSocket's can be taken out; it has not reached the provider."""
        remembered(client, upstream, key)
        upstream.play(LATE)
        first = sent(client, key)
        upstream.wait()
        reply = http(live, "two", headers={"x-zero-session-key": key}, stream=True)
        second = waiting_behind(client, key, first)

        assert [second] == client.call("chat.abort", {"sessionKey": key, "runId": second})["runIds"]
        assert (503, "run_aborted", None) == reply.result().summary
        upstream.last.release()
        assert "ok" == client.call("agent.wait", {"runId": first})["status"]
        assert 1 == len(upstream.exchanges)

    def test_its_id_is_no_idempotency_key(
        self, client: Client, live: LiveGateway, upstream: FakeUpstream, http: Http, key: str
    ) -> None:
        """A key that is the id of a run of the other door is refused as long as that one lasts."""
        remembered(client, upstream, key)
        upstream.play(LATE)
        first = sent(client, key)
        upstream.wait()
        reply = http(live, "two", headers={"x-zero-session-key": key})
        second = waiting_behind(client, key, first)
        answer = client.response(
            client.request("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": second})
        )

        assert ("INVALID_REQUEST", "idempotencyKey") == (
            answer["error"]["code"],
            answer["error"]["details"]["param"],
        )
        assert [first, second] == stopped(client, key)
        assert 503 == reply.result().status


class TestSessionsGo:
    """A session is reset or deleted while its runs are under way."""

    @pytest.mark.parametrize(("method", "word"), [("sessions.reset", "reset"), ("sessions.delete", "deleted")])
    def test_its_runs_are_aborted_first(
        self, client: Client, live: LiveGateway, upstream: FakeUpstream, http: Http, key: str, method: str, word: str
    ) -> None:
        """Of both doors, those that wait too; nothing of them is written into the session afterwards."""
        remembered(client, upstream, key)
        upstream.play(LATE)
        request, run = begun(client, "one", sessionKey=key)
        upstream.wait()
        reply = http(live, "two", headers={"x-zero-session-key": key})
        waiting_behind(client, key, run)
        client.call(method, {"key": key})

        ended_as = client.result(request)
        assert ("timeout", "rpc") == (ended_as["status"], ended_as["stopReason"])
        assert 503 == reply.result().status
        assert f"its session was {word}" in reply.result().error["message"]
        assert [] == client.call("chat.history", {"sessionKey": key})["messages"]
        upstream.reset()
        client.run("three", sessionKey=key)
        assert [{"role": "user", "content": "three"}] == upstream.last.json["messages"]


class Place(NamedTuple):
    """Where a gateway listens that isn't a ``LiveGateway``."""

    port: int


class TestShutdown:
    """The gateway ends."""

    def test_everybody_is_told(self, tmp_path: Path, upstream: FakeUpstream) -> None:
        """``zero gateway`` says goodbye, closes with 1012, and ends in time, though a run is under way."""
        upstream.play(LATE)
        place = Place(free_port())
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(upstream_configuration(upstream, gateway={"drainSeconds": 0.2})))
        process, _ = served(tmp_path, "--config", str(path), "--port", str(place.port))
        try:
            with Client(place) as one, Client(place) as other, Client(place) as stranger:
                one.admitted()
                other.admitted()
                begun(one)
                upstream.wait()
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                goodbyes = [client.event("shutdown") for client in (one, other)]
                codes = [client.closed()[0] for client in (one, other, stranger)]
        finally:
            rest = ended(process)

        assert [{"reason": "the gateway is stopping"}] * 2 == goodbyes
        assert [1012] * 3 == codes
        assert ["connect.challenge"] == [frame["event"] for frame in stranger.unread]
        assert time.monotonic() - began < 5
        assert "Traceback" not in rest
        upstream.last.wait_closed()

    def test_a_run_may_end(self, tmp_path: Path, upstream: FakeUpstream) -> None:
        """A run that is done within ``drainSeconds`` is answered before its connection is closed."""
        upstream.play(LATE)
        place = Place(free_port())
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(upstream_configuration(upstream)))
        process, _ = served(tmp_path, "--config", str(path), "--port", str(place.port))
        try:
            with Client(place) as client:
                client.admitted()
                request, _ = begun(client)
                exchange = upstream.wait()
                process.send_signal(signal.SIGTERM)
                client.event("shutdown")
                exchange.release()
                status = client.result(request)["status"]
                code = client.closed()[0]
        finally:
            ended(process)

        assert ("ok", 1012) == (status, code)
