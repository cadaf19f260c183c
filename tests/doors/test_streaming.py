"""design.md, "Answer": the stream, frame by frame and byte by byte."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.doors.client import CHAT, Reply, chat, raw
from tests.live_gateway import TOKEN, LiveGateway
from tests.official import validator

FRAME = re.compile(rb"data: (\{[^\r\n]*\}|\[DONE\])\n\n")


def chunks(reply: Reply) -> list[Any]:
    """Return the chunks of a stream, checked to be nothing but frames of official chunks and one final ``[DONE]``."""
    assert reply.status == 200
    frames = FRAME.findall(reply.body)
    assert b"".join(b"data: " + data + b"\n\n" for data in frames) == reply.body
    assert [at for at, data in enumerate(frames) if data == b"[DONE]"] == [len(frames) - 1]
    found = [json.loads(data) for data in frames[:-1]]
    for chunk in found:
        validator("CreateChatCompletionStreamResponse").validate(chunk)
    return found


def words(found: list[Any], index: int = 0) -> str:
    """Return what a stream says in one choice."""
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in found
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def reasons(found: list[Any], index: int = 0) -> list[str]:
    """Return every ``finish_reason`` of one choice."""
    return [
        choice["finish_reason"]
        for chunk in found
        for choice in chunk["choices"]
        if choice["index"] == index and choice["finish_reason"] is not None
    ]


def test_the_head_of_a_stream(gateway: LiveGateway) -> None:
    """A stream is an event stream that nobody may cache or hold back, and of a length not told in advance."""
    reply = chat(gateway, "hello", stream=True)
    assert reply.header("content-type") == "text/event-stream"
    assert reply.header("cache-control") == "no-cache"
    assert reply.header("x-accel-buffering") == "no"
    assert reply.header("content-length") is None
    assert reply.header("content-encoding") is None


@pytest.mark.parametrize(
    "text",
    ["hello", "one two three", "line\nbreak\r\nand\rmore", "\n\ndata: [DONE]\n\n", "event: x\nid: 1", "quote \" and \\",
     "日本語 🙂 é", "\u2028 and \u2029", "\u0085", "\x00 \x1b \x7f", "   blanks   ", "x" * 100_000, "a b " * 5000],
)  # fmt: skip
def test_whatever_is_said_frames_hold_it(gateway: LiveGateway, text: str) -> None:
    """Each event is one ``data:`` line and a blank line, whatever the text holds; the words arrive unharmed."""
    found = chunks(chat(gateway, text, stream=True))
    assert words(found) == text
    assert reasons(found) == ["stop"]


def test_one_identity_for_the_whole_stream(gateway: LiveGateway) -> None:
    """Every chunk has the same id, time and model, the latter as it was sent; the id is the run's."""
    reply = chat(gateway, "one two three", model="zero/beta", stream=True, stream_options={"include_usage": True})
    found = chunks(reply)
    assert len(found) > 3
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in found} == {
        (f"chatcmpl-{str(reply.header('x-zero-run-id')).removeprefix('run_')}", "zero/beta", "chat.completion.chunk")
    }
    assert len({chunk["created"] for chunk in found}) == 1


