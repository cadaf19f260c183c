"""The events that docs/streaming.md shows are what comes over the wire, but for ids and times."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from app.contract import models
from tests.doors.client import CHAT, SECONDS, chat
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, chunk, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway
from tests.official import validator
from tests.snippets.snippet import Snippet, Way, snippets

BLOCKS: Final = snippets(Way.EVENTS)
KEEPALIVE: Final = ": keepalive"
SILENT: Final = {"gateway": {"http": {"endpoints": {"chatCompletions": {"keepaliveSeconds": 0.05}}}}}


def plain(frame: str) -> str:
    """Return an event without what is another one each time."""
    return re.sub(r'("created":)\d+', r"\1 0", re.sub(r'("id":)"[^"]*"', r'\1"..."', frame))


def frames(text: str) -> list[str]:
    """Return the events of a stream."""
    assert text.endswith("\n")
    return [plain(frame) for frame in text.strip("\n").split("\n\n")]


def first_of_a_silent_stream(live: LiveGateway) -> str:
    """Return what comes first of an answer that doesn't come; leave then."""
    body = json.dumps({"model": "zero", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(live.url + CHAT, body, headers), timeout=SECONDS) as answer:
        line: bytes = answer.readline()
        assert b"\n" == answer.readline()
        return line.decode().rstrip("\n")


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[list[str]]]:
    """The events of all streams that the page is about."""
    with FakeUpstream() as upstream:
        config = upstream_configuration(upstream, **SILENT)
        with LiveGateway(tmp_path_factory.mktemp("events"), config) as live:

            def said(model: str, **fields: Any) -> list[str]:
                said = frames(chat(live, "one two", model=model, stream=True, **fields).body.decode())
                return [frame for frame in said if frame != KEEPALIVE]

            counted = {"stream_options": {"include_usage": True}}
            streams = [said("zero:echo"), said("zero:echo", **counted)]
            upstream.play(stream(*words("one ", "two", usage=None)))
            streams.append(said("zero", **counted))
            upstream.play(stream(event(chunk({"role": "assistant", "content": "one "}))))
            streams.append(said("zero"))
            upstream.play(stream(Pause()))
            yield [*streams, [first_of_a_silent_stream(live)]]


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in BLOCKS])
def test_they_come(snippet: Snippet, wire: list[list[str]]) -> None:
    """They come like this, one behind the other, byte by byte."""
    shown = frames(snippet.text)
    assert any(shown == said[at : at + len(shown)] for said in wire for at in range(len(said))), wire


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in BLOCKS])
def test_they_are_the_contract_s(snippet: Snippet) -> None:
    """Each is a chunk or an error by the contract and by OpenAI's schema."""
    for frame in snippet.text.strip("\n").split("\n\n"):
        assert "\n" not in frame
        if frame in {"data: [DONE]", KEEPALIVE}:
            continue
        text = frame.removeprefix("data: ")
        if "error" in json.loads(text):
            validator("ErrorResponse").validate(json.loads(text))
            msgspec.json.decode(text, type=models.ErrorResponse)
        else:
            validator("CreateChatCompletionStreamResponse").validate(json.loads(text))
            msgspec.json.decode(text, type=models.CreateChatCompletionStreamResponse)
