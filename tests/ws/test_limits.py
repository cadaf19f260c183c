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
from tests.ws.answers import LATE, begun, halting, sent
from tests.ws.client import SECONDS, Client, Frame, Refused, handshake, new_key, text_of
from tests.ws.process import AS_ZERO_GATEWAY, MIB, memory, open_sockets, peak_memory
from tests.ws.raw import PING, RawClient

CLIENTS = 200
STREAMS = 200


class TestSlowReader:
    """A client that doesn't read what it asked for."""

    def test_it_is_dropped_and_nobody_else_notices(
        self, start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream
    ) -> None:
        """Its socket and its memory are free at once, though it holds its end open; others are answered meanwhile.

        Its run goes on to the end. The events of this answer are 9 MB, more than there is room for between the two.
        """
        upstream.play(stream(*words("hi")), stream(*words(*["x" * 20_000] * 150)))
        live = start_gateway(upstream_configuration(upstream), arguments=AS_ZERO_GATEWAY)
        with Client(live).admitted() as other:
            other.run("so that all is open that stays open")
            sockets, began = open_sockets(live), peak_memory(live)
            with RawClient(live.port).admitted() as slow:
                run = new_key()
                slow.request("agent", {"message": "hi", "idempotencyKey": run})
                upstream.wait(2)
                longest, count, deadline = 0.0, 2, time.monotonic() + SECONDS
                while count > 1 and time.monotonic() < deadline:
                    asked = time.monotonic()
                    count = other.call("status")["connections"]
                    longest = max(longest, time.monotonic() - asked)

                assert 1 == count
                assert "ok" == other.call("agent.wait", {"runId": run})["status"]
                assert sockets == settled(lambda: open_sockets(live), sockets)
                assert peak_memory(live) - began < 32 * MIB
                assert longest < 2
                assert "dropped, slow consumer" in live.log

    def test_whatever_the_server(self, start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream) -> None:
        """uvicorn as it is doesn't give the socket away, and keeps it; the gateway's part is free all the same."""
        upstream.play(stream(*words("hi")), stream(*words(*["x" * 20_000] * 150)))
        live = start_gateway(upstream_configuration(upstream))
        with Client(live).admitted() as other, RawClient(live.port).admitted() as slow:
            other.run("so that all is loaded that stays loaded")
            began = peak_memory(live)
            slow.request("agent", {"message": "hi", "idempotencyKey": new_key()})

            assert 1 == settled(lambda: other.call("status")["connections"], 1)
            assert peak_memory(live) - began < 32 * MIB

    def test_one_that_reads_gets_everything(self, client: Client, upstream: FakeUpstream) -> None:
        """As much in all as would be too much at once."""
        role, *pieces, end, usage, done = words(*["x" * 8_500] * 60)
        paced = [step for piece in pieces for step in (piece, Pause())]
        upstream.play(stream(role, *paced, end, usage, done))
        request, _ = begun(client)
        exchange, sizes = upstream.wait(), []
        for _ in pieces:
            sizes.append(len(client.event("agent", stream="assistant")["data"]["text"]))
            exchange.release()

        assert [8_500 * (number + 1) for number in range(60)] == sizes
        assert sum(sizes) > 8 * MIB
        assert "ok" == client.result(request)["status"]

    def test_pings_are_not_answered_without_end(self, start_gateway: Callable[..., LiveGateway]) -> None:
        """A client that asks and doesn't read the answers gets no more of them than there is room for."""
        live = start_gateway(arguments=AS_ZERO_GATEWAY)
        with RawClient(live.port).admitted() as slow:
            for _ in range(50):  # what is parsed at once takes some memory, but not for long
                slow.frame(PING, bytes(125), times=1_500)
            began = peak_memory(live)
            for _ in range(300):  # their answers are 54 MiB
                slow.frame(PING, bytes(125), times=1_500)

            assert 200 == ask(live, "GET", "/healthz").status
            assert peak_memory(live) - began < 32 * MIB


def test_memory_of_those_that_are_gone_is_free(start_gateway: Callable[..., LiveGateway]) -> None:
    """At once: what they said and were told doesn't wait for a garbage collector, which counts objects, not bytes."""
    live = start_gateway(app="tests.ws.uncollected:gateway", arguments=AS_ZERO_GATEWAY)
    with Client(live).admitted() as other:
        other.run("so that all is loaded that stays loaded")
        began = memory(live)
        for _ in range(25):
            run = new_key()
            with RawClient(live.port).admitted() as slow:
                slow.request("agent", {"message": "x" * (8 * MIB), "idempotencyKey": run})
                slow.read()
            assert "ok" == other.call("agent.wait", {"runId": run})["status"]
        assert 1 == settled(lambda: other.call("status")["connections"], 1)

    # 64 MiB are the results that are remembered.
    assert memory(live) - began < 256 * MIB


