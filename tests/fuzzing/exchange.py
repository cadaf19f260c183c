"""One chat completion inside this process, from the bytes a client or an upstream sends to those that it is answered.

Owns the gateway and its event loop. What the bytes are, and what is right, is ``targets``'s business.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.application import Gateway
from app.config import load
from app.engines.upstream.chunk import UpstreamErrorEvent, event_of_completion
from app.engines.upstream.chunk_reader import ChunkReader
from app.engines.upstream.failure import failure_of_error, failure_of_response
from app.runs.event import Event
from app.runs.turn import Turn
from tests.doors.client import CHAT
from tests.live_gateway import TOKEN, configuration

SECONDS: Final = 10.0
"""The longest that an exchange may take: none of it waits for anything."""


class Answered(NamedTuple):
    """What a client gets to see."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Played:
    """An engine that reads what it is to answer from bytes, the way ``UpstreamEngine`` reads them from a connection.

    Attributes:
        status: The upstream's status.
        pieces: The body, as the connection brings it.
    """

    def __init__(self) -> None:
        self.status = 200
        self.pieces: Sequence[bytes] = ()
        self.whole = False

    def run(self, turn: Turn) -> AsyncIterator[Event]:
        """Unused: ``batches`` is asked in its place."""
        raise NotImplementedError

    async def batches(self, _turn: Turn) -> AsyncIterator[Event | list[Event]]:
        """See ``UpstreamEngine``."""
        if self.status != 200:
            raise failure_of_response("played", self.status, b"".join(self.pieces), None)
        try:
            if self.whole:
                yield [event_of_completion(b"".join(self.pieces))]
                return
            chunks = ChunkReader()
            for piece in (*self.pieces, b""):
                if chunks.over:
                    break
                chunks.feed(piece)
                while chunks.waiting:
                    yield chunks.batch()
        except UpstreamErrorEvent as problem:
            raise failure_of_error("played", 0, problem.fields) from problem

    async def close(self) -> None:
        """Hold nothing."""


class Exchange:
    """A gateway, and a client and an upstream that are bytes.

    Args:
        folder: An empty folder for its configuration.
    """

    def __init__(self, folder: Path) -> None:
        agents = [{"id": "main", "model": "echo/echo"}, {"id": "played", "model": "played/m"}]
        config = configuration(
            agents={"list": agents},
            gateway={"http": {"endpoints": {"chatCompletions": {"sessionFromUser": False, "keepaliveSeconds": 0}}}},
            models={"providers": {"played": {"baseUrl": "http://127.0.0.1:9/v1"}}},
        )
        file = folder / "zero.json"
        file.write_text(json.dumps(config))
        self._gateway = Gateway(load(file, {}), {"HOME": str(folder)})
        self.upstream = Played()
        engines = self._gateway.engines
        known = engines.engine_for
        engines.engine_for = lambda provider: self.upstream if provider == "played" else known(provider)  # type: ignore[method-assign]  # its HTTP client is what is replaced
        self._loop = asyncio.new_event_loop()

    def ask(self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answered:
        """Post a body as a client would; nothing of it is kept afterwards.

        Raises:
            TimeoutError: If no answer is complete in time.
        """
        return self._loop.run_until_complete(asyncio.wait_for(self._ask(body, headers), SECONDS))

    def close(self) -> None:
        """Close the event loop."""
        self._loop.close()

    async def _ask(self, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Answered:
        sent: list[Any] = []
        unread = [{"type": "http.request", "body": body, "more_body": False}]
        over = asyncio.Event()
        scope: Any = {
            "type": "http", "method": "POST", "path": CHAT, "raw_path": CHAT.encode(), "query_string": b"",
            "root_path": "", "scheme": "http", "http_version": "1.1", "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 18789), "state": {}, "extensions": {}, "asgi": {"version": "3.0"},
            "headers": [
                (b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + TOKEN.encode()),
                (b"content-type", b"application/json"), (b"x-zero-task", b"1"), *headers,
            ],
        }  # fmt: skip

        async def receive() -> Any:
            if unread:
                return unread.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._gateway.app(scope, receive, send)
        over.set()
        start, *rest = sent
        return Answered(start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in rest))
