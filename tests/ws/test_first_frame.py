"""What a client sends instead of a good ``connect``: how it is told, and with which code it is closed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.ws.strangers import MAX_STRANGERS
from tests.cli.command import zero
from tests.cli.test_zero import ended, served
from tests.live_gateway import TOKEN, LiveGateway, free_port
from tests.official import Json
from tests.ws.calls import refused
from tests.ws.client import CLIENT, Client, handshake
from tests.ws.process import AS_ZERO_GATEWAY
from tests.ws.raw import CLOSE, CONTINUED, TEXT, RawClient

SIXTY_FOUR_KIB = 64 * 1024

Dial = Callable[..., Client]


class TestFirstFrame:
    """What comes instead of ``connect``."""

    @pytest.mark.parametrize(
        ("frame", "id"),
        [
            ({"type": "req", "id": "7", "method": "health"}, "7"),
            ({"type": "event", "event": "tick"}, "invalid"),
            ({"type": "req", "id": "8"}, "8"),
            ({"type": "req", "id": "9", "method": "connect", "more": 1}, "9"),
            ({"type": "req", "id": 5, "method": "connect"}, "invalid"),
            ([], "invalid"),
            ("5", "invalid"),
        ],
        ids=str,
    )
    def test_another_request_is_answered_and_closed(self, dial: Dial, frame: Json, id: str) -> None:
        """The answer says that ``connect`` comes first."""
        client = dial()
        client.send(frame)
        answer = client.response(id)

        assert ("INVALID_REQUEST", False) == (answer["error"]["code"], answer["ok"])
        assert "first request must be connect" in answer["error"]["message"]
        assert 1008 == client.closed()[0]

    @pytest.mark.parametrize(
        "frame",
        ["hello", "", "{", '{"type": "res", "id": "1", ', '{"type": "req", "id": 5, oops}', b"{}", b""],
        ids=repr,
    )
    def test_what_is_no_json_text_is_closed_without_a_word(self, dial: Dial, frame: str | bytes) -> None:
        """A browser on the wrong port, say, gets no answer."""
        client = dial()
        client.send(frame)

        assert 1000 == client.closed()[0]
        assert ["connect.challenge"] == [frame["event"] for frame in client.unread]

    @pytest.mark.parametrize(
        ("params", "where"),
        [
            (handshake(nonsense=1), "nonsense"),
            (handshake(client={**CLIENT, "id": "browser"}), "client.id"),
            (handshake(client={**CLIENT, "mode": "spy"}), "client.mode"),
            (handshake(client={**CLIENT, "version": ""}), "client.version"),
            (handshake(auth={"secret": TOKEN}), "secret"),
            (handshake(minProtocol="4"), "minProtocol"),
            (handshake(minProtocol=0), "minProtocol"),
            ({"minProtocol": 4, "maxProtocol": 4, "auth": {"token": TOKEN}}, "client"),
            ([], ""),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_malformed_params_are_answered_and_closed(self, dial: Dial, params: Json, where: str) -> None:
        """Also with the right secret. The answer names the place; the secret is not repeated."""
        failure, code = refused(dial(), params)

        assert ("INVALID_REQUEST", 1008) == (failure.code, code)
        assert failure.message.startswith("invalid connect params: at ")
        assert where in failure.message
        assert TOKEN not in failure.message

    def test_params_may_be_missing_only_by_mistake(self, dial: Dial) -> None:
        """A ``connect`` without params is one with malformed params."""
        client = dial()
        client.send({"type": "req", "id": "1", "method": "connect"})

        assert "minProtocol" in client.response("1")["error"]["message"]
        assert 1008 == client.closed()[0]

    @pytest.mark.parametrize(("size", "code"), [(SIXTY_FOUR_KIB, None), (SIXTY_FOUR_KIB + 1, 1009)])
    def test_a_frame_has_64_kib_at_most(self, dial: Dial, size: int, code: int | None) -> None:
        """Whoever hasn't shown the secret can't make the gateway read much."""
        client = dial()
        frame = json.dumps({"type": "req", "id": "1", "method": "connect", "params": handshake(userAgent="")})
        client.send(frame.replace('"userAgent": ""', f'"userAgent": "{"x" * (size - len(frame))}"'))

        assert (1009 if code else "hello-ok") == (client.closed()[0] if code else client.result("1")["type"])

    def test_bytes_are_counted_and_not_characters(self, dial: Dial) -> None:
        """A text of fewer characters than the limit may be too large all the same."""
        client = dial()
        client.send(json.dumps({"a": "é" * (SIXTY_FOUR_KIB // 2)}, ensure_ascii=False))

        assert 1009 == client.closed()[0]

    def test_it_is_not_even_read(self, live: LiveGateway) -> None:
        """Its header says how long it is, and is answered at once."""
        with RawClient(live.port) as client:
            client.frame(TEXT, b"{", announced=SIXTY_FOUR_KIB + 1)
            began = time.monotonic()

            assert 1009 == client.close_code()
            assert time.monotonic() - began < 5

    def test_neither_are_many_small_ones_of_one_message(self, live: LiveGateway) -> None:
        """What counts is the message."""
        with RawClient(live.port) as client:
            client.frame(TEXT, b"{", fin=False)
            for _ in range(64):
                client.frame(CONTINUED, b" " * 1024, fin=False)

            assert 1009 == client.close_code()

    @pytest.mark.parametrize("goodbye", [False, True])
    def test_what_is_no_utf_8_is_closed(self, live: LiveGateway, goodbye: bool) -> None:
        """As WebSocket has it, 1007, before and after ``connect``, in one piece or two. It is nothing to log.

        Also where the client says goodbye in the same breath.
        """
        for admitted in (False, True):
            for pieces in ([b"\xff"], [b"\xc3", b"\x28"]):
                with RawClient(live.port) as client:
                    if admitted:
                        client.admitted()
                    frames = [
                        RawClient.encoded(CONTINUED if number else TEXT, data, fin=number == len(pieces) - 1)
                        for number, data in enumerate(pieces)
                    ]
                    client.socket.sendall(b"".join(frames) + goodbye * RawClient.encoded(CLOSE, b"\x03\xe8"))

                    assert (1000 if goodbye else 1007) == client.close_code()
        assert "Traceback" not in live.log
        assert "UTF-8" not in live.log

    def test_the_limit_is_wider_afterwards(self, live: LiveGateway) -> None:
        """Also for a message in many pieces, which is as good as one in one piece."""
        with RawClient(live.port).admitted() as client:
            client.frame(TEXT, b'{"type": "req", "id": "1", ', fin=False)
            client.frame(CONTINUED, b" " * SIXTY_FOUR_KIB, fin=False, times=20)
            client.frame(CONTINUED, b'"method": "health"}')

            assert b'"id":"1","ok":true' in client.read()[1]

    def test_zero_gateway_is_as_strict(self, tmp_path: Path) -> None:
        """As the server of the other tests, which is uvicorn's command line."""
        zero(tmp_path, "init")
        port = free_port()
        process, _ = served(tmp_path, "--port", str(port))
        try:
            with RawClient(port) as client:
                client.frame(TEXT, b"{", announced=SIXTY_FOUR_KIB + 1)

                assert 1009 == client.close_code()
        finally:
            ended(process)


def test_there_are_never_too_many_who_say_nothing(start_gateway: Callable[..., LiveGateway]) -> None:
    """The oldest gives way, so that whoever knows the secret gets in."""
    live = start_gateway(arguments=AS_ZERO_GATEWAY)
    strangers = [RawClient(live.port) for _ in range(MAX_STRANGERS)]
    try:
        with Client(live).admitted() as client:
            assert client.call("health")["ok"]
        with pytest.raises(ConnectionError, match="broke off"):
            strangers[0].close_code()
        strangers[1].admitted()
    finally:
        for stranger in strangers:
            stranger.close()
