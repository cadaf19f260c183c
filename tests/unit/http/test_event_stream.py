"""The stream's form, frame by frame."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.contract.models import CompletionUsage
from app.errors import EngineFailed
from app.http.event_stream import DONE, KEEPALIVE, EventStream, frame
from app.runs.event import Event, finish_event, text_event
from tests.official import validator

USAGE = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


class Wire:
    """What was sent, and an optional gate that holds the sender up as a slow reader would."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.sent = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.sent.set()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]

    @property
    def text(self) -> bytes:
        return b"".join(self.bodies)


def stream(wire: Wire, *, include_usage: bool = False, keepalive: float = 0) -> EventStream:
    """Return a stream onto the wire."""
    return EventStream(
        wire.send, id="chatcmpl-1", created=7, model="zero", include_usage=include_usage, keepalive=keepalive
    )


def chunks(data: bytes) -> list[Any]:
    """Return the JSON of every frame but the last, which must be [DONE]."""
    frames = data.split(b"\n\n")
    assert [b"data: [DONE]", b""] == frames[-2:]
    return [json.loads(one.removeprefix(b"data: ")) for one in frames[:-2]]


class TestIdentity:
    """What is the same in every chunk is written anew only when it changes."""

    def test_what_is_around_the_choices(self) -> None:
        """Tier and fingerprint are those of each event, and no text of the client's can be taken for the choices."""
        wire = Wire()
        model = 'a"choices":[]\u2028b'

        async def main() -> None:
            out = EventStream(wire.send, id="x", created=7, model=model, include_usage=True, keepalive=0)
            first, second, third, fourth = (text_event(word) for word in ("a\u2028", "b", "c", "d"))
            first.system_fingerprint = second.system_fingerprint = "f"
            second.service_tier, third.obfuscation = "flex", "pad"
            for event in (first, second, third, fourth):
                await out.on_event(event)
            await out.finish(USAGE)

        asyncio.run(main())
        *said, _usage = chunks(wire.text)
        same = {"id": "x", "created": 7, "model": model, "object": "chat.completion.chunk", "usage": None}
        assert [same] * 4 == [{name: chunk[name] for name in same} for chunk in said]
        assert ["a\u2028", "b", "c", "d"] == [chunk["choices"][0]["delta"]["content"] for chunk in said]
        others = ({name: chunk[name] for name in chunk if name not in same and name != "choices"} for chunk in said)
        assert [
            {"system_fingerprint": "f"},
            {"system_fingerprint": "f", "service_tier": "flex"},
            {"obfuscation": "pad"},
            {},
        ] == list(others)


class TestFraming:
    """One event, one `data:` line, one blank line."""

    @given(st.text() | st.text('a"\\\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029é\U0001f600'))
    def test_any_text_stays_on_one_line(self, text: str) -> None:
        """Whatever the model says, line breaks and U+2028 included, a frame is one line of JSON."""

        async def write() -> bytes:
            wire = Wire()
            out = stream(wire)
            await out.on_event(text_event(text))
            await out.finish(USAGE)
            await out.close()
            return wire.text

        data = asyncio.run(write())

        assert data.endswith(DONE)
        (line, rest) = data.split(b"\n", 1)
        assert line.startswith(b"data: {")
        assert rest == b"\n" + DONE
        assert text == json.loads(line[6:])["choices"][0]["delta"]["content"]
        # Clients in Python split decoded text by str.splitlines, which knows more line ends than SSE does.
        assert [line.decode(), "", "data: [DONE]", ""] == data.decode().splitlines()

    def test_a_frame_is_data_and_a_blank_line(self) -> None:
        """No event, id or retry lines: SDKs crash on them."""
        assert b'data: {"a":1}\n\n' == frame(b'{"a":1}')

    def test_headers(self) -> None:
        """The media type is the specification's; no cache and no proxy may hold it up."""

        async def write() -> Any:
            wire = Wire()
            out = stream(wire)
            await out.finish(USAGE)
            await out.close()
            return wire.messages[0]

        start = asyncio.run(write())

        assert 200 == start["status"]
        assert {
            b"content-type": b"text/event-stream",
            b"cache-control": b"no-cache",
            b"x-accel-buffering": b"no",
        } == dict(start["headers"])


