"""SIGKILL in the middle of a thousand streams."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN
from tests.machine.halting import halting
from tests.machine.row import Row
from tests.machine.talk import stored
from tests.machine.told import Told
from tests.machine.zero import Zero

STREAMS: Final = 1_000
EARLIER: Final = 50
KEYED: Final = 100
LATER: Final = 60
_SECONDS: Final = 60.0
_TURN: Final = {"model": "zero", "stream": True, "messages": [{"role": "user", "content": "and this?"}]}


def killed_amid_streams(folder: Path, streams: int = STREAMS) -> Row:
    """Kill a gateway when so many streams, all in sessions, have begun and none has ended; start it again."""
    told = Told()
    with FakeUpstream() as upstream, Zero(folder, upstream_configuration(upstream)) as zero:
        for n in range(EARLIER):
            assert told.turn(zero, f"k{n}").complete
        usual = zero.started_in
        upstream.play(halting("half"))
        broken = asyncio.run(_streams_until_killed(zero, streams))
        assert [b""] * streams == broken, "none of them had an end, good or bad"
        upstream.reset()
        zero.restart()
        assert zero.started_in < usual + 2, f"{zero.started_in:.1f} s instead of {usual:.1f} s"
        assert all([] == stored(zero, f"k{n}") for n in range(EARLIER, streams, 37)), "no half turn"
        # A key that a dead run has is free for the same request.
        assert told.turn(zero, "k0", headers={"Idempotency-Key": "0"}).complete
        for n in range(EARLIER - 10, LATER):
            assert told.turn(zero, f"k{n}").complete, zero.log
        lost = told.lost(zero)
        interrupted = zero.log.count("was interrupted: its process is gone")
        assert 20 == interrupted
        assert f"{streams - interrupted} more runs were interrupted" in zero.log
        assert "Traceback" not in zero.log, zero.log
    return Row(
        f"kill -9 amid {streams} streams",
        "streams cut, without finish_reason and [DONE]",
        lost,
        f"{zero.started_in:.1f} s after the start (usually {usual:.1f} s)",
    )


async def _streams_until_killed(zero: Zero, streams: int) -> list[bytes]:
    """Begin so many streams, wait until each has half of its answer, kill, and return what else came of each."""
    begun = 0
    all_begun = asyncio.Event()

    async def one(n: int) -> bytes:
        nonlocal begun
        keyed = f"Idempotency-Key: {n}\r\n" if n < KEYED else ""
        body = json.dumps(_TURN)
        reader, writer = await asyncio.open_connection("127.0.0.1", zero.port)
        writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{keyed}"
            f"x-zero-session-key: k{n}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            f"{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        await reader.readuntil(b'"half"')
        await reader.readuntil(b"\n\n")
        begun += 1
        if begun == streams:
            all_begun.set()
        try:
            rest = await reader.read()
        except ConnectionResetError:
            rest = b""
        writer.close()
        # What ends an event or an HTTP chunk is no word of the gateway's.
        return rest.replace(b": keepalive", b"").strip()

    async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(n)) for n in range(streams)]
        await all_begun.wait()
        zero.process.kill()
    return [task.result() for task in tasks]
