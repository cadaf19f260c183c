"""Answers that come in one piece, because their client wants them so: nothing of them is lost, and nothing added."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.caller import Caller
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import USAGE, Json, Pause, Send, Step, completion, stream, whole, words
from tests.fakes.upstream import HELLO, FakeUpstream
from tests.live_gateway import LiveGateway


def saying(message: Json, reason: str = "stop", **choice: Json) -> Json:
    """Return a whole answer of one choice."""
    said = {"role": "assistant", "content": None, **message}
    return completion("", choices=[{"index": 0, "message": said, "finish_reason": reason, **choice}])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": HELLO}, "stop"),
        ({"content": HELLO, "refusal": None}, "length"),
        ({"content": ""}, "stop"),
        ({"refusal": "No."}, "stop"),
        ({"content": HELLO, "reasoning_content": "Hm.", "reasoning": "Hm."}, "stop"),
        ({"content": HELLO, "annotations": [], "x_unknown": {"a": 1}}, "stop"),
        (
            {
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ]
            },
            "tool_calls",
        ),
    ],
    ids=["text", "limit", "empty", "refusal", "thoughts", "unknown", "calls"],
)
def test_passed_on(upstream: FakeUpstream, quiet: Caller, message: Json, reason: str) -> None:
    """The message reaches the client as the service said it, with its end and its usage."""
    upstream.play(whole(200, saying(message, reason)))
    answer = quiet.ask()
    [choice] = answer.body["choices"]
    expected = {"role": "assistant", "content": None, "refusal": None, **message}
    assert (expected, reason, USAGE) == (choice["message"], choice["finish_reason"], answer.body["usage"])
    assert ("zero:main", "chat.completion") == (answer.body["model"], answer.body["object"])
    assert "stream" not in upstream.last.json


def test_several(upstream: FakeUpstream, quiet: Caller) -> None:
    """Each choice keeps its place, in whatever order they stand."""
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in ((1, "b"), (0, "a"))
    ]
    upstream.play(whole(200, completion("", choices=choices)))
    answer = quiet.ask(n=2)
    assert [(0, "a"), (1, "b")] == [(c["index"], c["message"]["content"]) for c in answer.body["choices"]]


def test_several_from_one_at_a_time(upstream: FakeUpstream, quiet: Caller) -> None:
    """Where a service ignores n, the others are asked for by themselves."""
    upstream.play(whole(200, completion("a")), model="prompted")
    answer = quiet.ask("prompted", n=3)
    assert ["a"] * 3 == [choice["message"]["content"] for choice in answer.body["choices"]]
    assert 3 == len(upstream.exchanges)


@pytest.mark.parametrize(
    "silent",
    [[Pause()], [Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"), Pause()]],
    ids=["head", "body"],
)
def test_client_leaves(upstream: FakeUpstream, quiet: Caller, silent: list[Step]) -> None:
    """A service hears at once that nobody wants its answer any more."""
    upstream.play(silent)
    with quiet.send():
        exchange = upstream.wait()
        assert not exchange.closed.is_set()
    exchange.wait_closed()


@pytest.fixture(scope="module")
def streaming(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A client of a gateway whose provider is always to be asked for a stream."""
    config = upstream_configuration(service)
    config["models"]["providers"]["fake"]["alwaysStream"] = True
    place: Path = tmp_path_factory.mktemp("streaming")
    with LiveGateway(place, config) as live:
        yield Caller(live)


def test_always_stream(upstream: FakeUpstream, streaming: Caller) -> None:
    """``alwaysStream`` asks for a stream, and its usage, though the client wants the answer in one piece."""
    upstream.play(stream(*words("Hello,", " wörld")))
    answer = streaming.ask()
    assert (HELLO, USAGE) == (answer.text, answer.body["usage"])
    assert (True, {"include_usage": True}) == (upstream.last.json["stream"], upstream.last.json["stream_options"])


def test_always_stream_but_sound(upstream: FakeUpstream, streaming: Caller) -> None:
    """Sound is streamed as bare samples only: a file comes in one piece, whatever the setting."""
    audio = {"id": "audio_2", "expires_at": 5, "data": "AA==", "transcript": "Hello"}
    upstream.play(whole(200, saying({"audio": audio})))
    answer = streaming.ask(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    assert audio == answer.body["choices"][0]["message"]["audio"]
    assert "stream" not in upstream.last.json
