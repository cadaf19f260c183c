"""Upstreams' chunks: the quirks of real services are understood, and nonsense is refused as the upstream's failure."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.upstream.chunk import UpstreamErrorEvent, event_of_chunk, event_of_completion
from app.errors import EngineFailed
from app.runs.event import Event


def plain(event: Event) -> Any:
    """Return an event as JSON sees it."""
    return json.loads(msgspec.json.encode(event))


def choice(**fields: object) -> dict[str, Any]:
    """Read a chunk with one choice of the given fields and return that choice."""
    event = event_of_chunk(json.dumps({"choices": [fields]}).encode())
    [found] = plain(event)["choices"]
    assert isinstance(found, dict)
    return found


def test_whole_chunk() -> None:
    """A chunk by the book keeps all that a client of OpenAI's may want; its identity is dropped."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    logprobs = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}], "refusal": None}
    fields = {
        "delta": {"content": "a", "tool_calls": [call]},
        "logprobs": logprobs,
        "finish_reason": "stop",
        "index": 1,
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "flex"}
    event = event_of_chunk(
        json.dumps({**head, "system_fingerprint": "fp", "choices": [fields], "usage": usage}).encode()
    )
    found = plain(event)
    assert ([fields], usage, "fp", "flex") == (
        found["choices"],
        found["usage"],
        found["system_fingerprint"],
        found["service_tier"],
    )


@pytest.mark.parametrize(
    ("fields", "part", "expected"),
    [
        # A delta that is missing, null, or has null or empty in it.
        ({}, "delta", {}),
        ({"delta": None}, "delta", {}),
        ({"delta": {"content": "a", "tool_calls": None, "role": ""}}, "delta", {"content": "a"}),
        ({"delta": {"content": "a", "role": "model"}}, "delta", {"content": "a"}),
        (
            {"delta": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
            "delta",
            {"content": "ab"},
        ),
        # An index that is missing, null or a text.
        ({"delta": {}}, "index", 0),
        ({"delta": {}, "index": None}, "index", 0),
        ({"delta": {}, "index": "1"}, "index", 1),
        # Other words for the end, and for none.
        ({"delta": {}, "finish_reason": ""}, "finish_reason", None),
        ({"delta": {}, "finish_reason": "eos"}, "finish_reason", "stop"),
        ({"delta": {}, "finish_reason": "end_turn"}, "finish_reason", "stop"),
        ({"delta": {}, "finish_reason": "max_tokens"}, "finish_reason", "length"),
        ({"delta": {}, "finish_reason": "tool_use"}, "finish_reason", "tool_calls"),
        ({"delta": {}, "finish_reason": "something else"}, "finish_reason", "stop"),
        # Probabilities in a shape that isn't OpenAI's.
        ({"index": None, "delta": {}, "logprobs": {"tokens": ["a"]}}, "logprobs", None),
        ({"index": None, "delta": {}, "logprobs": []}, "logprobs", None),
    ],
)
def test_quirks_of_a_choice(fields: dict[str, object], part: str, expected: object) -> None:
    """Fields that are missing, null, empty or of a neighbouring type mean what their senders mean by them."""
    assert expected == choice(**fields)[part]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}, '{"a":1}'),
        ({"id": "c", "function": {"name": "f", "arguments": "{}"}}, "{}"),
        ({"id": "c", "type": "", "index": None, "function": {"name": "f", "arguments": "{}"}}, "{}"),
        ({"id": 7, "type": "function", "function": {"name": "f", "arguments": "{}"}}, "{}"),
    ],
)
def test_quirks_of_a_tool_call(call: dict[str, object], expected: str) -> None:
    """A call without index or type, with an object for arguments or a number for an id, is a call."""
    [found] = choice(delta={"tool_calls": [call]})["delta"]["tool_calls"]
    assert (0, str(call["id"]), "function") == (found["index"], found["id"], found["type"])
    assert {"name": "f", "arguments": expected} == found["function"]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({"prompt_tokens": 1, "completion_tokens": 2}, (1, 2, 3)),
        ({"prompt_tokens": 1.0, "completion_tokens": 2.0, "total_tokens": 3.0}, (1, 2, 3)),
        ({"prompt_tokens": 1, "completion_tokens": None, "total_tokens": 1}, (1, 0, 1)),
        ({"prompt_tokens": "1", "completion_tokens": "2"}, (1, 2, 3)),
    ],
)
def test_quirks_of_usage(usage: object, expected: tuple[int, int, int] | None) -> None:
    """A count that is incomplete or not quite in integers is a count."""
    found = event_of_chunk(json.dumps({"choices": [], "usage": usage}).encode()).usage
    assert expected == (found and (found.prompt_tokens, found.completion_tokens, found.total_tokens))