class TestAnswers:
    """Answers of any size, to clients that read them."""

    def test_one_that_is_larger_than_the_buffer_arrives(self, client: Client) -> None:
        """As large as a request may be. Its events soon repeat nothing, but all of them together are the text."""
        text = "x" * (9 * MIB)

        assert text == text_of(client.run(text, agentId="echo"))
        deltas = [event["data"] for event in client.events("agent", stream="assistant")]
        assert text == "".join(data["delta"] for data in deltas)
        assert all(len(data.get("text", "")) <= MIB // 2 for data in deltas)
        assert "text" not in deltas[-1]

    def test_one_that_is_larger_than_a_frame_is_a_failure(self, client: Client, upstream: FakeUpstream) -> None:
        """Which says so, and what to do. The connection stays, and the turn is there."""
        upstream.play(stream(*words(*["x" * 500_000] * 35)))
        request, run = begun(client)
        with pytest.raises(Refused) as failure:
            client.result(request)

        assert ("INVALID_REQUEST", "response_too_large") == (failure.value.code, failure.value.details["code"])
        assert "policy.maxPayload" in failure.value.message
        assert "ok" == client.call("agent.wait", {"runId": run})["status"]

    def test_many_at_once_arrive(self, live: LiveGateway, dial: Callable[..., Client], key: str) -> None:
        """Asked for without reading: 40 MB of answers. They wait until they are read."""
        session = key.replace("main", "echo")
        other = dial().admitted()
        other.run("x" * 200_000, sessionKey=session)
        with RawClient(live.port).admitted() as client:
            for _ in range(100):
                client.request("chat.history", {"sessionKey": session})
            for _ in range(100):
                other.call("chat.history", {"sessionKey": session})
            answers = [client.read()[1] for _ in range(100)]

        assert 100 == sum(b'"ok":true' in answer and len(answer) > 400_000 for answer in answers)

    def test_an_endless_id_is_not_repeated(self, client: Client) -> None:
        """Neither a request's nor that of something else; it is answered as what has none."""
        client.request("health", id="x" * 16_384)
        client.request("health", id="x" * 16_385)
        client.send({"type": "nonsense", "id": "x" * (10 * MIB)})

        assert client.response("x" * 16_384)["ok"]
        assert [True, False] == sorted((client.response("invalid")["ok"] for _ in range(2)), reverse=True)


def test_requests_under_way_are_bounded_in_bytes(client: Client, upstream: FakeUpstream) -> None:
    """Their frames are kept until they are answered. One too many is told to come back; the connection stays."""
    upstream.play(LATE)
    for number in range(2):
        begun(client, "x" * (11 * MIB))
        upstream.wait(number + 1)
    with pytest.raises(Refused) as failure:
        client.call("agent", {"message": "x" * (11 * MIB), "idempotencyKey": new_key()})

    assert ("UNAVAILABLE", True) == (failure.value.code, failure.value.error["retryable"])
    assert client.call("health")["ok"]
    for exchange in upstream.exchanges:
        exchange.release()


class TestRunsUnderWay:
    """Turns of ``chat.send`` are answered at once and go on: they are bounded, too. The refused can be tried again."""

    def test_in_number(self, client: Client, dial: Callable[..., Client], upstream: FakeUpstream, key: str) -> None:
        """256 of one connection, whatever their sessions. When they are over there is room again."""
        upstream.play(LATE)
        keys = [f"{key}{number}" for number in range(8)]
        runs = [sent(client, one) for one in keys for _ in range(32)]
        for refused in ("chat.send", "agent"):
            with pytest.raises(Refused) as failure:
                client.call(refused, {"message": "hi", "idempotencyKey": new_key(), "sessionKey": key})
            assert ("UNAVAILABLE", True) == (failure.value.code, failure.value.error["retryable"])

        again = client.call("chat.send", {"message": "hi", "idempotencyKey": runs[0], "sessionKey": keys[0]})
        assert "in_flight" == again["status"]
        other = dial().admitted()
        last = sent(other, keys[0])
        assert 257 == sum(len(client.call("chat.abort", {"sessionKey": one})["runIds"]) for one in reversed(keys))
        assert "aborted" == other.event("chat", runId=last)["state"]
        client.call("agent.wait", {"runId": runs[-1]})
        sent(client, key.replace("main", "echo"))

    def test_in_bytes(self, client: Client, upstream: FakeUpstream, key: str) -> None:
        """32 MiB of what was said, though the answers came long ago."""
        upstream.play(LATE)
        for _ in range(2):
            sent(client, key, "x" * (11 * MIB))
        with pytest.raises(Refused) as failure:
            sent(client, key, "x" * (11 * MIB))

        assert ("UNAVAILABLE", True) == (failure.value.code, failure.value.error["retryable"])
        sent(client, key)
        assert 3 == len(client.call("chat.abort", {"sessionKey": key})["runIds"])


class TestGone:
    """Clients that are no longer there, or never were."""

    def test_one_that_vanished_is_cut_off(self, start_gateway: Callable[..., LiveGateway]) -> None:
        """As soon as it doesn't answer a ping, whatever still waits for it."""
        impatience = ("--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3")
        live = start_gateway(arguments=(*AS_ZERO_GATEWAY, *impatience))
        sockets = open_sockets(live)
        with RawClient(live.port).admitted() as gone:
            gone.request("agent", {"message": "x" * (5 * MIB // 2), "idempotencyKey": new_key()})

            assert sockets == settled(lambda: open_sockets(live), sockets)

    def test_one_that_never_said_who_it_is(self, impatient: LiveGateway) -> None:
        """Its socket is closed soon after its time is up, though it doesn't answer the goodbye."""
        sockets = settled(lambda: open_sockets(impatient))
        strangers = [RawClient(impatient.port) for _ in range(10)]
        try:
            assert sockets + 10 == open_sockets(impatient)
            assert sockets == settled(lambda: open_sockets(impatient), sockets, seconds=6)
        finally:
            for stranger in strangers:
                stranger.close()


def settled(measure: Callable[[], int], wanted: int | None = None, *, seconds: float = SECONDS) -> int:
    """Return a number once it is what is wanted, or else doesn't change for a moment; or when the time is up."""
    deadline, last = time.monotonic() + seconds, -1
    while time.monotonic() < deadline:
        number = measure()
        if number == (last if wanted is None else wanted):
            return number
        last = number
        time.sleep(0.05)
    return measure()


def test_many_clients_of_both_doors(
    start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 WebSocket clients and 200 HTTP streams, all open at the same moment on one worker: none of them fails."""
    upstream.play(halting("Hel", "lo"))
    live = start_gateway(upstream_configuration(upstream), arguments=AS_ZERO_GATEWAY)
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
