"""The engine that asks an OpenAI-compatible service, for a stream or an answer in one piece, as its client asked.

Owns the life of the connection to the upstream. What it is asked is made by ``request``, what comes back is read by
``chunk_reader`` and ``chunk``, what goes wrong is named by ``failure``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

import msgspec

from app.config import Provider
from app.engines.upstream.allowance import Allowance, client_timeout
from app.engines.upstream.chunk import UpstreamErrorEvent, event_of
from app.engines.upstream.chunk_reader import ChunkReader
from app.engines.upstream.circuit_breaker import Circuit, Visit
from app.engines.upstream.confidential import cause_of, discreet
from app.engines.upstream.connection_watch import ConnectionWatch
from app.engines.upstream.every_choice import every_choice
from app.engines.upstream.failure import failure_of_error, failure_of_response, seconds_of
from app.engines.upstream.remote_image import RemoteImages
from app.engines.upstream.request import body_of, wants_sound
from app.engines.upstream.retry import BUSY, pause_before
from app.errors import EngineFailed, GatewayError
from app.large.aside import LARGE, aside
from app.log import logger
from app.runs.event import Event
from app.runs.turn import Turn
from app.sessions.message import size_of

if TYPE_CHECKING:
    import aiohttp

_log = logger("zero.engines")

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_COMPLETION_BYTES: Final = 32 * 1024 * 1024
_END_SECONDS: Final = 0.05
_ERROR_SECONDS: Final = 5.0
"""How long is waited for the words of a refusal, of which the status is known already."""
_ACCEPTED: Final = {True: {"accept": "text/event-stream"}, False: {"accept": "application/json"}}


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service is and what it wants to see."""

    base_url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"  # the headers hold the key


class _Place:
    """An endpoint in the HTTP client's own terms."""

    __slots__ = ("endpoint", "headers", "url")

    def __init__(self, endpoint: Endpoint) -> None:
        from multidict import CIMultiDict
        from yarl import URL

        self.endpoint = endpoint
        self.url = URL(f"{endpoint.base_url.rstrip('/')}/chat/completions")
        common = {"content-type": "application/json"}
        self.headers = {
            streamed: CIMultiDict({**common, **accepted, **endpoint.headers})
            for streamed, accepted in _ACCEPTED.items()
        }


