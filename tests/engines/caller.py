"""A client that believes nothing: it speaks HTTP by hand and checks each answer against OpenAI's published schemas.

Beside the shapes it checks what design.md ("Answer") promises of every stream: framing, one identity, one role and at
most one finish per choice, no success behind a failure, and the end.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from typing import Final, NamedTuple

from tests.fakes.script import Json
from tests.live_gateway import LiveGateway
from tests.official import validator

KEEPALIVE: Final = ": keepalive"
DONE: Final = "[DONE]"
SECONDS: Final = 15.0


class Whole(NamedTuple):
    """An answer in one piece."""

    status: int
    headers: Message
    body: Json

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Whole:
        """Read a response and check it against the schema that its status asks for."""
        data = response.read()
        assert response.headers["content-type"] == "application/json", data
        assert response.headers["x-request-id"]
        answer = cls(response.status, response.headers, json.loads(data))
        schema = "CreateChatCompletionResponse" if answer.status == 200 else "ErrorResponse"
        validator(schema).validate(answer.body)
        return answer

    @property
    def error(self) -> Json:
        """The error object, once it is sure that it is one."""
        assert self.status >= 400, self.body
        return self.body["error"]

    @property
    def text(self) -> str | None:
        """What the only choice says."""
        assert self.status == 200, self.body
        [choice] = self.body["choices"]
        text: str | None = choice["message"]["content"]
        return text


class OpenStream:
    """A stream that is being read, frame by frame."""

    def __init__(self, response: http.client.HTTPResponse, expected: int) -> None:
        self._response = response
        self._expected = expected
        self.headers = response.headers
        self._lines: list[str] = []

    def frame(self) -> Json:
        """Return the next frame: ``KEEPALIVE``, ``DONE`` or a payload. Raises EOFError at the end of the stream."""
        while (line := self._response.readline().decode()) != "\n":
            if not line:
                assert not self._lines, f"the stream ended within a frame: {self._lines}"
                raise EOFError
            assert line.endswith("\n"), "the stream ended within a line"
            assert "\r" not in line, "a carriage return"
            self._lines.append(line.removesuffix("\n"))
        [line], self._lines = self._lines, []
        if line == KEEPALIVE:
            return KEEPALIVE
        assert line.startswith("data: "), f"neither data nor keepalive: {line}"
        data = line.removeprefix("data: ")
        return DONE if data == DONE else json.loads(data)

    def rest(self, *before: Json) -> Streamed:
        """Read to the end; ``before`` are the frames that were read already."""
        frames = list(before)
        try:
            while True:
                frames.append(self.frame())
        except EOFError:
            return Streamed(self.headers, frames, self._expected)


class Streamed:
    """A whole stream, checked.

    Attributes:
        headers: Of the response.
        chunks: Its chunks.
        error: The error object it ended with, if it did.
        keepalives: How many comments there were.
    """

    def __init__(self, headers: Message, frames: list[Json], expected: int) -> None:
        assert frames, "an empty stream"
        assert frames[-1] == DONE, f"the last frame is not [DONE]: {frames[-1]}"
        payloads = [frame for frame in frames[:-1] if frame != KEEPALIVE]
        assert DONE not in payloads, "[DONE] in the middle"
        self.headers = headers
        self.keepalives = len(frames) - 1 - len(payloads)
        self.error: Json = None
        if payloads and "error" in payloads[-1]:
            failure = payloads.pop()
            validator("ErrorResponse").validate(failure)
            self.error = failure["error"]
        self.chunks: list[Json] = payloads
        self._check(expected)

    @property
    def usage(self) -> Json:
        """The usage of the last chunk; ``None`` if it tells none."""
        return self.chunks[-1].get("usage") if self.chunks else None

    @property
    def choices(self) -> list[Json]:
        """The choices of all chunks in order."""
        return [choice for chunk in self.chunks for choice in chunk["choices"]]

    def text(self, index: int = 0) -> str:
        """Return what a choice says."""
        return "".join(c["delta"].get("content") or "" for c in self.choices if c["index"] == index)

    def finish(self, index: int = 0) -> str | None:
        """Return a choice's finish reason."""
        reasons = [c["finish_reason"] for c in self.choices if c["index"] == index and c["finish_reason"]]
        assert len(reasons) <= 1, f"choice {index} ends {len(reasons)} times"
        return reasons[0] if reasons else None

    def _check(self, expected: int) -> None:
        for chunk in self.chunks:
            validator("CreateChatCompletionStreamResponse").validate(chunk)
        assert len({(c["id"], c["created"], c["model"]) for c in self.chunks}) <= 1, "more than one identity"
        seen: set[int] = set()
        ended: set[int] = set()
        for choice in self.choices:
            index = choice["index"]
            assert index not in ended, f"choice {index} goes on behind its end"
            assert ("role" in choice["delta"]) == (index not in seen), f"the role of choice {index} is not in its first"
            seen.add(index)
            if choice["finish_reason"] is not None:
                ended.add(index)
        if self.error is None:
            assert set(range(expected)) == ended, "a success with a choice that has no end"
        else:
            assert len(ended) < expected, "a failure with every choice ended"
            assert not self.usage, "a failure with a usage"


class Caller:
    """Asks a gateway.

    Args:
        gateway: Whom.
    """

    def __init__(self, gateway: LiveGateway) -> None:
        self._gateway = gateway

    @property
    def port(self) -> int:
        """Where the gateway listens, for requests that aren't for chat completions."""
        return self._gateway.port

    def ask(self, agent: str = "main", headers: Mapping[str, str] | None = None, **fields: Json) -> Whole:
        """Ask and read an answer in one piece, or an error.

        Args:
            agent: The agent.
            headers: Further headers.
            fields: Further or other fields of the body.
        """
        with self._response(agent, headers, fields) as response:
            return Whole.of(response)

    @contextmanager
    def open(
        self, agent: str = "main", headers: Mapping[str, str] | None = None, **fields: Json
    ) -> Iterator[OpenStream]:
        """Ask for a stream; yield it once its head has come. Leaving closes the connection."""
        with self._response(agent, headers, {"stream": True, **fields}) as response:
            assert response.status == 200, response.read()
            assert response.headers["content-type"] == "text/event-stream"
            assert response.headers["cache-control"] == "no-cache"
            assert response.headers["x-request-id"]
            yield OpenStream(response, fields.get("n", 1))

    def stream(self, agent: str = "main", headers: Mapping[str, str] | None = None, **fields: Json) -> Streamed:
        """Ask for a stream and read all of it."""
        with self.open(agent, headers, **fields) as stream:
            return stream.rest()

    @contextmanager
    def send(
        self, agent: str = "main", headers: Mapping[str, str] | None = None, **fields: Json
    ) -> Iterator[http.client.HTTPConnection]:
        """Ask and don't read; leaving closes the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=SECONDS)
        try:
            body = {"model": f"zero:{agent}", "messages": [{"role": "user", "content": "hi"}], **fields}
            given = {"Content-Type": "application/json", "Authorization": f"Bearer {self._gateway.token}"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {**given, **(headers or {})})
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _response(
        self, agent: str, headers: Mapping[str, str] | None, fields: Mapping[str, Json]
    ) -> Iterator[http.client.HTTPResponse]:
        with self.send(agent, headers, **fields) as connection, connection.getresponse() as response:
            yield response