@pytest.mark.parametrize("body", [b'{"choices": []}', b'{"choices": null}', b"{}", b'{"usage": null, "choices": []}'])
def test_no_choices(body: bytes) -> None:
    """A chunk without choices, as some send at the beginning or for the usage, says nothing."""
    assert [] == event_of_chunk(body).choices


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b'{"choices": "x"}',
        b'{"choices": {"a": 1}}',
        b'{"choices": [1]}',
        b'{"choices": [null]}',
        b'{"choices": [[]]}',
        b'{"choices": [{"delta": "text"}]}',
        b'{"choices": [{"delta": {"content": 5}}]}',
        b'{"choices": [{"delta": {"content": {"a": 1}}}]}',
        b'{"choices": [{"delta": {"tool_calls": [1]}}]}',
        b'{"choices": [{"index": "x", "delta": {}}]}',
        b'{"choices": [{"index": [1], "delta": {}}]}',
        b'{"choices": [{"finish_reason": ["stop"], "delta": {}}]}',
        b'{"choices": [{"finish_reason": "error", "delta": {}}]}',
        b'{"choices": [{"logprobs": {"content": [1]}, "delta": {}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
        b"[" * 100_000,
        b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
@pytest.mark.parametrize("read", [event_of_chunk, event_of_completion])
def test_nonsense(body: bytes, read: Any) -> None:
    """What is no chunk is the upstream's failure, said in a message of reasonable length."""
    if read is event_of_completion:
        body = body.replace(b'"delta"', b'"message"')
    with pytest.raises(EngineFailed) as caught:
        read(body)
    assert 502 == caught.value.status
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("read", [event_of_chunk, event_of_completion])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "m", "code": 429}, {"message": "m", "code": 429}),
        ("overloaded", {"message": "overloaded"}),
        ([1], {"message": "[1]"}),
    ],
)
def test_error_in_the_stream(read: Any, error: object, expected: dict[str, object]) -> None:
    """An error object inside a 200 answer is an error, in whatever shape."""
    with pytest.raises(UpstreamErrorEvent) as caught:
        read(json.dumps({"error": error, "choices": []}).encode())
    assert expected == caught.value.fields


@pytest.mark.parametrize("body", [{"error": None}, {"choices": [{"index": 0, "delta": {"content": '"error"'}}]}])
def test_the_word_error_is_no_error(body: dict[str, object]) -> None:
    """An error that is null is none, and a model may write the word."""
    event_of_chunk(json.dumps({"choices": [], **body}).encode())


def test_completion() -> None:
    """A whole answer where a stream was asked for is an event that says all of it."""
    message: dict[str, object] = {"role": "assistant", "content": "a", "refusal": None, "annotations": []}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    event = plain(event_of_completion(json.dumps(body).encode()))
    assert [("a", "stop")] == [(c["delta"]["content"], c["finish_reason"]) for c in event["choices"]]
    assert 1 == event["usage"]["total_tokens"]


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "id": JSON,
        "type": JSON,
        "function": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON}),
    },
)
DELTAS = st.fixed_dictionaries(
    {}, optional={"role": JSON, "content": JSON, "refusal": JSON, "tool_calls": JSON | st.lists(CALLS, max_size=2)}
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "delta": JSON | DELTAS,
        "message": JSON | DELTAS,
        "finish_reason": JSON | st.sampled_from(["stop", "eos", "error"]),
        "logprobs": JSON,
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON | st.lists(CHOICES, max_size=2),
        "usage": JSON
        | st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens", "prompt_tokens_details"]), JSON),
        "error": JSON,
        "system_fingerprint": JSON,
        "service_tier": JSON,
    },
)


@given(JSON | BODIES, st.sampled_from([event_of_chunk, event_of_completion]))
def test_any_json(body: object, read: Any) -> None:
    """No JSON whatever makes it raise anything but the upstream's failure; what it reads can be written."""
    try:
        event = read(json.dumps(body).encode())
    except (EngineFailed, UpstreamErrorEvent):
        return
    msgspec.json.encode(event)


@given(st.binary(), st.sampled_from([event_of_chunk, event_of_completion]))
def test_any_bytes(body: bytes, read: Any) -> None:
    """Nor do any bytes."""
    try:
        read(body)
    except (EngineFailed, UpstreamErrorEvent):
        return
