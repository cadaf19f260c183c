"""The pure steps of a request, each by itself (``make bench-pure``): where a change has made something slower."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.config import AgentProfile, ModelRef
from app.config.structs import ChatCompletions
from app.contract.models import CreateChatCompletionStreamResponse
from app.engines.upstream.chunk import event_of_chunk, event_of_completion
from app.engines.upstream.request import body_of
from app.engines.upstream.sse_reader import SSEReader
from app.http.chat_request import decode_request, job_of, target_of
from app.http.completion import encode_chunk
from app.http.event_stream import frame
from app.http.request_headers import RequestHeaders
from app.runs.turn import Turn
from app.sessions.merge import Sent, merge

_BODIES: Final = {
    "short": msgspec.json.encode({"model": "zero:main", "messages": [{"role": "user", "content": "Count to ten."}]}),
    "50 messages": msgspec.json.encode(
        {
            "model": "zero:main",
            "temperature": 0.5,
            "messages": [{"role": ("user", "assistant")[n % 2], "content": f"tick tock {n}"} for n in range(51)],
        }
    ),
}
_CHUNK: Final = (
    b'{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":'
    b'[{"index":0,"delta":{"content":" tick"},"logprobs":null,"finish_reason":null}]}'
)
_COMPLETION: Final = (
    b'{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":" tick tock","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}'
)
_HEADERS: Final = RequestHeaders(
    [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer key"), (b"content-type", b"application/json")]
)


class _Directory(msgspec.Struct):
    agents: dict[str, AgentProfile]
    default_agent: str


_AGENT: Final = AgentProfile(id="main", name="Main", model=ModelRef("mock", "json"))
_DIRECTORY: Final = _Directory({"main": _AGENT}, "main")
_SETTINGS: Final = ChatCompletions(enabled=True)


@pytest.fixture(params=list(_BODIES))
def body(request: pytest.FixtureRequest) -> bytes:
    """Give a request's body."""
    return _BODIES[request.param]


def test_decode(benchmark: BenchmarkFixture, body: bytes) -> None:
    """Bytes become the contract's struct, validated."""
    assert benchmark(decode_request, body).model == "zero:main"


def test_resolve(benchmark: BenchmarkFixture) -> None:
    """A request finds its agent and its session."""
    request = decode_request(_BODIES["short"])
    assert _AGENT is benchmark(target_of, request, _HEADERS, _DIRECTORY, _SETTINGS).agent


def test_take_apart(benchmark: BenchmarkFixture, body: bytes) -> None:
    """A validated request becomes a job."""
    request = decode_request(body)
    target = target_of(request, _HEADERS, _DIRECTORY, _SETTINGS)
    assert len(request.messages) == len(benchmark(job_of, request, body, _HEADERS, target).messages)


def test_ask(benchmark: BenchmarkFixture, body: bytes) -> None:
    """A turn becomes the upstream's request."""
    request = decode_request(body)
    job = job_of(request, body, _HEADERS, target_of(request, _HEADERS, _DIRECTORY, _SETTINGS))
    turn = Turn(
        run_id="run", agent=_AGENT, model="json", messages=job.messages, parameters=job.parameters, request=request
    )

    def ask() -> bytes:
        return body_of(turn, streamed=True)

    assert b'"model":"json"' in benchmark(ask)


def test_read_chunk(benchmark: BenchmarkFixture) -> None:
    """An upstream's chunk becomes an event."""
    assert benchmark(event_of_chunk, _CHUNK).choices[0].delta.content == " tick"


def test_read_completion(benchmark: BenchmarkFixture) -> None:
    """An upstream's whole answer becomes an event."""
    assert benchmark(event_of_completion, _COMPLETION).usage.total_tokens == 21


def test_split_stream(benchmark: BenchmarkFixture) -> None:
    """A read of a hundred events is taken apart."""
    data = (b"data: " + _CHUNK + b"\n\n") * 100

    def split() -> list[bytes]:
        return SSEReader().feed(data)

    assert len(benchmark(split)) == 100


def test_write_chunk(benchmark: BenchmarkFixture) -> None:
    """An event becomes the bytes that the client gets."""
    event = event_of_chunk(_CHUNK)

    def write() -> bytes:
        chunk = CreateChatCompletionStreamResponse(
            id="chatcmpl-1", created=1700000000, model="zero:main", choices=event.choices
        )
        return frame(encode_chunk(chunk, event.extra))

    assert benchmark(write).startswith(b"data: {")


@pytest.mark.parametrize("turns", [10, 1000])
def test_merge(benchmark: BenchmarkFixture, turns: int) -> None:
    """A conversation that is sent whole finds its place in the stored one."""
    stored = [f"{number:040x}" for number in range(2 * turns)]
    sent = [Sent(digest, number % 2 == 1) for number, digest in enumerate([*stored, "new"])]
    assert 2 * turns == benchmark(merge, stored, sent).kept
