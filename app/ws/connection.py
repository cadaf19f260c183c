"""One WebSocket from its first frame to its last: handshake, requests, events, ticks, and an end for each reason.

Owns the order of frames and the limits of a connection. What requests mean is the method table's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from sys import getsizeof
from time import time
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send
from msgspec import UNSET

from app.config import Auth
from app.contract.decoding import BodyDecoder
from app.contract.frames import (
    ConnectChallenge,
    ConnectParams,
    HelloOk,
    RequestFrame,
    TickEvent,
)
from app.errors import AuthenticationFailed, InvalidRequest, ModelNotFound
from app.large.aside import LARGE, aside_if
from app.log import logger
from app.security.authenticator import Authenticator
from app.security.named_key import NamedKey
from app.ws.begun_runs import BegunRuns
from app.ws.caller import Payload
from app.ws.failure import MethodFailed
from app.ws.framing import NotARequestError, NotJsonError, request_of, response_of, too_large
from app.ws.handshake import Admission, HandshakeFailed, Peer, admit
from app.ws.hub import Hub
from app.ws.method_table import MethodTable
from app.ws.outbox import MAX_FRAME_BYTES, PATIENCE_SECONDS, FrameTooLargeError, Outbox
from app.ws.target import sees
from app.ws.wire import MAX_HANDSHAKE_BYTES, Wire

HANDSHAKE_SECONDS: Final = 15.0
TICK_SECONDS: Final = 30.0
MAX_REQUESTS: Final = 256
"""Requests of one connection that may be under way; waiting for runs is cheap, but not free."""
MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""What their frames may take up together: each is kept as long as its request is under way. One alone may take more."""
CLOSE_SECONDS: Final = 1.0
CONNECT_FIRST: Final = "invalid handshake: first request must be connect"

