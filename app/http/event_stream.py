"""The answer as server-sent events: hand-framed chunks, keepalive comments, and an honest end.

Owns the form of the stream; what is in it was decided by the run. Source of the rules: design.md, "Answer" and
section 3; what the SDKs trip over was measured in rivals-and-styles.md, part 4.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import time
from typing import Any, Final, Self

from litestar.types import Send
from msgspec import UNSET

from app.contract.models import (
    ChatCompletionChunkChoice,
    ChatCompletionStreamOptions,
    CompletionUsage,
    CreateChatCompletionStreamResponse,
    ServiceTier,
)
from app.errors import GatewayError
from app.http.completion import completion_id, encode_choices, encode_chunk, encode_large_chunk
from app.http.error_response import error_body
from app.http.response import PART
from app.large.aside import aside
from app.runs.answer import Answer
from app.runs.event import Event, Extra, Fields
from app.runs.job import Job

DONE: Final = b"data: [DONE]\n\n"
KEEPALIVE: Final = b": keepalive\n\n"
_FLUSH_BYTES: Final = 64 * 1024

HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    # nginx buffers answers by default; this header is how an answer asks it not to.
    (b"x-accel-buffering", b"no"),
)
REPLAYED: Final = (b"idempotent-replayed", b"true")

_LINE_ENDS: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""Unicode's own line ends and their JSON escapes. SSE knows them as text, but clients that split decoded text don't."""


_CHOICES: Final = b'"choices":['
"""Where a chunk's choices begin: in a text of the client's, such as the model's name, its quotes would be escaped."""


def frame(data: bytes) -> bytes:
    """Return one event. ``data`` is JSON as msgspec writes it: on one line, and after this so for everybody."""
    return b"data: " + _on_one_line(data) + b"\n\n"


def _on_one_line(data: bytes) -> bytes:
    if not data.isascii():
        for character, escape in _LINE_ENDS:
            data = data.replace(character, escape)
    return data


