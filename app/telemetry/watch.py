"""The watch over requests and runs: measures them, and hands the facts to whoever is told.

Implements what ``app.runs.observer`` asks for, and is an ASGI application around the gateway's. Knows neither metrics
nor files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.config import ModelRef
from app.http.edge import route_of
from app.log import about
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.turn import Turn
from app.telemetry.facts import CallFacts, RequestFacts, RunFacts, Sink

if TYPE_CHECKING:
    from app.telemetry.traces import Span, Traces

T = TypeVar("T")

_STREAM: Final = (b"content-type", b"text/event-stream")
_request: ContextVar[RequestFacts | None] = ContextVar("request", default=None)
"""The request on whose behalf the present task works."""


class Open:
    """How much is open at the moment."""

    __slots__ = ("requests", "runs", "streams", "websockets")

    def __init__(self) -> None:
        self.requests = self.runs = self.streams = self.websockets = 0


class Watch:
    """Watches.

    Args:
        sinks: Who is told.
        traces: Makes spans, if they are wanted.
    """

    def __init__(self, sinks: Sequence[Sink], traces: Traces | None = None) -> None:
        self._sinks = tuple(sinks)
        self._traces = traces
        self.open = Open()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that watches another one's requests."""

        def watched(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == ScopeType.HTTP:
                return self._request(app, scope, receive, send)
            return others(scope, receive, send)

        async def others(scope: Scope, receive: Receive, send: Send) -> None:
            # Litestar's type has no third kind, but the server's start and stop come here, too.
            websocket = str(scope["type"]) == "websocket"
            self.open.websockets += websocket
            try:
                await app(scope, receive, send)
            finally:
                self.open.websockets -= websocket

        return watched

    def run_began(self, job: Job) -> _RunWatch:
        """See ``RunObserver``."""
        request = _request.get()
        told = request.about if request is not None else None
        facts = RunFacts(job, told.request if told is not None else "")
        if request is not None:
            request.run = facts
        self.open.runs += 1
        return _RunWatch(self, facts, self._traces)

    def run_over(self, facts: RunFacts) -> None:
        """Tell of a run that is over."""
        self.open.runs -= 1
        for sink in self._sinks:
            sink.run_over(facts)

    def call_over(self, facts: CallFacts) -> None:
        """Tell of an engine that has answered, or won't."""
        for sink in self._sinks:
            sink.call_over(facts)

    async def _request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        facts = RequestFacts(str(scope.get("method")), about.get())
        span = self._traces.request(scope, facts) if self._traces is not None else None
        _request.set(facts)

        whole = False

        async def receive_timed() -> Any:
            nonlocal whole
            if whole:  # only the client's leaving is waited for now, beside the work
                return await receive()
            began = perf_counter()
            try:
                message = await receive()
                whole = message["type"] != "http.request" or not message.get("more_body", False)
                return message
            finally:
                facts.client_seconds += perf_counter() - began

        async def send_timed(message: Message) -> None:
            began = perf_counter()
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                if _STREAM in message["headers"]:
                    facts.streamed = True
                    self.open.streams += 1
            elif facts.first_byte is None and message["type"] == "http.response.body" and message["body"]:
                facts.first_byte = began
            try:
                await send(message)
            finally:
                facts.client_seconds += perf_counter() - began

        self.open.requests += 1
        try:
            if span is None:
                await app(scope, receive_timed, send_timed)
            else:
                with span.current():
                    await app(scope, receive_timed, send_timed)
        finally:
            self.open.requests -= 1
            self.open.streams -= facts.streamed
            facts.route = route_of(scope)
            _request.set(None)
            for sink in self._sinks:
                sink.request_over(facts)
            if span is not None:
                span.request_over(facts)


class _RunWatch:
    """See ``RunWatch``."""

    __slots__ = ("_facts", "_span", "_traces", "_watch")

    def __init__(self, watch: Watch, facts: RunFacts, traces: Traces | None) -> None:
        self._watch = watch
        self._facts = facts
        self._traces = traces
        self._span = traces.run(facts.job) if traces is not None else None

    async def queue(self, waiting: Awaitable[T]) -> T:
        began = perf_counter()
        try:
            return await waiting
        finally:
            self._facts.waited += perf_counter() - began

    def asks(self, turn: Turn, model: ModelRef) -> _CallWatch:
        return _CallWatch(
            self._watch,
            self._facts,
            CallFacts(turn, model),
            self._span.call(turn, model) if self._span is not None else None,
        )

    def done(self, answer: Answer) -> None:
        self._facts.answer = answer
        self._over()

    def failed(self, error: BaseException) -> None:
        self._facts.failed(error)
        self._over()

    def _over(self) -> None:
        self._watch.run_over(self._facts)
        if self._span is not None:
            self._span.run_over(self._facts)
        self._facts.answer = None if self._facts.answer is None else _usage_only(self._facts.answer)


def _usage_only(answer: Answer) -> Answer:
    """Return what the request's own line says of an answer, so that its text isn't kept for as long as the request."""
    short = Answer(0)
    short.usage, short.estimated, short.model = answer.usage, answer.estimated, answer.model
    return short


class _CallWatch:
    """See ``EngineWatch``."""

    __slots__ = ("_asking", "_facts", "_run", "_since", "_span", "_watch")

    def __init__(self, watch: Watch, run: RunFacts, facts: CallFacts, span: Span | None) -> None:
        self._watch = watch
        self._run = run
        self._facts = facts
        self._span = span
        self._since: float | None = None
        self._asking: AbstractContextManager[object] | None = None

    def listens(self) -> None:
        self._since = perf_counter()
        if self._span is not None and self._facts.first_chunk is None:
            # The first step is the one that asks; what it sends says which span it belongs to.
            self._asking = self._span.current()
            self._asking.__enter__()

    def heard(self) -> None:
        now = self._listened()
        if self._facts.first_chunk is None:
            self._facts.first_chunk = now
            if self._run.first_chunk is None:
                self._run.first_chunk = now

    def done(self, answer: Answer) -> None:
        self._facts.answer = answer
        self._over()

    def failed(self, error: BaseException) -> None:
        self._listened()
        self._facts.failed(error)
        self._over()

    def _listened(self) -> float:
        now = perf_counter()
        if self._since is not None:
            self._run.waited += now - self._since
            self._since = None
        if self._asking is not None:
            self._asking.__exit__(None, None, None)
            self._asking = None
        return now

    def _over(self) -> None:
        self._watch.call_over(self._facts)
        if self._span is not None:
            self._span.call_over(self._facts)