_log = logger("zero.ws")
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
        admitted: Called with it when it has been let in.
        wire: The socket, where the server gives it away.
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
        admitted: Callable[[Connection], None],
        wire: Wire | None,
    ) -> None:
        self._receive = receive
        self._send = send
        self._peer = peer
        self._auth = auth
        self._authenticator = authenticator
        self._hub = hub
        self._table = table
        self._hello = hello
        self._admitted = admitted
        self._wire = wire
        self._outbox = Outbox(lambda: self.drop("slow consumer"), wire.unsent if wire is not None else int)
        self._requests: dict[asyncio.Task[None], int] = {}
        """Those under way, and how large their frames were."""
        self._task: asyncio.Task[Any] | None = None
        self._dropped: str | None = None
        self._admission: Admission | None = None
        self.id = secrets.token_hex(8)
        self.subscribed = False
        self.begun = BegunRuns()

    async def serve(self) -> None:
        """Serve the client until one side ends it."""
        self._task = asyncio.current_task()
        helpers: list[asyncio.Task[None]] = []
        try:
            if (await self._receive())["type"] != "websocket.connect":
                return
            await self._shake_hands()
            helpers = [
                asyncio.create_task(self._send_all(), name="ws-writer"),
                asyncio.create_task(self._tick(), name="ws-ticker"),
            ]
            self._hub.join(self)
            while True:
                # Who doesn't take answers isn't asked for more questions: they wait in the client and on the way.
                await self._outbox.room()
                await self._handle(await self._read(MAX_FRAME_BYTES))
                # Frames that came together are read without a pause; this lets each request begin before the next one.
                await asyncio.sleep(0)
        except Closed as end:
            self._task = None  # there is nothing to drop any more
            await self._close(end)
        except asyncio.CancelledError:
            if self._dropped is None or self._task is None:
                raise
            self._task.uncancel()
            await self._cut_off(self._dropped)
        finally:
            self._hub.leave(self)
            self._outbox.close()
            await _stopped([*helpers, *self._requests])

    def drop(self, reason: str) -> None:
        """End the connection without waiting for the client."""
        if self._task is not None and self._dropped is None:
            self._dropped = reason
            self._task.cancel()

    def recheck(self) -> None:
        """Drop the client if its API key was revoked or changed."""
        if self.key is not None and not self._authenticator.knows(self.key):
            self.drop("its API key was revoked or changed")

    def may(self, scope: str) -> bool:
        """Tell whether the client may do what ``scope`` names."""
        return self._admission is not None and self._admission.allows(scope)

    @property
    def key(self) -> NamedKey | None:
        """The API key that the client has shown; ``None`` for the operator."""
        assert self._admission is not None, "only admitted clients have shown something"
        return self._admission.key

    def sees(self, session_key: str) -> bool:
        """Tell whether a session is one of the client's key, or the client is the operator."""
        return sees(self.key, session_key)

    def event(self, name: str, payload: msgspec.Struct | msgspec.Raw) -> None:
        """Send an event."""
        self._outbox.event(name, payload)

    async def room(self) -> None:
        """Wait until the client has read most of what was sent."""
        await self._outbox.room(patience=PATIENCE_SECONDS)

    async def _shake_hands(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self._send({"type": "websocket.accept", "subprotocol": None, "headers": []})
                challenge = ConnectChallenge(nonce=secrets.token_hex(16), ts=int(time() * 1000))
                self._outbox.event("connect.challenge", challenge)
                await self._outbox.flush(self._write)
                await self._greet(await self._read(MAX_HANDSHAKE_BYTES))
        except TimeoutError:
            raise Closed(1008, "handshake timeout") from None

    async def _greet(self, text: str) -> None:
        answer: HandshakeFailed | HelloOk
        try:
            request = request_of(text)
        except NotJsonError:
            raise Closed(1000, "not JSON") from None
        except NotARequestError as error:
            request_id, answer = error.request_id, _handshake(CONNECT_FIRST)
        else:
            request_id, answer = request.id, self._greeted(request)
        if isinstance(answer, HandshakeFailed):
            self.respond(request_id, answer.failure)
            await self._outbox.flush(self._write)
            raise Closed(answer.close_code, str(answer)[:100])
        self._admitted(self)
        if self._wire is not None:
            self._wire.admit()
        self.respond(request_id, answer)

    def _greeted(self, request: RequestFrame) -> HandshakeFailed | HelloOk:
        if request.method != "connect":
            return _handshake(CONNECT_FIRST)
        try:
            params = _connect_decoder.decode(b"{}" if request.params is UNSET else bytes(request.params))
            admission = admit(params, self._peer, self._auth, self._authenticator)
            hello = self._hello(admission, self.id)
        except ModelNotFound as error:  # the agents of an API key have left the configuration, all of them
            return HandshakeFailed(MethodFailed("FORBIDDEN", error.message))
        except InvalidRequest as error:
            return _handshake(f"invalid connect params: at {error.param or '/'}: {error.message}")
        except HandshakeFailed as failure:
            return failure
        self._admission = admission
        return hello

    async def _handle(self, text: str) -> None:
        try:
            request = await aside_if(len(text) > LARGE, request_of, text)
        except NotARequestError as error:
            self.respond(error.request_id, MethodFailed("INVALID_REQUEST", f"invalid request frame: {error}"))
            return
        except NotJsonError:
            return  # as the protocol has it: what is no JSON is skipped
        size, waiting = getsizeof(text), sum(self._requests.values())
        if len(self._requests) >= MAX_REQUESTS or (waiting and waiting + size > MAX_REQUEST_BYTES):
            what = f"{len(self._requests)} requests of this connection are under way, of {waiting} bytes"
            self.respond(request.id, MethodFailed("UNAVAILABLE", what, retry_after=1))
            return
        task = asyncio.create_task(self._answer(request), name=f"ws-{request.method[:40]}")
        self._requests[task] = size
        task.add_done_callback(self._requests.pop)

    async def _answer(self, request: RequestFrame) -> None:
        assert self._admission is not None, "only admitted clients get here"
        answer: Payload | MethodFailed
        try:
            if self._admission.key is not None:
                self._authenticator.check_again(self._admission.key)
            answer = await self._table.call(request, self._admission, _Request(self, request.id))
        except MethodFailed as failure:
            answer = failure
        except AuthenticationFailed as error:
            answer = MethodFailed("FORBIDDEN", error.message)
        except Exception:
            _log.exception("connection %s: %s failed", self.id, request.method)
            answer = MethodFailed("UNAVAILABLE", "the gateway failed to process the request")
        await self.room()
        self.respond(request.id, answer)

    def respond(self, request_id: str, answer: Payload | MethodFailed) -> None:
        """Answer a request. An answer that is too large for a frame becomes a failure that says so."""
        try:
            self._outbox.response(response_of(request_id, answer))
        except FrameTooLargeError as error:
            self._outbox.response(response_of(request_id, too_large(error.size)))

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

    async def _send_all(self) -> None:
        try:
            with contextlib.suppress(OSError):  # as ASGI has it for a client that is gone
                await self._outbox.drain(self._write)
        finally:
            self._outbox.close()

    async def _cut_off(self, reason: str) -> None:
        _log.warning("connection %s: dropped, %s", self.id, reason)
        if self._wire is not None:
            self._wire.abort()
        else:
            await self._close(Closed(1008, reason))

    async def _close(self, end: Closed) -> None:
        if end.code is None:
            return
        # A client that doesn't read doesn't read this either. The rest is the server's, when we return.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": end.code, "reason": end.reason})


class _Request:
    """A request's view of its connection; see ``Caller``."""

    def __init__(self, connection: Connection, request_id: str) -> None:
        self._connection = connection
        self._id = request_id

    @property
    def key(self) -> NamedKey | None:
        return self._connection.key

    @property
    def begun(self) -> BegunRuns:
        return self._connection.begun

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


async def _stopped(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