@pytest.mark.parametrize("n", [1, 3])
def test_role_first_and_one_finish_reason_last(gateway: LiveGateway, n: int) -> None:
    """Per choice: the first delta carries the role and no other does, the last one the one finish_reason."""
    found = chunks(chat(gateway, "one two three", stream=True, n=n))
    for index in range(n):
        deltas = [choice for chunk in found for choice in chunk["choices"] if choice["index"] == index]
        assert [delta["delta"].get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
        assert [delta["finish_reason"] for delta in deltas] == [None] * (len(deltas) - 1) + ["stop"]
        assert words(found, index) == "one two three"
    assert {choice["index"] for chunk in found for choice in chunk["choices"]} == set(range(n))


def test_choices_are_interleaved(gateway: LiveGateway) -> None:
    """Several choices grow side by side and not one after the other."""
    found = chunks(chat(gateway, "one two three", stream=True, n=3))
    order = [choice["index"] for chunk in found for choice in chunk["choices"]]
    assert order != sorted(order)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_obfuscation": True}])
def test_without_being_asked_no_chunk_speaks_of_usage(gateway: LiveGateway, options: object) -> None:
    """Usage comes on demand only, and every chunk has a choice."""
    found = chunks(chat(gateway, "hello", stream=True, stream_options=options))
    assert [chunk for chunk in found if "usage" in chunk or not chunk["choices"]] == []


@pytest.mark.parametrize("n", [1, 3])
def test_usage_on_demand_is_the_last_chunk(gateway: LiveGateway, n: int) -> None:
    """With ``include_usage``, a last chunk without choices tells the usage, and all others say ``usage: null``."""
    found = chunks(chat(gateway, "one two three", stream=True, n=n, stream_options={"include_usage": True}))
    assert [chunk["usage"] for chunk in found[:-1]] == [None] * (len(found) - 1)
    assert all(chunk["choices"] for chunk in found[:-1])
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == chat(gateway, "one two three", n=n).json["usage"]
    assert found[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3 * n, "total_tokens": 3 + 3 * n}


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"max_tokens": 2}, "one two ", "length"),
        ({"max_completion_tokens": 2}, "one two ", "length"),
        ({"max_tokens": 3}, "one two three", "stop"),
        ({"stop": "two"}, "one ", "stop"),
        ({"stop": ["three", "two"]}, "one ", "stop"),
        ({"stop": "absent"}, "one two three", "stop"),
        ({"stop": "one"}, "", "stop"),
        ({"stop": None, "max_tokens": None}, "one two three", "stop"),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_both_modes_say_the_same(gateway: LiveGateway, fields: dict[str, Any], text: str, reason: str, n: int) -> None:
    """Streamed and whole, the words and the reason to end are the same for every choice."""
    whole = chat(gateway, "one two three", n=n, **fields).json
    validator("CreateChatCompletionResponse").validate(whole)
    found = chunks(chat(gateway, "one two three", n=n, stream=True, **fields))
    for index, choice in enumerate(whole["choices"]):
        assert (choice["index"], choice["message"]["content"], choice["finish_reason"]) == (index, text, reason)
        assert (words(found, index), reasons(found, index)) == (text, [reason])
    assert len(whole["choices"]) == n


@pytest.mark.parametrize("stream", [False, None])
def test_not_streaming_is_the_default(gateway: LiveGateway, stream: bool | None) -> None:
    """Without ``stream: true``, the answer is one JSON object."""
    body = chat(gateway, "hello", stream=stream).json
    validator("CreateChatCompletionResponse").validate(body)
    assert (body["object"], body["choices"][0]["message"]) == (
        "chat.completion",
        {"role": "assistant", "content": "hello", "refusal": None},
    )


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/html", "*/*"])
def test_the_body_decides_and_not_the_accept_header(gateway: LiveGateway, accept: str) -> None:
    """``stream`` in the body alone decides about the form of the answer."""
    assert chat(gateway, "hello", headers={"Accept": accept}).text == "hello"
    assert words(chunks(chat(gateway, "hello", headers={"Accept": accept}, stream=True))) == "hello"


@pytest.mark.parametrize("fields", [{"model": "zero:nobody"}, {"messages": []}, {"n": 0}])
def test_a_refusal_before_the_first_byte_is_an_http_error(gateway: LiveGateway, fields: dict[str, Any]) -> None:
    """As long as nothing has been streamed, a failure has a status and OpenAI's error object."""
    reply = chat(gateway, **{"stream": True, "messages": "hello", **fields})
    assert reply.error
    assert 400 <= reply.status < 500


def test_the_connection_can_be_used_again(gateway: LiveGateway) -> None:
    """A stream ends properly, so that another request on the same connection is answered."""
    body = b'{"model":"zero","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    ).encode()
    received = raw(gateway, head + b"\r\n" + body + head + b"Connection: close\r\n\r\n" + body)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert received.count(b"data: [DONE]\n\n") == 2
    assert received.endswith(b"0\r\n\r\n")
