"""Keys that are honoured, and ``agent.wait``: a run is known by its id, to whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.doors.client import CHAT, SECONDS, user
from tests.fakes.script import Pause, error, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway
from tests.official import Json
from tests.ws.answers import LATE, begun, halting, sent
from tests.ws.client import Client, Refused, new_key, text_of

Dial = Callable[..., Client]

UNSAID = "(unsaid)"
"""Stands for a param that is left out."""


def asked(live: LiveGateway, key: str = "", *, stream: bool = False) -> HTTPConnection:
    """Ask over HTTP, in a session if it has a key, and don't read the answer."""
    connection = HTTPConnection("127.0.0.1", live.port, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "x-zero-session-key": key}
    body = {"model": "zero", "messages": [user("hi")], "stream": stream}
    connection.request("POST", CHAT, json.dumps(body), headers)
    return connection


class TestIdempotency:
    """The same key is the same run, whoever sends it and when; another key is another."""

    def test_on_the_same_connection(self, client: Client, upstream: FakeUpstream) -> None:
        """It gets the answers of the first request again, and no events."""
        params = {"message": "hi", "idempotencyKey": new_key()}
        first = [client.result(request) for request in [client.request("agent", params)] for _ in range(2)]
        client.events("agent")
        again = [client.result(request) for request in [client.request("agent", params)] for _ in range(2)]

        assert first == again
        assert [] == client.events("agent")
        assert 1 == len(upstream.exchanges)

    def test_sent_twice_in_one_breath(self, client: Client, upstream: FakeUpstream) -> None:
        """Also while the first hasn't been answered yet."""
        params = {"message": "hi", "idempotencyKey": new_key()}
        requests = [client.request("agent", params) for _ in range(3)]
        results = [[client.result(request) for _ in range(2)] for request in requests]

        assert results[0] == results[1] == results[2]
        assert 1 == len(upstream.exchanges)

    def test_while_it_runs_and_from_elsewhere(self, dial: Dial, upstream: FakeUpstream) -> None:
        """Another connection joins the run, and gets its result."""
        upstream.play(LATE)
        one, other = dial().admitted(), dial().admitted()
        request, run = begun(one)
        upstream.wait()
        joined = other.request("agent", {"message": "hi", "idempotencyKey": run})
        assert run == other.result(joined)["runId"]
        upstream.last.release()

        assert one.result(request) == other.result(joined)
        assert 1 == len(upstream.exchanges)

    def test_after_reconnecting(self, dial: Dial, upstream: FakeUpstream) -> None:
        """A client that lost its connection sends the request again, and gets what it missed."""
        upstream.play(halting("Hel", "lo"))
        one = dial().admitted()
        _, run = begun(one)
        upstream.wait()
        one.break_off()
        upstream.last.release()
        again = dial().admitted()
        request = again.request("agent", {"message": "hi", "idempotencyKey": run})

        assert "accepted" == again.result(request)["status"]
        assert "Hello" == text_of(again.result(request))
        assert 1 == len(upstream.exchanges)

    def test_another_key_is_another_run(self, client: Client, upstream: FakeUpstream) -> None:
        """Whatever else is the same."""
        client.run("hi")
        client.run("hi")

        assert 2 == len(upstream.exchanges)

    @pytest.mark.parametrize(
        "other",
        [
            {"message": "something else"},
            {"agentId": "echo"},
            {"agentId": UNSAID},
            {"sessionKey": "another"},
            {"sessionKey": UNSAID},
            {"extraSystemPrompt": "Be brief."},
            {"timeout": 5},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("over", [False, True], ids=["during", "after"])
    def test_the_same_key_for_something_else(
        self, dial: Dial, upstream: FakeUpstream, key: str, other: Json, over: bool
    ) -> None:
        """Is refused by name, during the run and afterwards; the run isn't disturbed."""
        upstream.play(LATE)
        one, two = dial().admitted(), dial().admitted()
        about = {"agentId": "main", "sessionKey": key}
        request, run = begun(one, **about)
        upstream.wait()
        if over:
            upstream.last.release()
            one.result(request)
        changed = {"message": "hi", "idempotencyKey": run, **about, **other}
        again = two.request("agent", {name: value for name, value in changed.items() if value != UNSAID})
        error = two.response(again)["error"]

        assert ("INVALID_REQUEST", "idempotencyKey") == (error["code"], error["details"]["param"])
        assert "idempotencyKey" in error["message"]
        if not over:
            upstream.last.release()
            assert "late" == text_of(one.result(request))
        assert 1 == len(upstream.exchanges)

    @pytest.mark.parametrize(
        ("longest", "longer"), [("k" * 512, "k" * 513), ("é" * 256, "é" * 257)], ids=["ASCII", "others"]
    )
    def test_a_key_has_512_bytes_at_most(self, client: Client, key: str, longest: str, longer: str) -> None:
        """It is the run's id and in every event. A longer one begins nothing, and the answer doesn't repeat it."""
        for method, params in (("agent", {}), ("chat.send", {"sessionKey": key})):
            request = client.request(method, {"message": "hi", "idempotencyKey": longer, **params})
            error = client.response(request)["error"]

            assert ("INVALID_REQUEST", "idempotencyKey") == (error["code"], error["details"]["param"])
            assert longer not in error["message"]
            assert "512" in error["message"]
        request = client.request("agent", {"message": "hi", "idempotencyKey": longest})
        assert longest == client.result(request)["runId"] == client.result(request)["runId"]

    @pytest.mark.parametrize("other", [{"message": "x"}, {"sessionKey": "x"}, {"agentId": "echo"}, {"timeoutMs": 5}])
    def test_chat_send_with_a_key_of_something_else(self, client: Client, key: str, other: Json) -> None:
        """The same for a turn of a session; and the other method is something else, too."""
        bare = key.removeprefix("agent:main:")
        run = sent(client, bare)
        client.call("agent.wait", {"runId": run})
        request = client.request("chat.send", {"sessionKey": bare, "message": "hi", "idempotencyKey": run, **other})
        assert "idempotencyKey" == client.response(request)["error"]["details"]["param"]
        request = client.request("agent", {"sessionKey": bare, "message": "hi", "idempotencyKey": run})
        assert "idempotencyKey" == client.response(request)["error"]["details"]["param"]

    def test_params_that_make_no_difference_may_differ(self, client: Client, upstream: FakeUpstream) -> None:
        """What is ignored, and what says nothing, is no part of what is asked for."""
        params = {"message": "hi", "idempotencyKey": new_key()}
        first = client.run(**params)
        again = client.run(**params, label="x", thinking="high", sessionKey="", timeout=0, deliver=False)

        assert first == again
        assert 1 == len(upstream.exchanges)

    def test_a_failure_is_repeated(self, client: Client, upstream: FakeUpstream) -> None:
        """What went wrong once isn't tried again under the same key."""
        upstream.play(error(500, {"message": "no"}))
        params = {"message": "hi", "idempotencyKey": new_key()}
        failures = []
        for _ in range(2):
            request = client.request("agent", params)
            client.result(request)
            failures.append({**client.response(request), "id": ""})

        assert failures[0] == failures[1]
        assert 1 == len(upstream.exchanges)

    def test_chat_send_says_how_it_is_getting_on(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Started once; in flight while it runs; then how it ended."""
        upstream.play(LATE)
        run = new_key()
        params = {"sessionKey": key, "message": "hi", "idempotencyKey": run}
        answers = [client.call("chat.send", params) for _ in range(2)]
        upstream.wait()
        upstream.last.release()
        client.call("agent.wait", {"runId": run})
        answers.append(client.call("chat.send", params))

        assert [{"runId": run, "status": status} for status in ("started", "in_flight", "ok")] == answers
        assert 1 == len(upstream.exchanges)

    def test_chat_send_says_what_went_wrong(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """With the status ``error`` there is a sentence."""
        upstream.play(error(500, {"message": "no"}))
        run = sent(client, key)
        waited = client.call("agent.wait", {"runId": run})
        again = client.call("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": run})

        assert ("error", waited["error"]) == (again["status"], again["summary"])


class TestWait:
    """``agent.wait``: for a run of any connection."""

    def test_for_one_that_is_over(self, dial: Dial) -> None:
        """It says at once when it began and ended."""
        request, run = begun(one := dial().admitted())
        one.result(request)
        answer = dial().admitted().call("agent.wait", {"runId": run})

        assert ("ok", run) == (answer["status"], answer["runId"])
        assert answer["startedAt"] <= answer["endedAt"]

    def test_for_one_that_goes_on(self, dial: Dial, upstream: FakeUpstream) -> None:
        """The status ``timeout`` without ``endedAt``; the run isn't disturbed by it."""
        upstream.play(LATE)
        one, other = dial().admitted(), dial().admitted()
        request, run = begun(one)
        upstream.wait()
        answer = other.call("agent.wait", {"runId": run, "timeoutMs": 1})
        waiting = other.request("agent.wait", {"runId": run})
        upstream.last.release()

        assert ("timeout", False) == (answer["status"], "endedAt" in answer)
        assert "ok" == one.result(request)["status"] == other.result(waiting)["status"]

    def test_for_one_that_nobody_began(self, client: Client) -> None:
        """Its name is in the answer."""
        with pytest.raises(Refused, match="there is no run 'nothing'"):
            client.call("agent.wait", {"runId": "nothing"})

    def test_for_a_stream_over_http(self, client: Client, live: LiveGateway, upstream: FakeUpstream) -> None:
        """Its id is in the headers, also where its session is its own."""
        upstream.play(halting("Hel", "lo"))
        with closing(asked(live, stream=True)) as connection:
            response = connection.getresponse()
            run = response.getheader("x-zero-run-id")
            early = client.call("agent.wait", {"runId": run, "timeoutMs": 0})
            waiting = client.request("agent.wait", {"runId": run})
            client.call("health")
            upstream.last.release()
            answer = client.result(waiting)
            assert b"[DONE]" in response.read()

        assert ("timeout", False) == (early["status"], "endedAt" in early)
        assert {"runId": run, "status": "ok"}.items() <= answer.items()
        assert early["startedAt"] == answer["startedAt"] <= answer["endedAt"]
        assert answer.keys().isdisjoint({"error", "stopReason"})

    @pytest.mark.parametrize(
        ("agent", "end", "expected"),
        [
            ("main", "fail", ("error", None)),
            ("main", "abort", ("timeout", "rpc")),
            ("main", "leave", ("timeout", "rpc")),
            ("hasty", "wait", ("timeout", "timeout")),
        ],
    )
    def test_how_one_ended_that_came_over_http(
        self, client: Client, live: LiveGateway, upstream: FakeUpstream, key: str, agent: str, end: str, expected: Json
    ) -> None:
        """Failed, aborted, left by its client or out of time: the same words as for other runs, and a sentence."""
        session = key.replace("main", agent, 1)
        client.run("hi", sessionKey=session)
        upstream.reset()
        upstream.play(stream(Pause(), event({"error": {"message": "no", "type": "server_error"}})))
        with closing(asked(live, session)) as connection:
            upstream.wait()
            run = client.call("sessions.describe", {"key": session})["session"]["activeRunIds"][0]
            waiting = client.request("agent.wait", {"runId": run})
            client.call("health")
            if end == "fail":
                upstream.last.release()
            elif end == "abort":
                client.call("chat.abort", {"sessionKey": session})
            elif end == "leave":
                connection.close()
            answer = client.result(waiting)

        assert expected == (answer["status"], answer.get("stopReason"))
        assert answer["error"]
        assert answer["startedAt"] <= answer["endedAt"]

    def test_for_one_that_failed(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """It says what went wrong."""
        upstream.play(error(500, {"message": "no"}))
        answer = client.call("agent.wait", {"runId": sent(client, key)})

        assert ("error", True) == (answer["status"], bool(answer["error"]))
        assert "endedAt" in answer
