"""Frames after the handshake: those that are no requests, those that are too large, and too many of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import pytest

from tests import npm
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.ws.client import Client, Refused, new_key

Dial = Callable[..., Client]

MAX_REQUESTS = 256
MAX_PAYLOAD = 2**24


class TestFrames:
    """What isn't a good request."""

    @pytest.mark.parametrize("method", ["nonsense", "connect", "Health", "health ", "x" * 10_000])
    def test_unknown_methods(self, client: Client, method: str) -> None:
        """They are named, not at any length, and the connection stays."""
        with pytest.raises(Refused) as failure:
            client.call(method)
        assert ("INVALID_REQUEST", f"unknown method: {method[:100]}") == (failure.value.code, failure.value.message)
        assert client.call("health")["ok"] is True

    @pytest.mark.parametrize(
        ("frame", "id"),
        [
            ('{"type": "req", "id": "7"}', "7"),
            ('{"type": "req", "id": "7", "method": ""}', "7"),
            ('{"type": "req", "id": "7", "method": "health", "more": 1}', "7"),
            ('{"type": "res", "id": "7", "ok": true}', "7"),
            ('{"id": "7", "method": "health"}', "7"),
            ('{"type": "req", "id": 7, "method": "health"}', "invalid"),
            ('{"type": "req", "id": "", "method": "health"}', "invalid"),
            ('{"type": "req", "method": "health"}', "invalid"),
            ("{}", "invalid"),
            ("[]", "invalid"),
            ("null", "invalid"),
            ('"health"', "invalid"),
        ],
    )  # fmt: skip
    def test_json_that_is_no_request(self, client: Client, frame: str, id: str) -> None:
        """It is answered under its id, or ``invalid``, and the connection stays."""
        client.send(frame)
        answer = client.response(id)

        npm.protocol_validator("ResponseFrame").validate(answer)
        assert ("INVALID_REQUEST", False) == (answer["error"]["code"], answer["ok"])
        assert client.call("health")["ok"] is True

    @pytest.mark.parametrize(
        "frame",
        ["", "x", "{", '{"type": "req", "id": "1", "method": "health"', '{"type": 1, oops', "[" * 100_000, "\x00"],
        ids=lambda text: repr(text[:20]),
    )
    def test_what_is_no_json_is_skipped(self, client: Client, frame: str) -> None:
        """There is no answer to it, and the connection stays."""
        client.send(frame)

        assert client.call("health")["ok"] is True
        assert ["connect.challenge"] == [one["event"] for one in client.unread]

    def test_requests_are_answered_as_they_are_done(self, client: Client, upstream: FakeUpstream) -> None:
        """A long one does not hold up those behind it."""
        upstream.play(stream(Pause(), *words("late")))
        slow = client.request("agent", {"message": "hi", "idempotencyKey": new_key()})
        client.result(slow)
        upstream.wait()

        assert client.call("health")["ok"] is True
        upstream.last.release()
        assert "ok" == client.result(slow)["status"]

    def test_too_many_requests_at_once(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """Over the limit they are refused for now; those under way are answered all the same."""
        upstream.play(stream(Pause(), *words("late")))
        run = new_key()
        client.call("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": run})
        upstream.wait()
        waiting = [client.request("agent.wait", {"runId": run}) for _ in range(MAX_REQUESTS)]
        with pytest.raises(Refused) as failure:
            client.call("health")
        upstream.last.release()

        assert ("UNAVAILABLE", True) == (failure.value.code, failure.value.error["retryable"])
        assert {"ok"} == {client.result(request)["status"] for request in waiting}
        assert client.call("health")["ok"] is True

    def test_binary_frames_end_the_connection(self, client: Client, dial: Dial) -> None:
        """They are not part of the protocol."""
        client.send(b'{"type": "req", "id": "1", "method": "health"}')

        assert 1003 == client.closed()[0]
        assert dial().admitted().call("health")["ok"] is True

    def test_large_frames_are_read(self, client: Client, upstream: FakeUpstream) -> None:
        """Up to ``maxPayload``, once the client has been let in."""
        frame = json.dumps({"type": "req", "id": "1", "method": "agent.wait", "params": {"runId": ""}})
        text = "x" * (MAX_PAYLOAD - len(frame))
        client.send(frame.replace('"runId": ""', f'"runId": "{text}"'))

        assert "there is no run" in client.response("1")["error"]["message"]

    def test_larger_ones_end_the_connection(self, client: Client) -> None:
        """With the code that says so."""
        head = struct.pack("!BBQ4s", 0x81, 0xFF, MAX_PAYLOAD + 1, b"mask")
        # Its beginning is enough, and lets the answer arrive before the connection is cut under the rest of it.
        client.socket.socket.sendall(head)

        assert 1009 == client.closed()[0]


def test_traceparent_is_ignored(client: Client) -> None:
    """The gateway takes no part in distributed traces, and no offence at them."""
    client.send({"type": "req", "id": "1", "method": "health", "traceparent": "00-4bf9-00f0-01"})

    assert client.response("1")["ok"] is True
