"""One WebSocket from its first frame to its last: handshake, requests, events, ticks, and an end for each reason.

Owns the order of frames and the limits of a connection. What requests mean is the method table's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from time import time
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send
from msgspec import UNSET

from app.config import Auth
from app.contract.decoding import BodyDecoder
from app.contract.frames import ConnectChallenge, ConnectParams, HelloOk, RequestFrame, ResponseFrame, TickEvent
from app.errors import InvalidRequest
from app.security.authenticator import Authenticator
from app.ws.failure import MethodFailed
from app.ws.handshake import Admission, HandshakeFailed, Peer, admit
from app.ws.hub import Hub
from app.ws.method_table import MethodTable
from app.ws.outbox import Outbox

HANDSHAKE_SECONDS: Final = 15.0
MAX_HANDSHAKE_BYTES: Final = 64 * 1024
MAX_PAYLOAD: Final = 16 * 1024 * 1024
"""As much as uvicorn takes in by itself, whoever starts it."""
TICK_SECONDS: Final = 30.0
MAX_REQUESTS: Final = 256
"""Requests of one connection that may be under way; waiting for runs is cheap, but not free."""
CLOSE_SECONDS: Final = 1.0

_log = logging.getLogger("zero.ws")
_request_decoder = msgspec.json.Decoder(RequestFrame)
_connect_decoder = BodyDecoder(ConnectParams)


class Closed(Exception):
    """Raised where a connection ends.

    Args:
        code: The close code to send, or ``None`` when the client has gone already.
        reason: The close reason.
    """

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Connection:
    """Serves one client.

    Args:
        receive: ASGI's.
        send: ASGI's.
        peer: Who the client is.
        auth: Which secret it must show.
        authenticator: Checks that.
        hub: Where it is known while it lasts.
        table: Answers its requests.
        hello: Makes the answer to its handshake.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        peer: Peer,
        *,
        auth: Auth,
        authenticator: Authenticator,
        hub: Hub,
        table: MethodTable,
        hello: Callable[[Admission, str], HelloOk],
    ) -> None:
        self._receive = receive
        self._send = send
        self._peer = peer
        self._auth = auth
        self._authenticator = authenticator
        self._hub = hub
        self._table = table
        self._hello = hello
        self._outbox = Outbox(self._overflow)
        self._requests: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[Any] | None = None
        self._dropped = False
        self._admission: Admission | None = None
        self.id = secrets.token_hex(8)
        self.subscribed = False

    async def serve(self) -> None:
        """Serve the client until one side ends it."""
        self._task = asyncio.current_task()
        helpers: list[asyncio.Task[None]] = []
        try:
            if (await self._receive())["type"] != "websocket.connect":
                return
            await self._send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            challenge = ConnectChallenge(nonce=secrets.token_hex(16), ts=int(time() * 1000))
            self._outbox.event("connect.challenge", challenge)
            await self._outbox.flush(self._write)
            await self._shake_hands()
            helpers = [
                asyncio.create_task(self._outbox.drain(self._write), name="ws-writer"),
                asyncio.create_task(self._tick(), name="ws-ticker"),
            ]
            self._hub.join(self)
            while True:
                self._handle(await self._read(MAX_PAYLOAD))
                # Frames that came together are read without a pause; this lets each request begin before the next one.
                await asyncio.sleep(0)
        except Closed as end:
            await self._close(end)
        except asyncio.CancelledError:
            if not self._dropped or self._task is None:
                raise
            self._task.uncancel()
            _log.warning("connection %s: dropped, the client doesn't read", self.id)
            await self._close(Closed(1008, "slow consumer"))
        finally:
            self._hub.leave(self)
            self._outbox.close()
            await _stopped([*helpers, *self._requests])

    def may(self, scope: str) -> bool:
        """Tell whether the client may do what ``scope`` names."""
        return self._admission is not None and self._admission.allows(scope)

    def event(self, name: str, payload: msgspec.Struct) -> None:
        """Send an event."""
        self._outbox.event(name, payload)

    async def room(self) -> None:
        """Wait until the client has read most of what was sent."""
        await self._outbox.room()

    async def _shake_hands(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                text = await self._read(MAX_HANDSHAKE_BYTES)
        except TimeoutError:
            raise Closed(1008, "handshake timeout") from None
        request_id: str | None
        failure: HandshakeFailed | None
        try:
            request = _request_decoder.decode(text)
        except msgspec.ValidationError:
            request_id, failure = _id_of(text), _handshake("invalid handshake: first request must be connect")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request_id, failure = None, None
        else:
            request_id, failure = request.id, self._admitted(request)
        if request_id is None:
            raise Closed(1000, "not JSON")
        if failure is not None:
            self._outbox.response(ResponseFrame(id=request_id, ok=False, error=failure.failure.shape))
            await self._outbox.flush(self._write)
            raise Closed(failure.close_code, str(failure)[:100])
        assert self._admission is not None, "no failure means admission"
        hello = self._hello(self._admission, self.id)
        self._outbox.response(ResponseFrame(id=request_id, ok=True, payload=hello))

    def _admitted(self, request: RequestFrame) -> HandshakeFailed | None:
        if request.method != "connect":
            return _handshake("invalid handshake: first request must be connect")
        try:
            params = _connect_decoder.decode(b"{}" if request.params is UNSET else bytes(request.params))
            self._admission = admit(params, self._peer, self._auth, self._authenticator)
        except InvalidRequest as error:
            return _handshake(f"invalid connect params: at {error.param or '/'}: {error.message}")
        except HandshakeFailed as failure:
            return failure
        return None

    def _handle(self, text: str) -> None:
        try:
            request = _request_decoder.decode(text)
        except msgspec.ValidationError as error:
            request_id = _id_of(text)
            if request_id is not None:
                failure = MethodFailed("INVALID_REQUEST", f"invalid request frame: {error}")
                self._outbox.response(ResponseFrame(id=request_id, ok=False, error=failure.shape))
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # as the protocol has it: what is no JSON is skipped
        if len(self._requests) >= MAX_REQUESTS:
            what = f"{MAX_REQUESTS} requests of this connection are under way"
            self.respond(request.id, MethodFailed("UNAVAILABLE", what, retry_after=1))
            return
        task = asyncio.create_task(self._answer(request), name=f"ws-{request.method[:40]}")
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _answer(self, request: RequestFrame) -> None:
        assert self._admission is not None, "only admitted clients get here"
        try:
            payload = await self._table.call(request, self._admission, _Request(self, request.id))
        except MethodFailed as failure:
            self.respond(request.id, failure)
        except Exception:
            _log.exception("connection %s: %s failed", self.id, request.method)
            self.respond(request.id, MethodFailed("UNAVAILABLE", "the gateway failed to process the request"))
        else:
            self.respond(request.id, payload)

    def respond(self, request_id: str, answer: msgspec.Struct | MethodFailed) -> None:
        """Answer a request."""
        if isinstance(answer, MethodFailed):
            payload = answer.payload if answer.payload is not None else UNSET
            self._outbox.response(ResponseFrame(id=request_id, ok=False, payload=payload, error=answer.shape))
        else:
            self._outbox.response(ResponseFrame(id=request_id, ok=True, payload=answer))

    async def _read(self, limit: int) -> str:
        message: Any = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Closed(None)
        text: str | None = message.get("text")
        if text is None:
            raise Closed(1000 if self._admission is None else 1003, "binary frames are not part of the protocol")
        # A character is a byte at least, so that most frames needn't be encoded to be measured.
        if len(text) > limit or (len(text) > limit // 4 and len(text.encode()) > limit):
            raise Closed(1009, f"a frame may have {limit} bytes")
        return text

    async def _write(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text, "bytes": None})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._outbox.event("tick", TickEvent(ts=int(time() * 1000)))

    def _overflow(self) -> None:
        if self._task is not None and not self._dropped:
            self._dropped = True
            self._task.cancel()

    async def _close(self, end: Closed) -> None:
        if end.code is None:
            return
        # A client that doesn't read doesn't read this either; the server cuts the connection when we return.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": end.code, "reason": end.reason})


class _Request:
    """A request's view of its connection; see ``Caller``."""

    def __init__(self, connection: Connection, request_id: str) -> None:
        self._connection = connection
        self._id = request_id

    def accept(self, payload: msgspec.Struct) -> None:
        self._connection.respond(self._id, payload)

    def event(self, name: str, payload: msgspec.Struct) -> None:
        self._connection.event(name, payload)

    async def room(self) -> None:
        await self._connection.room()

    def subscribe(self, subscribed: bool) -> None:
        self._connection.subscribed = subscribed


def _handshake(message: str) -> HandshakeFailed:
    return HandshakeFailed(MethodFailed("INVALID_REQUEST", message))


def _id_of(text: str) -> str | None:
    """Return the id under which a frame that is no request is answered; ``None`` if it isn't even JSON."""
    try:
        # The decoder of requests gives up at the first thing that is wrong; what comes after it may be no JSON at all.
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = frame.get("id") if isinstance(frame, dict) else None
    return found if isinstance(found, str) and found else "invalid"


async def _stopped(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
