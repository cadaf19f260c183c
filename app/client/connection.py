"""One connection to a gateway: handshake, requests with their responses, events.

Owns the frames' order and the meaning of a connection's end. What methods mean is for those who call them.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from app.client.destination import Destination
from app.client.failure import ClientError, RequestFailed, Unauthorized, Unreachable
from app.client.name_lookups import NameLookups
from app.contract.frames import (
    ConnectAuth,
    ConnectClient,
    ConnectParams,
    ErrorShape,
    EventFrame,
    HelloOk,
    RequestFrame,
    ResponseFrame,
    ServerFrame,
)

PROTOCOLS: Final = (3, 4)
"""The oldest and the newest version of the protocol spoken here."""
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 0.5
"""How long a connection has to end politely. Its answers are there; nobody wants to wait for the rest."""
MAX_FRAME: Final = 64 * 1024 * 1024

T = TypeVar("T", bound=msgspec.Struct)

_decoder = msgspec.json.Decoder(ServerFrame)
_encoder = msgspec.json.Encoder()


class _Connect(connect):
    """Follows no redirects: the secret is for the address that was named and for no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Call:
    """A request under way; its answers come in order."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[ResponseFrame | Exception] = asyncio.Queue()

    async def answer(self, type_: type[T]) -> T:
        """Wait for the next answer.

        Raises:
            RequestFailed: If it is an error.
            Unreachable: If the connection has ended, or the answer makes no sense.
            Exception: What else ``put`` has put here.
        """
        frame = await self._answers.get()
        if isinstance(frame, Exception):
            self._answers.put_nowait(frame)
            raise frame
        if not frame.ok:
            shape = frame.error if isinstance(frame.error, ErrorShape) else ErrorShape(code="UNAVAILABLE", message="?")
            raise RequestFailed(shape.code, shape.message)
        try:
            return msgspec.convert(None if frame.payload is UNSET else frame.payload, type_)
        except msgspec.ValidationError as error:
            raise Unreachable(
                f"The gateway's answer makes no sense here ({error}). Is it of another version?"
            ) from None

    def put(self, answer: ResponseFrame | Exception) -> None:
        """Add an answer, or why there is none: it is raised where the answer is waited for."""
        self._answers.put_nowait(answer)


class GatewayClient:
    """A client that the gateway has let in; made by ``gateway_client``.

    Attributes:
        hello: What the gateway said of itself.
        listener: Called with every event, at once and in order.
    """

    def __init__(self, socket: ClientConnection, hello: HelloOk) -> None:
        self.hello = hello
        self.listener: Callable[[EventFrame], None] | None = None
        self._socket = socket
        self._calls: dict[str, Call] = {}
        self._end: ClientError | None = None

    async def request(self, method: str, params: msgspec.Struct, type_: type[T]) -> T:
        """Send a request and wait for its one answer.

        Raises:
            RequestFailed: If the answer is an error.
            Unreachable: If the connection ends.
        """
        async with self.call(method, params) as call:
            return await call.answer(type_)

    @asynccontextmanager
    async def call(self, method: str, params: msgspec.Struct) -> AsyncIterator[Call]:
        """Send a request whose answers are of interest as long as the block lasts.

        The block begins at once; what stops it while a slow gateway takes the request in can deal with that there.

        Raises:
            Unreachable: If the connection has ended.
        """
        if self._end is not None:
            raise self._end
        request_id, call = uuid.uuid4().hex, Call()
        self._calls[request_id] = call
        sending = asyncio.create_task(self._send(request_id, method, params), name=f"send {method}")
        try:
            yield call
        finally:
            sending.cancel()
            del self._calls[request_id]

    async def _send(self, request_id: str, method: str, params: msgspec.Struct) -> None:
        with suppress(ConnectionClosed):  # the reader tells what that means
            await _send(self._socket, request_id, method, params)

    async def read(self) -> None:
        """Take in what the gateway sends, until the connection ends."""
        why = "The gateway has closed the connection."
        try:
            async for text in self._socket:
                frame = _decoder.decode(text)
                if isinstance(frame, EventFrame):
                    if frame.event == "shutdown":
                        why = "The gateway is stopping."
                    if self.listener is not None:
                        self.listener(frame)
                elif (call := self._calls.get(frame.id)) is not None:
                    call.put(frame)
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.reason:
                why = f"The gateway has closed the connection: {error.rcvd.reason}."
        except msgspec.MsgspecError as error:
            why = f"What answers doesn't speak the gateway's protocol ({error})."
        finally:
            self._end = Unreachable(why)
            for call in self._calls.values():
                call.put(self._end)


@asynccontextmanager
async def gateway_client(destination: Destination) -> AsyncIterator[GatewayClient]:
    """Connect to a gateway for as long as the block lasts.

    Raises:
        Unreachable: If no gateway answers there.
        Unauthorized: If it doesn't let us in.
    """
    asyncio.get_running_loop().set_default_executor(NameLookups())
    socket, hello = await _connected(destination)
    client = GatewayClient(socket, hello)
    reader = asyncio.create_task(client.read(), name="gateway-client-reader")
    try:
        yield client
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
        await _close(socket)


async def _connected(destination: Destination) -> tuple[ClientConnection, HelloOk]:
    where = f"No gateway answers at {destination.url}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await _Connect(
                destination.url,
                proxy=None if destination.is_local else True,
                compression=None,
                max_size=MAX_FRAME,
                open_timeout=None,
                close_timeout=CLOSE_SECONDS,
                user_agent_header=f"zero-cli/{version('zero-gateway')}",
            )
            try:
                return socket, await _shake_hands(socket, destination)
            except BaseException:
                await _close(socket)
                raise
    except TimeoutError:
        raise Unreachable(f"{where}: silence for {CONNECT_SECONDS:g} s. {destination.start}") from None
    except OSError as error:
        reason = _system_message(error)
        raise Unreachable(f"{where}: {reason}. {destination.start}") from None
    except InvalidStatus as error:
        status = error.response.status_code
        raise Unreachable(f"{where}: what answers there says {status} to WebSockets. {destination.start}") from None
    except (InvalidHandshake, ConnectionClosed, msgspec.MsgspecError):
        raise Unreachable(f"{where}: what answers there is something else. {destination.start}") from None


async def _shake_hands(socket: ClientConnection, destination: Destination) -> HelloOk:
    await socket.recv()  # the challenge: its nonce is for devices with keys of their own
    params = ConnectParams(
        min_protocol=PROTOCOLS[0],
        max_protocol=PROTOCOLS[1],
        client=ConnectClient(id="zero-cli", version=version("zero-gateway"), platform=sys.platform, mode="cli"),
        role="operator",
        auth=_auth(destination),
    )
    await _send(socket, "connect", "connect", params)
    while True:
        frame = _decoder.decode(await socket.recv())
        if isinstance(frame, ResponseFrame):
            break
    if frame.ok:
        return msgspec.convert(frame.payload, HelloOk)
    shape = frame.error if isinstance(frame.error, ErrorShape) else ErrorShape(code="UNAVAILABLE", message="no reason")
    raise _refusal(shape, destination)


def _refusal(shape: ErrorShape, destination: Destination) -> ClientError:
    details: Any = shape.details
    code = str(details.get("code", "")) if isinstance(details, dict) else ""
    at = f"The gateway at {destination.url}"
    if code == "AUTH_RATE_LIMITED":
        wait = "" if shape.retry_after_ms is UNSET else f" Try again in {max(1, round(shape.retry_after_ms / 1000))} s."
        return Unauthorized(f"{at} has locked this address out after too many wrong secrets.{wait}")
    if code.endswith("_MISSING"):
        return Unauthorized(f"{at} asks for a secret, and none is set. {destination.secret}")
    if code.startswith("AUTH_"):
        return Unauthorized(f"{at} refuses the secret. {destination.secret}")
    if shape.code == "FORBIDDEN":
        return Unauthorized(f"{at} refuses the connection: {shape.message}")
    return Unreachable(f"{at} refuses the connection: {shape.message}")


def _auth(destination: Destination) -> ConnectAuth:
    return ConnectAuth(
        token=destination.token if destination.token is not None else UNSET,
        password=destination.password if destination.password is not None else UNSET,
    )


async def _close(socket: ClientConnection) -> None:
    """Close a connection, politely if that can be done in time: a gateway that reads nothing could hold us up."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close()
    except TimeoutError:
        socket.transport.abort()


async def _send(socket: ClientConnection, request_id: str, method: str, params: msgspec.Struct) -> None:
    raw = msgspec.Raw(_encoder.encode(params))
    frame = RequestFrame(type="req", id=request_id, method=method, params=raw)
    await socket.send(_encoder.encode(frame).decode())


def _system_message(error: OSError) -> str:
    """Return the system's words for an error; asyncio joins several into one when a name has several addresses."""
    text = (error.strerror or str(error) or type(error).__name__).partition(": ")[0]
    if isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower() or "Connect call failed" in text:
        return "the connection is refused"
    return text.rstrip(".")