class UpstreamEngine:
    """Answers turns by asking a service at ``<base_url>/chat/completions``.

    Args:
        provider: The service's name in the configuration, for messages.
        endpoint: Where it is, asked anew for each run.
        session: The HTTP client shared by all engines, made at first use.
        settings: Its settings, but for where it is.
        images: Fetches the images that a conversation names by address; ``None`` leaves that to the service.
    """

    def __init__(
        self,
        provider: str,
        endpoint: Callable[[], Awaitable[Endpoint]],
        session: Callable[[], aiohttp.ClientSession],
        settings: Provider,
        images: RemoteImages | None = None,
    ) -> None:
        self._settings = settings
        self._circuit = Circuit(provider, settings.circuit_breaker)
        self._timeout: aiohttp.ClientTimeout | None = None
        self._place: _Place | None = None
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
        streamed = turn.growing or (self._settings.always_stream and not wants_sound(turn))
        allowance = Allowance(self._provider, self._settings)
        endpoint = await self._endpoint()
        with self._circuit.visit(turn.run_id) as visit:
            try:
                response = await self._respond(turn, endpoint, allowance, visit, streamed=streamed)
                async with ConnectionWatch(response, allowance) as body:
                    # aiohttp's own reading of it takes 1.5 KiB for as long as the response is there.
                    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                    if media_type == "text/html":
                        raise EngineFailed(
                            f"The provider {self._provider!r} answered with a web page: check its baseUrl.",
                            code="upstream_invalid_response",
                        )
                    if media_type == "application/json":
                        event = await event_of(await _read(body), whole=True)
                        visit.succeeded()
                        yield [event]
                        return
                    chunks = ChunkReader()
                    while not chunks.over:
                        chunks.feed(await body.read())
                        while chunks.waiting:
                            batch = await chunks.large() if chunks.is_large else chunks.batch()
                            visit.works()
                            yield batch
                            del batch  # the last words needn't be kept while nothing is said
                    visit.succeeded()
                    if chunks.done:
                        await _to_the_end(response)
            except GatewayError as told:
                discreet(told, endpoint.headers)
                raise
            except Exception as problem:
                failure = self._failure_of(problem, allowance, visit)
                if failure is None:
                    raise
                # The problem itself shows the request with its key, and would be shown as what came before.
                raise discreet(failure, endpoint.headers) from cause_of(problem, endpoint.headers)

    async def _respond(
        self, turn: Turn, endpoint: Endpoint, allowance: Allowance, visit: Visit, *, streamed: bool
    ) -> aiohttp.ClientResponse:
        """Send a request, again where that is safe, until it is answered with 200."""
        import aiohttp

        if self._timeout is None:
            self._timeout = client_timeout(self._settings)
        place = self._place
        if place is None or place.endpoint is not endpoint:  # the same again and again, unless a trace is told of
            place = self._place = _Place(endpoint)
        clock = asyncio.get_running_loop().time
        began = clock()
        for attempt in itertools.count():
            try:
                # Awaited by itself: as a context manager it would keep what it was made with for the whole stream.
                response = await allowance.head(
                    self._session().post(
                        place.url,
                        data=await _body(turn, streamed=streamed),
                        headers=place.headers[streamed],
                        allow_redirects=False,
                        timeout=self._timeout,
                    )
                )
            except aiohttp.ClientConnectorError as problem:
                if isinstance(problem, aiohttp.ClientSSLError) or problem.errno in (errno.EMFILE, errno.ENFILE):
                    raise
                reason = _why(problem)
                pause = pause_before(self._settings.retry, attempt, clock() - began)
                if pause is None:
                    raise
            else:
                if response.status == 200:
                    return response
                retry_after = response.headers.get("retry-after")
                busy = seconds_of(retry_after) if response.status in BUSY else None
                reason = f"status {response.status}"
                error = await _words_of(response)
                pause = None if busy is None else pause_before(self._settings.retry, attempt, clock() - began, busy)
                if pause is None:
                    visit.answered(response.status)
                    raise failure_of_response(self._provider, response.status, error, retry_after)
            _log.warning("run %s: provider %s: %s; once more in %.2f s", turn.run_id, self._provider, reason, pause)
            await asyncio.sleep(pause)
        raise AssertionError("counts for ever")

    def warm_up(self) -> None:
        """Import the HTTP client off the event loop, so that the first run needn't."""
        self._importing = asyncio.get_running_loop().run_in_executor(None, import_module, "aiohttp")

    async def close(self) -> None:
        """See ``Engine``: the session belongs to the registry."""

    def _failure_of(self, problem: Exception, allowance: Allowance, visit: Visit) -> GatewayError | None:
        """Return the gateway's own failure for what aiohttp raises, and for an error inside a stream."""
        import aiohttp

        match problem:
            case UpstreamErrorEvent():
                return failure_of_error(self._provider, 0, problem.fields)
            case TimeoutError():
                failure = allowance.exceeded(problem)
                if failure.code != "upstream_total_timeout":
                    visit.failed()  # for a total a slow client may be to blame
                return failure
            case aiohttp.ClientConnectorError(errno=errno.EMFILE | errno.ENFILE):
                return EngineFailed(
                    "The gateway has no file descriptors left to reach a provider with. Try again later.",
                    status=503,
                    code="out_of_descriptors",
                    retry_after=2,
                )
            case aiohttp.ClientConnectorError():
                visit.failed()
                return EngineFailed(
                    f"The provider {self._provider!r} can't be reached: {_why(problem)}.",
                    code="upstream_unreachable",
                )
            case aiohttp.ClientError():
                visit.failed()
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


async def _words_of(refusal: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of a refusal, as far as it comes, and be done with it."""
    import aiohttp

    data = bytearray()
    async with refusal:
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_ERROR_SECONDS):
                async for piece in refusal.content.iter_any():
                    data += piece
                    if len(data) > _MAX_ERROR_BYTES:
                        refusal.close()
                        break
    return bytes(data)


async def _read(body: ConnectionWatch) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while not body.is_over:
        piece = await body.read()
        pieces.append(piece)
        size += len(piece)
        if size > _MAX_COMPLETION_BYTES:
            raise EngineFailed("The upstream's answer is larger than 32 MiB.", code="upstream_answer_too_large")
    if size > LARGE:
        return await aside(b"".join, pieces)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
