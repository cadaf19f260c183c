"""A scripted OpenAI-compatible service on a real loopback port, for misbehaviour that no real service shows on demand.

Runs in a thread of the test process. Owns the connections: it records what it was asked, performs a ``Script``, and
notes when its client goes away. Raw sockets rather than an HTTP server, because the faults are in the wire itself.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self, TypeAlias

from tests.fakes.script import (
    Close,
    Json,
    Pause,
    Repeat,
    Reset,
    Script,
    Send,
    Step,
    completion,
    error,
    stream,
    whole,
    words,
)

PATH: Final = "/v1/chat/completions"
WAIT_SECONDS: Final = 10.0
HELLO: Final = "Hello, wörld"
_REPEATED_PER_WRITE: Final = 64 * 1024
_Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
_NOT_HERE: Final = error(404, {"message": f"This service only has POST {PATH}.", "type": "invalid_request_error"})


class Exchange:
    """One request and what became of it. Attributes may be read from any thread.

    Attributes:
        method, path, headers, body: As they came; header names in lower case.
        sent: Bytes of the answer that the operating system has taken so far.
        progress_at: When it last took some, by ``time.monotonic()``.
        closed: Set when the client has closed the connection before the fake did.
        closed_at: When that was, by ``time.monotonic()``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, method: str, path: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = b""
        self.sent = 0
        self.progress_at = time.monotonic()
        self.closed = threading.Event()
        self.closed_at = 0.0
        self._loop = loop
        self._releases = asyncio.Semaphore(0)

    @property
    def json(self) -> Json:
        """The request's body."""
        return json.loads(self.body)

    def release(self) -> None:
        """Let the script go on behind its next ``Pause``."""
        self._loop.call_soon_threadsafe(self._releases.release)

    def wait_closed(self, timeout: float = WAIT_SECONDS) -> float:
        """Wait until the client has closed the connection; return when it did, by ``time.monotonic()``."""
        assert self.closed.wait(timeout), f"the connection was still open after {timeout} s"
        return self.closed_at

    async def perform(self, step: Step, writer: asyncio.StreamWriter) -> bool:
        """Do one step; return whether the connection is still of use."""
        match step:
            case Send(data):
                await self._send(writer, data)
            case Repeat(data):
                block = data * max(1, _REPEATED_PER_WRITE // len(data))
                while True:
                    await self._send(writer, block)
            case Pause():
                await self._releases.acquire()
            case Reset():
                # Lingering for no time at all is what turns a close into a reset.
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            case Close():
                return False
        return True

    def mark_closed(self) -> None:
        """Note that the client has gone."""
        self.closed_at = time.monotonic()
        self.closed.set()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)
        self.progress_at = time.monotonic()


class FakeUpstream:
    """Listens from construction until ``stop()``; a context manager. Says "Hello, wörld" unless told otherwise.

    Args:
        port: Where to listen, or 0 for a free port.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        accepted: How many connections were made to it so far.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.accepted = 0
        self._scripts: dict[str, list[Script]] = {}
        self._exchanges: list[Exchange] = []
        self._arrived = threading.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="fake-upstream", daemon=True)
        self._thread.start()
        assert listening.wait(WAIT_SECONDS), "the fake upstream does not listen"

    @property
    def base_url(self) -> str:
        """What goes into a provider's ``baseUrl``."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that came since the last ``reset``, in order."""
        with self._arrived:
            return list(self._exchanges)

    @property
    def last(self) -> Exchange:
        """The latest request."""
        return self.exchanges[-1]

    def play(self, *scripts: Script, model: str = "*") -> None:
        """Set what comes next.

        Args:
            scripts: Answers in order; the last one repeats.
            model: For requests of this model only; those that are set for ``*`` are for all others.
        """
        with self._arrived:
            self._scripts[model] = list(scripts)

    def reset(self) -> None:
        """Forget scripts and requests."""
        with self._arrived:
            self._scripts.clear()
            self._exchanges.clear()

    def wait(self, count: int = 1, timeout: float = WAIT_SECONDS) -> Exchange:
        """Wait until ``count`` requests have come; return the latest."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self._exchanges) >= count, timeout)
            assert arrived, f"{len(self._exchanges)} of {count} requests came within {timeout} s"
            return self._exchanges[-1]

    def stop(self) -> None:
        """Close every connection and stop listening."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive(), "the fake upstream does not stop"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, listening: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(listening))

    async def _listen(self, listening: threading.Event) -> None:
        server = await self._loop.create_server(lambda: _Protocol(self._loop, self._serve), "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._end.wait()
        server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine of the server"
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        self.accepted += 1
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Protocol), "made by _listen"
        # What `sent` counts is then with the operating system and not in a buffer of ours.
        writer.transport.set_write_buffer_limits(0)
        try:
            while (exchange := await self._read(reader)) is not None:
                protocol.current = exchange
                if not await self._answer(exchange, protocol, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    async def _answer(self, exchange: Exchange, protocol: _Protocol, writer: asyncio.StreamWriter) -> bool:
        """Perform a request's script; return whether the connection is still of use."""
        script = self._script_for(exchange)
        work = asyncio.create_task(_perform(script, exchange, writer))
        gone = asyncio.create_task(protocol.gone.wait())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            return work.done() and work.result()
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> Exchange | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        request, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _ = request.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        exchange = Exchange(self._loop, method, path, {name.lower(): value.strip() for name, value in pairs})
        exchange.body = await reader.readexactly(int(exchange.headers.get("content-length", "0")))
        with self._arrived:
            self._exchanges.append(exchange)
            self._arrived.notify_all()
        return exchange

    def _script_for(self, exchange: Exchange) -> Script:
        if (exchange.method, exchange.path) != ("POST", PATH):
            return _NOT_HERE
        with self._arrived:
            scripts = self._scripts.get(exchange.json["model"]) or self._scripts.get("*")
            if not scripts:
                asked = exchange.json
                return stream(*words("Hello,", " wörld")) if asked.get("stream") else whole(200, completion(HELLO))
            return scripts[0] if len(scripts) == 1 else scripts.pop(0)


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells at once when the client has gone, also while nobody reads from it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, serve: _Serve) -> None:
        super().__init__(asyncio.StreamReader(loop=loop), serve, loop=loop)
        self.gone = asyncio.Event()
        self.current: Exchange | None = None

    def eof_received(self) -> bool | None:
        self._note()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._note()
        super().connection_lost(exc)

    def _note(self) -> None:
        self.gone.set()
        if self.current is not None and not self.current.closed.is_set():
            self.current.mark_closed()


async def _perform(script: Script, exchange: Exchange, writer: asyncio.StreamWriter) -> bool:
    """Perform a script to its end; return whether the connection is still of use."""
    for step in script:
        if not await exchange.perform(step, writer):
            return False
    return True
