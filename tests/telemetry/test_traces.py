"""docs/observability.md, "Traces": spans for request, run and engine, continued at both ends, no content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.fakes.script import error
from tests.fakes.upstream import FakeUpstream
from tests.telemetry.watched import CHAT, spoken, watched

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET_WORDS = "the launch code is 0000"


def traced(folder: Path, upstream: FakeUpstream, status: int = 200, *, content: bool = False) -> Sequence[ReadableSpan]:
    """Return the spans of one request, in the order in which they ended."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))

    async def work(client: httpx.AsyncClient) -> None:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        reply = await client.post(CHAT, json=spoken(text=SECRET_WORDS), headers=headers)
        assert status == reply.status_code

    watched(folder, upstream, {"traces": {"enabled": True, "content": content}}, work, provider)
    return spans.get_finished_spans()


def id_of(span: ReadableSpan) -> str:
    """Return a span's id as it is written."""
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def test_parent_and_children(tmp_path: Path, upstream: FakeUpstream) -> None:
    """The engine's span is the run's child, the run's the request's, whose parent the client named."""
    call, run, request = traced(tmp_path, upstream)

    assert ["chat main", "invoke_agent main", f"POST {CHAT}"] == [call.name, run.name, request.name]
    assert {TRACE} == {f"{one.context.trace_id:032x}" for one in (call, run, request) if one.context is not None}
    parents = [f"{one.parent.span_id:016x}" for one in (call, run, request) if one.parent is not None]
    assert [id_of(run), id_of(request), PARENT] == parents
    assert call.attributes is not None
    assert ("fake", "main") == (call.attributes["gen_ai.provider.name"], call.attributes["gen_ai.request.model"])
    assert request.attributes is not None
    assert (CHAT, 200) == (request.attributes["http.route"], request.attributes["http.response.status_code"])


def test_the_upstream_continues_the_trace(tmp_path: Path, upstream: FakeUpstream) -> None:
    """What the upstream is asked says the trace, and the engine's span as the parent."""
    call, *_ = traced(tmp_path, upstream)

    assert f"00-{TRACE}-{id_of(call)}-01" == upstream.last.headers["traceparent"]


def test_content_only_where_asked_for(tmp_path: Path, upstream: FakeUpstream) -> None:
    """What was said is in no span unless ``gateway.traces.content`` is true; then it is."""
    silent = " ".join(span.to_json() for span in traced(tmp_path, upstream))
    telling = traced(tmp_path, upstream, content=True)[0]

    assert SECRET_WORDS not in silent
    assert telling.attributes is not None
    assert SECRET_WORDS == json.loads(str(telling.attributes["gen_ai.input.messages"]))[-1]["content"]
    assert "Hello" in str(telling.attributes["gen_ai.output.messages"])


def test_a_failure_is_marked(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Where the upstream fails, all three spans are errors, and none has its words."""
    upstream.play(error(500, {"message": SECRET_WORDS}))
    spans = traced(tmp_path, upstream, 502)

    assert [False, False, False] == [span.status.is_ok for span in spans]
    assert SECRET_WORDS not in " ".join(span.to_json() for span in spans)
