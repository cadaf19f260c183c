"""The engine that asks an OpenAI-compatible service, for a stream or an answer in one piece, as its client asked.

Owns the life of the connection to the upstream. What it is asked is made by ``request``, what comes back is read by
``chunk_reader`` and ``chunk``, what goes wrong is named by ``failure``.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

import msgspec

from app.engines.upstream.chunk import UpstreamErrorEvent, event_of
from app.engines.upstream.chunk_reader import ChunkReader
from app.engines.upstream.every_choice import every_choice
from app.engines.upstream.failure import failure_of_error, failure_of_response
from app.engines.upstream.remote_image import RemoteImages
from app.engines.upstream.request import body_of, wants_sound
from app.errors import EngineFailed, GatewayError
from app.large.aside import LARGE, aside, aside_if
from app.runs.event import Event
from app.runs.turn import Turn
from app.sessions.message import size_of

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS: Final = 10.0
_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_COMPLETION_BYTES: Final = 32 * 1024 * 1024
_END_SECONDS: Final = 0.05
_ACCEPTED: Final = {True: {"accept": "text/event-stream"}, False: {"accept": "application/json"}}


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service is and what it wants to see."""

    base_url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"  # the headers hold the key


class UpstreamEngine:
    """Answers turns by asking a service at ``<base_url>/chat/completions``.

    Args:
        provider: The service's name in the configuration, for messages.
        endpoint: Where it is, asked anew for each run.
        session: The HTTP client shared by all engines, made at first use.
        images: Fetches the images that a conversation names by address; ``None`` leaves that to the service.
        always_stream: Whether it is asked for a stream even when nobody wants the answer while it grows.
    """

    def __init__(
        self,
        provider: str,
        endpoint: Callable[[], Awaitable[Endpoint]],
        session: Callable[[], aiohttp.ClientSession],
        images: RemoteImages | None = None,
        *,
        always_stream: bool = False,
    ) -> None:
        self._always_stream = always_stream
        self._images = images
        self._provider = provider
        self._endpoint = endpoint
        self._session = session
        self._one_only: set[str] = set()
        self._importing: asyncio.Future[ModuleType] | None = None

    def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``. The upstream's connection is closed at once when the iterator is."""
        return self._answer(turn) if self._images is None else self._with_images(turn, self._images)

    def batches(self, turn: Turn) -> AsyncIterator[Event | list[Event]]:
        """See ``Batching``: what one read of the connection has brought comes at once."""
        return self._read_batches(turn) if turn.choices == 1 and self._images is None else self.run(turn)

    def _answer(self, turn: Turn) -> AsyncIterator[Event]:
        return self._ask(turn) if turn.choices == 1 else every_choice(turn, self._ask, self._one_only)

    async def _with_images(self, turn: Turn, images: RemoteImages) -> AsyncIterator[Event]:
        """Fetch the images once, however many requests the choices take."""
        turn = msgspec.structs.replace(turn, messages=await images.inlined(turn))
        async with contextlib.aclosing(cast("AsyncGenerator[Event, None]", self._answer(turn))) as events:
            async for event in events:
                yield event

    async def _ask(self, turn: Turn) -> AsyncIterator[Event]:
        """Send one request and yield what comes back."""
        async with contextlib.aclosing(cast("AsyncGenerator[list[Event], None]", self._read_batches(turn))) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def _read_batches(self, turn: Turn) -> AsyncIterator[list[Event]]:
        """Send one request and yield what each read brings."""
        endpoint = await self._endpoint()
        streamed = turn.growing or (self._always_stream and not wants_sound(turn))
        try:
            # Awaited by itself: as a context manager the request would keep what it was made with for the whole stream.
            response = await self._session().post(
                f"{endpoint.base_url.rstrip('/')}/chat/completions",
                data=await _body(turn, streamed=streamed),
                headers={"content-type": "application/json", **_ACCEPTED[streamed], **endpoint.headers},
                allow_redirects=False,
            )
            async with response:
                if response.status != 200:
                    error = await _read(response, _MAX_ERROR_BYTES)
                    raise failure_of_response(
                        self._provider, response.status, error, response.headers.get("retry-after")
                    )
                # aiohttp's own reading of it takes 1.5 KiB for as long as the response is there.
                media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if media_type == "text/html":
                    raise EngineFailed(
                        f"The provider {self._provider!r} answered with a web page: check its baseUrl.",
                        code="upstream_invalid_response",
                    )
                if media_type == "application/json":
                    yield [await event_of(await _read(response, _MAX_COMPLETION_BYTES), whole=True)]
                    return
                chunks = ChunkReader()
                while not chunks.over:
                    chunks.feed(await response.content.readany())
                    while chunks.ready:
                        yield await chunks.large() if chunks.is_large else chunks.batch()
                if chunks.done:
                    await _to_the_end(response)
        except GatewayError:
            raise
        except Exception as problem:
            failure = self._failure_of(problem)
            if failure is None:
                raise
            raise failure from problem

    def warm_up(self) -> None:
        """Import the HTTP client off the event loop, so that the first run needn't."""
        self._importing = asyncio.get_running_loop().run_in_executor(None, import_module, "aiohttp")

    async def close(self) -> None:
        """See ``Engine``: the session belongs to the registry."""

    def _failure_of(self, problem: Exception) -> GatewayError | None:
        """Return the gateway's own failure for what aiohttp raises, and for an error inside a stream."""
        import aiohttp

        match problem:
            case UpstreamErrorEvent():
                return failure_of_error(self._provider, 0, problem.fields)
            case aiohttp.ConnectionTimeoutError() | aiohttp.ServerTimeoutError():
                return EngineFailed(
                    f"The provider {self._provider!r} could not be reached within {CONNECT_SECONDS:g} s.",
                    status=504,
                    code="upstream_timeout",
                )
            case aiohttp.ClientConnectorError():
                return EngineFailed(
                    f"The provider {self._provider!r} can't be reached: {_why(problem)}.",
                    code="upstream_unreachable",
                )
            case aiohttp.ClientError():
                return EngineFailed(
                    f"The connection to the provider {self._provider!r} broke off ({type(problem).__name__}).",
                    code="upstream_connection_lost",
                )
        return None


def _why(problem: aiohttp.ClientConnectorError) -> str:
    """Return why there is no connection, without the address: that is the operator's business and not the client's."""
    import aiohttp

    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return "its host name can't be resolved"
    if isinstance(problem, aiohttp.ClientSSLError):
        return "TLS failed"
    return os.strerror(problem.errno) if problem.errno and problem.errno > 0 else "the connection failed"


async def _to_the_end(response: aiohttp.ClientResponse) -> None:
    """Read what is left behind ``[DONE]``, which is nothing: only a response read to its end frees its connection.

    The answer is complete by then: an upstream that cuts the connection now has done no harm.
    """
    import aiohttp

    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_END_SECONDS):
            await response.content.readany()


async def _body(turn: Turn, *, streamed: bool) -> bytes | io.BytesIO:
    parameters = sum(len(value) for value in turn.parameters.values() if isinstance(value, msgspec.Raw))
    if size_of(turn.messages) + parameters <= LARGE:
        return body_of(turn, streamed=streamed)
    # aiohttp writes bytes in one go, and a file in parts.
    return io.BytesIO(await aside(body_of, turn, streamed=streamed))


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            response.close()
            if limit == _MAX_ERROR_BYTES:
                break
            raise EngineFailed("The upstream's answer is larger than 32 MiB.", code="upstream_invalid_response")
    return await aside_if(size > LARGE, b"".join, pieces)
