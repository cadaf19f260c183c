"""What the gateway's own HTTP protocol for uvicorn does otherwise: fewer writes, and word of a client's leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from app.http.departure import Departure, departure_of
from app.http.uvicorn_wire import UvicornWire

REQUEST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n"
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Socket(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def served(application: Application, *sent: bytes) -> Socket:
    """Return the socket of a connection on which a client has sent something, after a moment."""

    async def main() -> Socket:
        config = Config(cast("Any", application), lifespan="off", log_config=None)
        socket = Socket()
        wire = UvicornWire(config, ServerState(), {})
        wire.connection_made(socket)
        for data in sent:
            wire.data_received(data)
        for _ in range(20):
            await asyncio.sleep(0)
        wire.connection_lost(None)
        return socket

    return asyncio.run(main())


def head(length: int) -> dict[str, Any]:
    """Return the message that begins a response."""
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]}


def test_head_and_body_in_one_write() -> None:
    """A response that is ready goes out at once, and so does the next of the connection."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(head(2))
        await send({"type": "http.response.body", "body": b"ok"})

    writes = served(application, REQUEST, REQUEST).writes
    assert [True, True] == [data.startswith(b"HTTP/1.1 200") and data.endswith(b"\r\n\r\nok") for data in writes]


def test_a_head_alone_does_not_wait() -> None:
    """What the body begins with may take long: the client learns the status meanwhile."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(head(2))
        await asyncio.Event().wait()

    writes = served(application, REQUEST).writes
    assert 1 == len(writes)
    assert writes[0].startswith(b"HTTP/1.1 200")
    assert writes[0].endswith(b"\r\n\r\n")


def test_an_early_end_keeps_the_head() -> None:
    """A connection that has to close after the head closes after it."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(head(2))

    socket = served(application, REQUEST)
    assert (1, True) == (len(socket.writes), socket.closed)


def test_continue_is_sent_before_the_response() -> None:
    """A client that waits for leave to send its body gets it by itself, whatever comes after."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await send(head(2))
        await send({"type": "http.response.body", "body": message["body"]})

    asking = REQUEST.replace(b"length: 0", b"length: 2\r\nexpect: 100-continue")
    one, two = served(application, asking, b"ok").writes
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == one
    assert two.startswith(b"HTTP/1.1 200")
    assert two.endswith(b"\r\n\r\nok")


def test_says_that_the_client_has_gone() -> None:
    """Whoever waits for it hears it when the connection is lost, and whoever asks later hears it at once."""
    told: list[str] = []
    departures: list[Departure] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        departure = departure_of(scope)
        assert departure is not None
        departures.append(departure)
        departure.expect(lambda: told.append("gone"))
        await asyncio.Event().wait()

    served(application, REQUEST)
    assert ["gone"] == told
    departures[0].expect(lambda: told.append("gone already"))
    assert ["gone", "gone already"] == told


def test_forgotten_callers_hear_nothing() -> None:
    """A request that is over isn't told."""
    told: list[str] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        departure = departure_of(scope)
        assert departure is not None
        departure.expect(lambda: told.append("gone"))
        departure.forget()
        await asyncio.Event().wait()

    served(application, REQUEST)
    assert [] == told
