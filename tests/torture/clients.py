"""Clients of a soak: all kinds of requests, a tenth of them given up at a random moment.

Owns what a client sends, what it must get, and when it leaves. How many there are at a time is ``load``'s business.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.live_gateway import TOKEN
from tests.torture.upstream import SAID
from tests.ws.client import handshake, new_key

ABORTED: Final = 0.1
SECONDS: Final = 60.0
SESSIONS: Final = 100
ANEW: Final = 0.2
"""How often a session begins anew: what a session may grow to is known, and isn't what a soak is about. So all of them
are soon as long as they will ever be."""
WEIGHTS: Final = {"json": 28, "stream": 28, "session": 16, "keyed": 10, "websocket": 8, "wrong": 5, "list": 5}
MOMENTS: Final = ("connected", "head", "body", "asked", "begun")


class _Left(Exception):
    """The client has gone, as it wanted."""


class Clients:
    """Asks one gateway.

    Args:
        port: Where it is.
        chance: What is asked, and when is left.

    Attributes:
        counts: What was asked, and what became of it.
        wrong: What should not have happened, the first of it.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port = port
        self._chance = chance

    async def one(self, kind: str = "", leaves: str | None = None) -> None:
        """Do what one client does.

        Args:
            kind: What it asks for; by chance if nothing is said.
            leaves: When it leaves: one of the moments, empty for never, by chance for ``None``.
        """
        kind = kind or self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if leaves is None:
            leaves = self._chance.choice(MOMENTS) if self._chance.random() < ABORTED else ""
        try:
            async with asyncio.timeout(SECONDS):
                await (self._websocket(leaves) if kind == "websocket" else self._http(kind, leaves))
            self.counts[kind] += 1
        except _Left:
            self.counts[f"{kind}, left when {leaves}"] += 1
        except (TimeoutError, AssertionError, OSError, EOFError, ConnectionClosed) as error:
            self.counts["not as it must be"] += 1
            if len(self.wrong) < 20:
                self.wrong.append(f"{kind} ({leaves}): {error!r}"[:400])

    async def begin_anew(self, session: int) -> None:
        """Have one of the sessions forget what was said in it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(_said("/new", {"x-zero-session-key": f"soak-{session}"}))
            said = await _whole(reader, await reader.readuntil(b"\r\n\r\n"))
            assert "A new session has begun." in said, said
        finally:
            writer.close()

    async def _http(self, kind: str, leaves: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            if leaves == "connected":
                raise _Left
            for _ in range(self._chance.choice((1, 1, 2, 3))):
                await self._request(kind, leaves, reader, writer)
        finally:
            if leaves:
                writer.transport.abort()
            else:
                writer.close()

    async def _request(
        self, kind: str, leaves: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head, body, expected = self._composed(kind)
        data = head + body
        if leaves in ("head", "body"):
            cut = self._chance.randrange(1, len(head)) if leaves == "head" else len(head) + len(body) // 2
            writer.write(data[:cut])
            await asyncio.sleep(0)
            raise _Left
        writer.write(data)
        if leaves == "asked":
            await asyncio.sleep(self._chance.uniform(0, 0.05))
            raise _Left
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        assert status == expected, answer
        streamed = b"text/event-stream" in answer
        if leaves == "begun":
            if streamed:
                await reader.readuntil(b"\n\n")
            raise _Left
        said = await (_events(reader) if streamed else _whole(reader, answer))
        if kind in ("json", "stream", "session", "keyed"):
            assert SAID in said or "A new session has begun." in said, said

    def _composed(self, kind: str) -> tuple[bytes, bytes, int]:
        headers, path, expected = {"Authorization": f"Bearer {TOKEN}"}, "/v1/chat/completions", 200
        streamed = kind == "stream" or (kind in ("session", "keyed") and self._chance.random() < 0.5)
        text = "How is it? " * self._chance.randrange(1, 40)
        if kind == "session":
            headers["x-zero-session-key"] = f"soak-{self._chance.randrange(SESSIONS)}"
            text = "/new" if self._chance.random() < ANEW else text
        elif kind == "keyed":
            headers["Idempotency-Key"] = new_key()
        elif kind == "wrong":
            expected = self._chance.choice((400, 401, 404))
            path = "/v1/nothing" if expected == 404 else path
            if expected == 401:
                headers["Authorization"] = "Bearer wrong"
        elif kind == "list":
            path = self._chance.choice(("/v1/models", "/healthz", "/readyz", "/v1/zero/sessions?limit=5"))
        payload: dict[str, Any] = {"model": "zero", "stream": streamed, "messages": [{"role": "user", "content": text}]}
        body = b"" if kind == "list" else json.dumps({} if expected == 400 else payload).encode()
        lines = [f"{'GET' if kind == 'list' else 'POST'} {path} HTTP/1.1", "Host: soak", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode(), body, expected

    async def _websocket(self, leaves: str) -> None:
        socket = await connect(f"ws://127.0.0.1:{self._port}/", compression=None, open_timeout=SECONDS)
        try:
            if leaves in ("connected", "head"):
                raise _Left
            await _call(socket, "connect", handshake())
            if leaves == "body":
                raise _Left
            key = f"agent:main:soak-{self._chance.randrange(SESSIONS)}"
            params = {"message": "How is it?", "sessionKey": key, "idempotencyKey": new_key()}
            accepted = await _call(socket, "agent", params)
            assert accepted["status"] == "accepted", accepted
            if leaves:
                await asyncio.sleep(self._chance.uniform(0, 0.05))
                raise _Left
            answer = await _answer(socket, "agent")
            assert SAID == "".join(one["text"] for one in answer["result"]["payloads"]), answer
        finally:
            if leaves:
                socket.transport.abort()
            await socket.close()


def _said(text: str, headers: dict[str, str]) -> bytes:
    """Return the request that says something, for an answer in one piece."""
    body = json.dumps({"model": "zero", "messages": [{"role": "user", "content": text}]}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: soak", f"Content-Length: {len(body)}"]
    lines += [*(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


async def _call(socket: ClientConnection, method: str, params: dict[str, Any]) -> Any:
    await socket.send(json.dumps({"type": "req", "id": method, "method": method, "params": params}))
    return await _answer(socket, method)


async def _answer(socket: ClientConnection, request: str) -> Any:
    while True:
        frame = json.loads(await socket.recv())
        if frame["type"] == "res" and frame["id"] == request:
            assert frame["ok"], frame
            return frame["payload"]


async def _whole(reader: asyncio.StreamReader, head: bytes) -> str:
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return (await reader.readexactly(length)).decode()


async def _events(reader: asyncio.StreamReader) -> str:
    """Read a chunked stream to its end; return what it said."""
    said = ""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        for line in (await reader.readexactly(size + 2)).splitlines():
            if line.startswith(b"data: {"):
                frame = json.loads(line[6:])
                assert "error" not in frame, frame
                said += "".join(choice["delta"].get("content") or "" for choice in frame["choices"])
    await reader.readexactly(2)
    return said