class TestUsage:
    """``stream_options.include_usage``."""

    def test_asked_for(self) -> None:
        """Null in every chunk, and a last one without choices that tells it."""

        async def write() -> bytes:
            wire = Wire()
            out = stream(wire, include_usage=True)
            await out.on_event(text_event("a"))
            await out.on_event(finish_event("stop"))
            await out.finish(USAGE)
            await out.close()
            return wire.text

        sent = chunks(asyncio.run(write()))

        for chunk in sent:
            validator("CreateChatCompletionStreamResponse").validate(chunk)
        assert [None, None] == [chunk["usage"] for chunk in sent[:-1]]
        assert ([], 3) == (sent[-1]["choices"], sent[-1]["usage"]["total_tokens"])
        assert {("chatcmpl-1", 7, "zero")} == {(chunk["id"], chunk["created"], chunk["model"]) for chunk in sent}

    def test_not_asked_for(self) -> None:
        """The key isn't there at all."""

        async def write() -> bytes:
            wire = Wire()
            out = stream(wire)
            await out.on_event(finish_event("stop"))
            await out.finish(USAGE)
            await out.close()
            return wire.text

        assert all("usage" not in chunk for chunk in chunks(asyncio.run(write())))


class TestWrites:
    """When bytes go out."""

    def test_announced_events_go_out_together(self) -> None:
        """An engine that has more in its hands saves a write per event."""

        async def write() -> list[bytes]:
            wire = Wire()
            out = stream(wire)
            await out.on_event(text_event("a", more=True))
            await out.on_event(text_event("b", more=True))
            await out.on_event(text_event("c"))
            await out.close()
            return wire.bodies

        (body,) = asyncio.run(write())

        assert 3 == body.count(b"data: ")

    def test_flush_sends_what_was_kept(self) -> None:
        """When the announced event says nothing, its forerunner must not wait for it."""

        async def write() -> list[list[bytes]]:
            wire = Wire()
            out = stream(wire)
            await out.on_event(text_event("a", more=True))
            before = list(wire.bodies)
            await out.flush()
            after = list(wire.bodies)
            await out.flush()
            again = list(wire.bodies)
            await out.close()
            return [before, after, again]

        before, after, again = asyncio.run(write())

        assert [] == before
        assert 1 == len(after)
        assert after == again

    def test_much_is_not_kept(self) -> None:
        """Announced or not, 64 KiB are enough to go."""

        async def write() -> int:
            wire = Wire()
            out = stream(wire)
            for _ in range(10):
                await out.on_event(text_event("x" * 20_000, more=True))
            await out.close()
            return len(wire.bodies)

        assert asyncio.run(write()) >= 2


class TestFailure:
    """An error after the first byte."""

    def test_is_an_event_and_no_finish(self) -> None:
        """The error object, then [DONE]; nothing that pretends success."""

        async def write() -> tuple[list[Any], Any]:
            wire = Wire()
            out = stream(wire, include_usage=True)
            await out.on_event(text_event("a"))
            await out.fail(EngineFailed("broke", code="upstream_truncated"))
            await out.close()
            return chunks(wire.text), wire.messages[-1]["more_body"]

        sent, more = asyncio.run(write())

        assert {
            "error": {"message": "broke", "type": "server_error", "param": None, "code": "upstream_truncated"}
        } == sent[-1]
        assert [None] == [chunk["choices"][0]["finish_reason"] for chunk in sent[:-1]]
        assert more is False


class TestKeepalive:
    """Comments while the engine is silent."""

    def test_begins_before_the_first_event(self) -> None:
        """A silent engine commits the answer to a 200 and sends comments, so that no proxy hangs up."""

        async def write() -> list[Any]:
            wire = Wire()
            out = stream(wire, keepalive=0.01)
            async with asyncio.timeout(5):
                while len(wire.bodies) < 2:
                    wire.sent.clear()
                    await wire.sent.wait()
            await out.close()
            return wire.messages

        start, *bodies = asyncio.run(write())

        assert 200 == start["status"]
        assert {KEEPALIVE} == {body["body"] for body in bodies}

    def test_never_splits_an_event(self) -> None:
        """A comment stands between frames, whatever the timing."""

        async def write() -> bytes:
            wire = Wire()
            out = stream(wire, keepalive=0.001)
            for number in range(50):
                await out.on_event(text_event(str(number)))
                await asyncio.sleep(0.001)
            await out.finish(USAGE)
            await out.close()
            return wire.text

        frames = asyncio.run(write()).split(b"\n\n")

        assert all(one in (b"", KEEPALIVE.strip()) or one.startswith(b"data: ") for one in frames)
        texts = [json.loads(one[6:]) for one in frames if one.startswith(b"data: {")]
        assert [str(number) for number in range(50)] == [t["choices"][0]["delta"]["content"] for t in texts]

    def test_stops_with_the_stream(self) -> None:
        """Nothing is sent once the stream is closed."""

        async def write() -> tuple[int, int]:
            wire = Wire()
            out = stream(wire, keepalive=0.005)
            await out.on_event(Event())
            await out.close()
            before = len(wire.messages)
            await asyncio.sleep(0.03)
            return before, len(wire.messages)

        before, after = asyncio.run(write())

        assert before == after
