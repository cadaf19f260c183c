"""There are no file descriptors left: for connections that come, and for those to the upstream."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN
from tests.machine.halting import halting
from tests.machine.row import Row
from tests.machine.talk import SECONDS, get, say
from tests.machine.told import Told
from tests.machine.zero import Zero

FILES: Final = 64
FEW: Final = 256
CLIENTS: Final = 400
IDLE_SECONDS: Final = 1.0
_BODY: Final = json.dumps({"model": "zero", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
_REQUEST: Final = (
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
).encode() + _BODY


def no_descriptors_for_clients(folder: Path) -> Row:
    """Open more connections than the gateway has descriptors, then close them."""
    told = Told()
    with FakeUpstream() as upstream, Zero(folder, upstream_configuration(upstream), files=FILES) as zero:
        assert told.turn(zero, "k").complete
        with ExitStack() as connections:
            for _ in range(2 * FILES):
                connections.enter_context(socket.create_connection(("127.0.0.1", zero.port), timeout=SECONDS))
            seen = say(zero, "one more")
            assert not seen.complete
            began = zero.cpu_seconds
            time.sleep(IDLE_SECONDS)  # what is measured: that nothing is done meanwhile
            busy = (zero.cpu_seconds - began) / IDLE_SECONDS
            assert busy < 0.3, f"{busy:.0%} of a processor for nothing"
            assert zero.process.poll() is None
            assert 1 == zero.log.count("no file descriptors are left"), zero.log
        _until_healthy(zero)
        assert told.turn(zero, "k").complete, zero.log
        lost = told.lost(zero)
        assert "Traceback" not in zero.log, zero.log
        assert len(zero.log) < 10_000, zero.log
    return Row(f"no descriptors left ({FILES}) for clients", seen.told, lost, "as soon as connections close")


def no_descriptors_for_the_upstream(folder: Path) -> Row:
    """Take all descriptors but a few with streams under way, so that connections come in and none can go out."""
    told = Told()
    with FakeUpstream() as upstream, Zero(folder, upstream_configuration(upstream), files=FILES) as zero:
        assert told.turn(zero, "k").complete
        upstream.play(halting("a"))
        seen: set[str] = set()
        with ExitStack() as connections:
            for _ in range(FILES):
                one = connections.enter_context(socket.create_connection(("127.0.0.1", zero.port), timeout=SECONDS))
                one.sendall(_REQUEST)
                head = _beginning(one)
                if b" 200 " not in head.partition(b"\r\n")[0]:
                    seen.add(_in_words(head))
                    break
        assert seen == {"503 out_of_descriptors"}, seen
        upstream.reset()
        _until_healthy(zero)
        assert told.turn(zero, "k").complete, zero.log
        lost = told.lost(zero)
        assert "Traceback" not in zero.log, zero.log
    return Row(f"no descriptors left ({FILES}) for the upstream", ", ".join(seen), lost, "as soon as connections close")


def few_descriptors_at_the_start(folder: Path) -> Row:
    """Start a gateway under ``ulimit -n 256`` and ask it on 400 connections at once, with an upstream that halts."""
    told = Told()
    with FakeUpstream() as upstream, Zero(folder, upstream_configuration(upstream), files_at_start=FEW) as zero:
        assert f"maxConnections is 16384, but {FEW} file descriptors" in zero.log, zero.log
        assert told.turn(zero, "k").complete
        upstream.play(halting("a"))
        seen: Counter[str] = Counter()
        with ExitStack() as connections:
            for _ in range(CLIENTS):
                one = connections.enter_context(socket.create_connection(("127.0.0.1", zero.port), timeout=SECONDS))
                one.sendall(_REQUEST)
                head = _beginning(one)
                served = b" 200 " in head.partition(b"\r\n")[0]
                seen["200" if served else _in_words(head)] += 1
                if not served:
                    one.close()
            assert {"200", "503 connections_full"} == set(seen), seen
            assert 200 == get(zero, "/healthz")[0]
            assert 200 == get(zero, "/readyz")[0]
            assert "no file descriptors are left" not in zero.log, zero.log
        upstream.reset()
        _until_healthy(zero)
        deadline = time.monotonic() + 5
        while not told.turn(zero, "k").complete:
            assert time.monotonic() < deadline, zero.log
        lost = told.lost(zero)
        assert "Traceback" not in zero.log, zero.log
    many = ", ".join(f"{what} ({times} times)" for what, times in sorted(seen.items()))
    return Row(f"{CLIENTS} clients under ulimit -n {FEW}", many, lost, "as soon as connections close")


def _beginning(one: socket.socket) -> bytes:
    try:
        return one.recv(65536)
    except ConnectionResetError:
        return b""


def _in_words(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"{head.split()[1].decode()} {json.loads(body)['error']['code']}" if body else "connection closed"


def _until_healthy(zero: Zero) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            assert 200 == get(zero, "/healthz")[0]
            return
        except OSError:
            assert time.monotonic() < deadline, zero.log
