"""How much one client may take, and how many clients there may be. The memory is read where Linux tells it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.doors.client import CHAT, ask
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway
from tests.official import Json
from tests.ws.answers import begun, halting
from tests.ws.client import SECONDS, Client, Frame, handshake, new_key
from tests.ws.process import MIB, memory, peak_memory

CLIENTS = 200
STREAMS = 200


class TestSlowReader:
    """A client that doesn't read what it asked for."""

    def test_it_is_dropped_and_nobody_else_notices(
        self, start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream
    ) -> None:
        """What waits for it stays bounded; others are answered meanwhile; its run goes on to the end.

        The text of ``agent`` events is cumulative: this answer of 3 MB is 226 MB of events.
        """
        upstream.play(stream(*words(*["x" * 20_000] * 150)))
        live = start_gateway(upstream_configuration(upstream))
        slow, other = Client(live).admitted(), Client(live).admitted()
        began = peak_memory(live)
        run = new_key()
        slow.request("agent", {"message": "hi", "idempotencyKey": run})
        longest, count, deadline = 0.0, 2, time.monotonic() + SECONDS
        while count > 1 and time.monotonic() < deadline:
            asked = time.monotonic()
            count = other.call("status")["connections"]
            longest = max(longest, time.monotonic() - asked)

        assert 1 == count
        assert "ok" == other.call("agent.wait", {"runId": run})["status"]
        assert peak_memory(live) - began < 64 * MIB
        assert longest < 2
        assert "the client doesn't read" in live.log
        assert slow.closed()[0] in (1006, 1008)
        assert len([frame for frame in slow.unread if frame["type"] == "event"]) < 150
        other.close()
        slow.close()

    def test_one_that_reads_gets_everything(self, client: Client, upstream: FakeUpstream) -> None:
        """As much in all as would be too much at once."""
        first, *pieces, end, usage, done = words(*["x" * 20_000] * 60)
        paced = [step for piece in pieces for step in (piece, Pause())]
        upstream.play(stream(first, *paced, end, usage, done))
        request, _ = begun(client)
        exchange, sizes = upstream.wait(), []
        for _ in pieces:
            sizes.append(len(client.event("agent", stream="assistant")["data"]["text"]))
            exchange.release()

        assert [20_000 * (number + 1) for number in range(60)] == sizes
        assert sum(sizes) > 4 * 8 * MIB
        assert "ok" == client.result(request)["status"]


def test_many_clients_of_both_doors(
    start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 WebSocket clients and 200 HTTP streams, all open at the same moment on one worker: none of them fails."""
    upstream.play(halting("Hel", "lo"))
    live = start_gateway(upstream_configuration(upstream))
    before = memory(live)
    figures = asyncio.run(_crowd(live, upstream))
    grown = memory(live) - before

    assert "Traceback" not in live.log
    assert 200 == ask(live, "GET", "/healthz").status
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}, memory +{grown / MIB:.0f} MiB for both\n")


async def _crowd(live: LiveGateway, upstream: FakeUpstream) -> str:
    """Open everything, hold it open, let it go on; return the figures."""
    everyone = asyncio.Event()
    connected = asyncio.Semaphore(0)
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        streams = [group.create_task(_stream(session, live, number)) for number in range(STREAMS)]
        clients = [group.create_task(_client(live, connected, everyone)) for _ in range(CLIENTS)]
        await asyncio.to_thread(upstream.wait, STREAMS, SECONDS)
        for _ in range(CLIENTS):
            await connected.acquire()
        opened = time.perf_counter() - began
        async with connect(f"ws://127.0.0.1:{live.port}/", compression=None) as socket:
            await _ask(socket, "connect", handshake())
            status = (await _ask(socket, "status", {}))[0]["payload"]
        assert (CLIENTS + 1, STREAMS) == (status["connections"], status["activeRuns"])
        released = time.perf_counter()
        everyone.set()
        for exchange in upstream.exchanges:
            exchange.release()
    assert {"Hello"} == {task.result() for task in streams}
    turns = sorted(task.result() for task in clients)
    return (
        f"{CLIENTS} WebSocket clients and {STREAMS} HTTP streams open after {opened:.2f} s; "
        f"then {CLIENTS} turns over WebSocket and the rest of the streams in {time.perf_counter() - released:.2f} s "
        f"(a turn: median {median(turns) * 1000:.0f} ms, 95 % within {quantiles(turns, n=20)[-1] * 1000:.0f} ms)"
    )


async def _stream(session: aiohttp.ClientSession, live: LiveGateway, number: int) -> str:
    """Read a stream to its end; return what it said."""
    body = {"model": "zero", "stream": True, "messages": [{"role": "user", "content": str(number)}]}
    headers = {"Authorization": f"Bearer {TOKEN}", "x-zero-session-key": f"stream-{number}"}
    async with session.post(f"{live.url}{CHAT}", json=body, headers=headers) as response:
        assert 200 == response.status
        events = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert "[DONE]" == events.pop()
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return "".join(delta.get("content", "") for delta in deltas)


async def _client(live: LiveGateway, connected: asyncio.Semaphore, everyone: asyncio.Event) -> float:
    """Connect, wait until everybody has, and have one turn; return the seconds that it took."""
    async with connect(f"ws://127.0.0.1:{live.port}/", compression=None, open_timeout=SECONDS) as socket:
        await _ask(socket, "connect", handshake())
        connected.release()
        await everyone.wait()
        began = time.perf_counter()
        run = {"message": "one two", "idempotencyKey": new_key(), "agentId": "echo"}
        frames = await _ask(socket, "agent", run, answers=2)
        seconds = time.perf_counter() - began
    assert "one two" == frames[-1]["payload"]["result"]["payloads"][0]["text"]
    numbers = [frame["seq"] for frame in frames if frame["type"] == "event"]
    assert [*range(numbers[0], numbers[0] + len(numbers))] == numbers
    return seconds


async def _ask(socket: Any, method: str, params: Json, *, answers: int = 1) -> list[Frame]:
    """Send a request; return all frames that come until its last answer."""
    await socket.send(json.dumps({"type": "req", "id": method, "method": method, "params": params}))
    frames: list[Frame] = []
    while answers:
        frame = json.loads(await asyncio.wait_for(socket.recv(), SECONDS))
        if frame["type"] == "event" and frame["event"] == "connect.challenge":
            continue
        assert frame.get("ok", True), frame
        answers -= frame["type"] == "res"
        frames.append(frame)
    return frames
