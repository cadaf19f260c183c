"""uvicorn's HTTP protocol with bounds: on a request's head, on how long clients take, on how many there are.

``zero gateway`` uses it, and so does ``uvicorn app:gateway --http app.http.uvicorn_connection:UvicornConnection``.
Knows uvicorn, httptools and HTTP/1, nothing of what is asked. What each override changes is what uvicorn 0.54 does
without it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.errors import (
    ConnectionsFull,
    GatewayError,
    HeadersTooLarge,
    MalformedRequest,
    RequestTooSlow,
)
from app.http.admission import admission_of
from app.http.framing import Parting, body_length, check_head, check_upgrade, unchunked
from app.http.refusal import reason, refusal
from app.http.uvicorn_wire import HeadWithBody, UvicornWire

LINGER_SECONDS: Final = 5.0
"""How long a client that was answered before it had sent everything may go on sending, before it is cut."""
LAST_SECONDS: Final = 0.5
"""How long a client may still ask on a connection that is there when the server is about to end. A request that is on
its way while its connection is closed is lost, and a proxy dares not send a POST once more."""
MAX_AHEAD: Final = 16
"""Requests that may wait on one connection for the answers to earlier ones."""
FRAMING: Final = 16
"""Bytes of chunk heads, extensions and trailers for each byte of body; what headers may have comes on top of it."""
_FIELD: Final = 32
"""What a header counts beside its name and value, as in HTTP/2: a million empty ones are no small head."""

_NOTHING, _HEAD, _BODY = range(3)
"""What is being read."""


class UvicornConnection(UvicornWire):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._admission = admission_of(self.app)
        self._limits = limits = self._admission.limits
        self._shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds, limits.send_seconds)
        self._served = True
        self._reading = _NOTHING
        self._requests = 0
        self._head_bytes = 0
        self._body_bytes = self._framing = self._unbodied = 0
        # When, by the loop's clock: what is read began, its last byte of body came, the last answer ended.
        self._since = self._progress = self._answered = 0.0
        self._running: RequestResponseCycle | None = None
        self._deaf = self._parted = self._resuming = False
        self._last_words = b""
        self._unsent: tuple[int, float] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, if there is room."""
        others = len(self.connections)
        super().connection_made(transport)
        served = self._admission.admit(others)
        if served is None:
            transport.abort()
            return
        self._served = served
        self._since = self.loop.time()
        self._admission.idle(self)
        self._timer = self.loop.call_later(LAST_SECONDS if self._admission.draining else self._shortest, self._look)

    def data_received(self, data: bytes) -> None:
        """Parse what comes, within the limits."""
        if self._deaf:
            return
        if self._reading == _NOTHING and not self._head_bytes:
            self._since = self.loop.time()
        reading, requests, body_bytes = self._reading, self._requests, self._body_bytes
        try:
            self.parser.feed_data(data)
            self._count(len(data), reading, body_bytes if requests == self._requests else None)
        except httptools.HttpParserUpgrade as error:
            self._upgrade(data[error.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(reason(error))
        except GatewayError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request at work, which isn't the last one that came if the client sent several at once."""
        super().connection_lost(exc)
        self._admission.busy(self)
        self.pipeline.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def shutdown(self) -> None:
        """Answer what is asked, and what is on its way; then close."""
        self._admission.draining = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False  # which its head will say
        elif self._is_idle:
            self._since = self.loop.time()
            self._hurry(LAST_SECONDS)

    def pause_writing(self) -> None:
        """Have the answer wait for the client, but not for ever."""
        super().pause_writing()
        self._unsent = (self.transport.get_write_buffer_size(), self.loop.time())

    # What the parser says

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        if self._resuming:
            return
        if len(self.pipeline) >= MAX_AHEAD:
            raise MalformedRequest(f"more than {MAX_AHEAD} requests were sent ahead of the answers")
        super().on_message_begin()
        self._reading = _HEAD

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. One that comes behind the body is none: whoever checked the head has not seen it."""
        if self._reading == _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have a request answered."""
        if self._resuming:
            self._resuming = False
            return
        self._requests += 1
        self._head_bytes = self._body_bytes = 0
        size = len(self.url) + sum(len(name) + len(value) + _FIELD for name, value in self.headers)
        if size > self._limits.max_header_bytes:
            raise HeadersTooLarge(self._limits.max_header_bytes)
        self._framing = self._unbodied = -size  # it is counted once more with what came together with it
        check_head(self.parser.get_http_version(), self.headers)
        if not self._served and self.url.partition(b"?")[0] not in self._admission.probes:
            raise ConnectionsFull
        if self._upgrades():
            check_upgrade(self.headers, answering=self._answering)
        self._admission.busy(self)
        self._progress = self.loop.time()
        before = self.cycle
        super().on_headers_complete()
        self._reading = _BODY
        if self._admission.draining:
            self.cycle.keep_alive = False
        if self.cycle is not before and not self.cycle.keep_alive:
            parting = cast("asyncio.Transport", Parting(self.transport, self.part))
            self.cycle.transport = cast("asyncio.Transport", HeadWithBody(parting, self.loop))
        # uvicorn stops reading while a request waits; then nobody notices that the client has gone.
        if self.pipeline:
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._body_bytes += len(body)
        self._progress = self.loop.time()
        super().on_body(body)
        if self.pipeline and len(self.cycle.body) > HIGH_WATER_LIMIT:
            raise MalformedRequest(f"more than {HIGH_WATER_LIMIT} bytes of a body were sent ahead of the answers")

    def on_message_complete(self) -> None:
        """End a request, unless the parser left out its body because it asked for an upgrade."""
        if self.parser.should_upgrade() and not self._should_upgrade() and body_length(self.headers):
            return
        super().on_message_complete()
        self._reading = _NOTHING
        self._since = self.loop.time()

    # What the answer says

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = unchunked(app, cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for it."""
        self.server_state.total_requests += 1
        self._answered = self.loop.time()
        if self._parted:
            return
        if self.transport.is_closing():
            self._closing()
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._deaf:
            self.loop.call_soon(self._say_last)  # behind a head that waits for its body
        else:
            self._admission.idle(self)
            self._since = self._answered
            if self._reading == _BODY:
                self._hurry(LINGER_SECONDS)
            elif self._admission.draining:
                self._hurry(LAST_SECONDS)

    def _say_last(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._last_words)
            self.part()

    def part(self) -> None:
        """Close in such a way that a client that still sends can read what it was told."""
        self._parted = True
        if (self._reading == _NOTHING and not self._deaf) or not self.transport.can_write_eof():
            self.transport.close()
        if self.transport.is_closing():
            self._closing()
            return
        self._deaf = True
        self._answered = self.loop.time()
        self._admission.idle(self)
        self.flow.resume_reading()
        self.transport.write_eof()
        self._hurry(LINGER_SECONDS)

    def drop(self) -> None:
        """Make room for others."""
        self.transport.abort()

    @property
    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    @property
    def _is_answered(self) -> bool:
        """Whether what is being read has its answer already."""
        return self._reading == _BODY and self.cycle.response_complete

    @property
    def _is_idle(self) -> bool:
        """Whether nothing was asked that isn't answered, nor has any of a next request come."""
        return self._reading == _NOTHING and not self._head_bytes and not self._answering

    def _upgrades(self) -> bool:
        return bool(self.parser.should_upgrade()) and self._should_upgrade()

    def _upgrade(self, rest: bytes) -> None:
        """Become a WebSocket, or go on as before: the parser stops at every upgrade, and at CONNECT."""
        if self._should_upgrade():
            self._admission.busy(self)
            if self._timer is not None:
                self._timer.cancel()
            self.handle_websocket_upgrade()
        elif self.scope["method"] == "CONNECT":
            self._deaf = True
            self.cycle.keep_alive = False
        else:
            # To HTTP/2, say, which Java's client asks for each time. The answer is one in HTTP/1.1.
            self.parser = httptools.HttpRequestParser(self)
            length = body_length(self.headers)
            if length:
                self._resuming = True
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % length)
            self.data_received(rest)

    def _count(self, size: int, reading: int, body_bytes: int | None) -> None:
        """Count what came and was no body: heads that don't end, endless extensions of chunks, endless trailers.

        Args:
            size: Bytes that came.
            reading: What was being read before they came.
            body_bytes: How much of that body had come before; ``None`` if a head has ended meanwhile.
        """
        most = self._limits.max_header_bytes
        if self._reading == _BODY:
            come = self._body_bytes - (body_bytes or 0)
            self._framing += size - come
            self._unbodied = 0 if come else self._unbodied + size
            if self._unbodied > most or self._framing > most + FRAMING * self._body_bytes:
                raise HeadersTooLarge(most)
        elif body_bytes is not None and reading != _BODY:
            self._head_bytes += size
            if self._head_bytes > most:
                raise HeadersTooLarge(most)

    def _refuse(self, error: GatewayError) -> None:
        """Answer what is wrong in its turn: behind the answers to what came before it. Nothing is read any more."""
        self._deaf = True
        self._last_words = refusal(error, self.server_state.default_headers)
        if self._reading == _BODY:
            if self.pipeline:  # it waits for its turn, which it won't have
                del self.pipeline[0]
            elif not self.cycle.response_started:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                self._running = None
            else:
                self._last_words = b""
        if not self._answering:
            self._say_last()

    # What the clock says

    def _closing(self) -> None:
        """Give the client time for what was not sent yet."""
        self._unsent = (self.transport.get_write_buffer_size(), self.loop.time())
        self._hurry(self._limits.send_seconds)

    def _hurry(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """See whether the client takes too long. What begins after this look is not due before the next one."""
        now = self.loop.time()
        due = self._due(now)
        if due > now:
            self._hurry(min(due - now, self._shortest))
            return
        self._hurry(LINGER_SECONDS)
        late_request = self._reading and not self._deaf and not self._is_answered
        if late_request and not self.transport.is_closing() and not self.flow.write_paused:
            self._refuse(RequestTooSlow("headers" if self._reading == _HEAD else "body"))
        elif self._admission.draining and self._is_idle:
            self.transport.close()
        else:
            self.transport.abort()

    def _due(self, now: float) -> float:
        """Return when the client is too late with what it has to do next."""
        limits = self._limits
        if self.transport.is_closing() or self.flow.write_paused:
            unsent = self.transport.get_write_buffer_size()
            if self._unsent is None or unsent < self._unsent[0]:
                self._unsent = (unsent, now)
            return self._unsent[1] + limits.send_seconds
        self._unsent = None
        if self._deaf and not self._answering:
            return self._answered + LINGER_SECONDS
        if self._reading == _BODY:
            if self._is_answered:
                return self._answered + LINGER_SECONDS
            if self.flow.read_paused:  # by us
                self._progress = now
            return min(self._progress + limits.body_seconds, self._since + limits.request_seconds)
        if self._answering:
            return now + self._shortest
        if self._admission.draining and self._is_idle:
            return self._since + LAST_SECONDS
        if self._reading == _HEAD or self._head_bytes or self.cycle is None:
            return self._since + limits.head_seconds
        return self._since + limits.idle_seconds