class EventStream:
    """Writes one answer as it grows.

    Args:
        send: ASGI's.
        id: The answer's id, the same in every chunk, as are the next two.
        created: Seconds since 1970.
        model: What the client asked for.
        include_usage: Whether a last chunk tells the usage (and all others say ``null``).
        keepalive: Seconds of silence after which a comment is sent; 0 for never.
    """

    __slots__ = (
        "_buffer",
        "_buffered",
        "_closed",
        "_comment",
        "_created",
        "_head",
        "_id",
        "_include_usage",
        "_keepalive",
        "_last_write",
        "_loop",
        "_model",
        "_named",
        "_replayed",
        "_send",
        "_sending",
        "_tail",
        "_timer",
        "started",
    )

    def __init__(self, send: Send, *, id: str, created: int, model: str, include_usage: bool, keepalive: float) -> None:
        self._send = send
        self._id = id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._keepalive = keepalive
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._sending = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._replayed = False
        # What is around the choices is the same in nearly all chunks of a stream, so it is written once.
        self._head = self._tail = b""
        self._named: tuple[ServiceTier | None, str | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None
        self.started = False
        """Whether the status line has gone out: from then on a failure can only be an event."""
        if keepalive > 0:
            self._timer = self._loop.call_later(keepalive, self._on_timer)

    @classmethod
    def to(cls, job: Job, send: Send, keepalive: float) -> Self:
        """Return the stream that answers a job."""
        options = job.request.stream_options
        return cls(
            send,
            id=completion_id(job),
            created=int(time()),
            model=job.request.model,
            include_usage=isinstance(options, ChatCompletionStreamOptions) and options.include_usage is True,
            keepalive=keepalive,
        )

    async def on_event(self, event: Event) -> None:
        """Write an event's chunk, or keep it for a moment when the engine says that the next is coming already."""
        self._replayed = self._replayed or event.replayed
        if event.large:
            chunk = self._chunk(event, event.choices)
            await self.flush()
            await self._write_large(await aside(lambda: frame(encode_large_chunk(chunk, event.extra))))
            return
        if event.extra is None and event.obfuscation is None:
            if (event.service_tier, event.system_fingerprint) != self._named:
                self._named = (event.service_tier, event.system_fingerprint)
                bare = frame(encode_chunk(self._chunk(event, []), None))
                self._head, self._tail = bare.split(_CHOICES + b"]", 1)
                self._head += _CHOICES[:-1]
            data = self._head + _on_one_line(encode_choices(event.choices)) + self._tail
        else:
            data = frame(encode_chunk(self._chunk(event, event.choices), event.extra))
        self._buffer.append(data)
        self._buffered += len(data)
        if not event.more or self._buffered > _FLUSH_BYTES:
            await self._flush()

    async def flush(self) -> None:
        """Write what ``on_event`` kept for a moment."""
        if self._buffer:
            await self._flush()

    async def complete(self, answer: Answer) -> None:
        """End the stream of a run that came to its end."""
        assert answer.usage is not None, "a run counts or estimates"
        beside = answer.extra.usage if answer.extra is not None else None
        await self.finish(answer.usage, estimated=answer.estimated, extra=beside)

    async def finish(self, usage: CompletionUsage, *, estimated: bool = False, extra: Fields | None = None) -> None:
        """End a successful stream.

        Args:
            usage: What it took.
            estimated: Whether that is an estimate. A field says so: SDKs hand it on, and headers are long gone.
            extra: What the engine's usage says beside the contract's words.
        """
        if self._include_usage:
            chunk = CreateChatCompletionStreamResponse(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=[],
                usage=usage,
                x_zero_usage="estimated" if estimated else UNSET,
            )
            self._buffer.append(frame(encode_chunk(chunk, Extra(usage=extra) if extra else None)))
        self._buffer.append(DONE)
        await self._flush(last=True)

    async def fail(self, error: GatewayError) -> None:
        """End a stream that has begun and can't be completed: the error, which the SDKs raise, and no finish."""
        self._buffer.append(frame(error_body(error)))
        self._buffer.append(DONE)
        await self._flush(last=True)

    async def close(self) -> None:
        """Stop the keepalive. To be called however the stream ends."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
            await asyncio.gather(self._comment, return_exceptions=True)

    def _chunk(self, event: Event, choices: list[ChatCompletionChunkChoice]) -> CreateChatCompletionStreamResponse:
        return CreateChatCompletionStreamResponse(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=None if self._include_usage else UNSET,
            service_tier=event.service_tier if event.service_tier is not None else UNSET,
            system_fingerprint=event.system_fingerprint if event.system_fingerprint is not None else UNSET,
            obfuscation=event.obfuscation if event.obfuscation is not None else UNSET,
        )

    def _flush(self, *, last: bool = False) -> Coroutine[Any, Any, None]:
        """Return what writes the buffer. No coroutine itself: that would be one more for each chunk."""
        if self._comment is not None:
            return self._flush_behind(self._comment, last=last)
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        return self._write(data, last=last)

    async def _flush_behind(self, comment: asyncio.Task[None], *, last: bool) -> None:
        await asyncio.wait({comment})
        await self._flush(last=last)

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        self._sending = True
        try:
            if not self.started:
                self.started = True
                headers = [*HEADERS, REPLAYED] if self._replayed else list(HEADERS)
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        finally:
            self._sending = False
            self._last_write = self._loop.time()

    async def _write_large(self, data: bytes) -> None:
        for at in range(0, len(data), PART):
            self._buffer.append(data[at : at + PART])
            await self._flush()
            await asyncio.sleep(0)

    def _on_timer(self) -> None:
        # One timer per stream that re-arms itself lazily costs nothing per chunk.
        silent = self._loop.time() - self._last_write
        if silent >= self._keepalive and not self._sending and not self._closed:
            self._comment = self._loop.create_task(self._write(KEEPALIVE), name="keepalive")
            self._comment.add_done_callback(self._comment_done)
            silent = 0.0
        if not self._closed:
            self._timer = self._loop.call_later(max(self._keepalive - silent, 0.01), self._on_timer)

    def _comment_done(self, comment: asyncio.Task[None]) -> None:
        self._comment = None
        if not comment.cancelled():
            comment.exception()  # a client that is gone is the disconnect watcher's business
