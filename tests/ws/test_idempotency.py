"""Keys that are honoured, and ``agent.wait``: a run is known by its id, to whoever asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.script import error
from tests.fakes.upstream import FakeUpstream
from tests.ws.answers import LATE, begun, halting, sent
from tests.ws.client import Client, Refused, new_key, text_of

Dial = Callable[..., Client]


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
        joined = other.request("agent", {"message": "something else", "idempotencyKey": run})
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

    def test_for_one_that_failed(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """It says what went wrong."""
        upstream.play(error(500, {"message": "no"}))
        answer = client.call("agent.wait", {"runId": sent(client, key)})

        assert ("error", True) == (answer["status"], bool(answer["error"]))
        assert "endedAt" in answer
