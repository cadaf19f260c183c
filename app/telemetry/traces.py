"""OpenTelemetry's traces through its official SDK: a span for a request, in it one for its run, in that one per engine.

Where spans go is said by OpenTelemetry's own environment variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ...). What was
said is in them only where ``gateway.traces.content`` asks for it. Imported only where traces are switched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

import msgspec
from litestar.types import Scope
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.config import ConfigError, ModelRef
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.turn import Turn
from app.telemetry.facts import CallFacts, RequestFacts, RunFacts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_propagator: Final = TraceContextTextMapPropagator()
_CARRIED: Final = {b"traceparent", b"tracestate"}


class Traces:
    """Makes spans.

    Args:
        provider: Where they go.
        content: Whether they have in them what was said.
    """

    def __init__(self, provider: TracerProvider, *, content: bool = False) -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("zero-gateway")
        self.content = content

    def request(self, scope: Scope, facts: RequestFacts) -> Span:
        """Begin the span of a request, within the trace that its client says it belongs to."""
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED}
        parent = _propagator.extract(carrier, context=context.Context())
        made = self.tracer.start_span(
            facts.method, parent, SpanKind.SERVER, attributes={"http.request.method": facts.method}
        )
        return Span(self, made)

    def run(self, job: Job) -> Span:
        """Begin the span of a run, within the request that the present task works for."""
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": job.target.agent.id,
            "gen_ai.conversation.id": job.target.session_key,
            "zero.run.id": job.run_id,
            "zero.who": job.caller,
        }
        return Span(self, self.tracer.start_span(f"invoke_agent {job.target.agent.id}", attributes=attributes))

    @staticmethod
    def outgoing() -> Mapping[str, str]:
        """Return the headers that have an upstream continue the present trace."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier

    def close(self) -> None:
        """Send what hasn't been sent."""
        self._provider.shutdown()


class Span:
    """One stretch of a trace."""

    __slots__ = ("_span", "_traces")

    def __init__(self, traces: Traces, span: trace.Span) -> None:
        self._traces = traces
        self._span = span

    def current(self) -> AbstractContextManager[object]:
        """Have what happens in a block belong to it."""
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def call(self, turn: Turn, model: ModelRef) -> Span:
        """Begin the span of an engine's answer within this one."""
        made = self._traces.tracer.start_span(
            f"chat {model.model}",
            trace.set_span_in_context(self._span),
            SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": model.provider,
                "gen_ai.request.model": model.model,
            },
        )
        if self._traces.content:
            said = b",".join(bytes(message.raw) for message in turn.messages)
            made.set_attribute("gen_ai.input.messages", (b"[" + said + b"]").decode(errors="replace"))
        return Span(self._traces, made)

    def request_over(self, facts: RequestFacts) -> None:
        """End a request's span."""
        if facts.route:
            self._span.update_name(f"{facts.method} {facts.route}")
            self._span.set_attribute("http.route", facts.route)
        if facts.about is not None:
            self._span.set_attribute("zero.request.id", facts.about.request)
        if facts.status:
            self._span.set_attribute("http.response.status_code", facts.status)
        if facts.status >= 500:
            self._fail(str(facts.status))
        self._span.end()

    def run_over(self, facts: RunFacts) -> None:
        """End a run's span."""
        self._span.set_attribute("zero.outcome", facts.outcome)
        self._count(facts.answer)
        if facts.outcome != "done":
            self._fail(facts.outcome)
        self._span.end()

    def call_over(self, facts: CallFacts) -> None:
        """End the span of an engine's answer."""
        self._count(facts.answer)
        if facts.answer is not None and self._traces.content:
            said = msgspec.json.encode([choice.message for choice in facts.answer.choices()]).decode()
            self._span.set_attribute("gen_ai.output.messages", said)
        if facts.error_type:
            self._fail(facts.error_type)
        self._span.end()

    def _count(self, answer: Answer | None) -> None:
        if answer is not None and answer.usage is not None:
            self._span.set_attribute("gen_ai.usage.input_tokens", answer.usage.prompt_tokens)
            self._span.set_attribute("gen_ai.usage.output_tokens", answer.usage.completion_tokens)

    def _fail(self, what: str) -> None:
        self._span.set_attribute("error.type", what)
        self._span.set_status(Status(StatusCode.ERROR))


def exporting_provider() -> TracerProvider:
    """Return where spans go that are sent over OTLP, as OpenTelemetry's environment variables say.

    Raises:
        ConfigError: If what sends them is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "OpenTelemetry's SDK is not installed",
            "Run: pip install 'zero-gateway[otel]'",
            path="gateway.traces.enabled",
        ) from None
    named = Resource.create({SERVICE_NAME: "zero-gateway"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
