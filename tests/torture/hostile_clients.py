"""Clients that break the rules: one gateway with tight limits, and what each of them hears of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Repeat, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.hostile.test_floods import FLOODS
from tests.hostile.test_framing import AMBIGUOUS
from tests.hostile.wire import BODY, PROBE, Wire, asking, replies, request, sent_and_read, soon
from tests.live_gateway import merged
from tests.machine.halting import halting
from tests.machine.row import Row
from tests.machine.talk import get, say
from tests.machine.told import Told
from tests.machine.zero import Zero

LIMITS: Final = {
    "headSeconds": 0.5,
    "bodySeconds": 0.5,
    "requestSeconds": 2,
    "sendSeconds": 1,
    "maxConnections": 50,
}
MAX_RUNS: Final = 8
MAX_BODY: Final = 100_000
CLOSED: Final = "connection closed"
_AT_ONCE: Final = "never interrupted"


def hostile_clients(folder: Path) -> Iterator[Row]:
    """Do one thing after the other to the same gateway; between them turns have to work, and be there."""
    told = Told()
    with FakeUpstream() as upstream:
        limits = {
            "limits": {**LIMITS, "maxRuns": MAX_RUNS},
            "http": {"endpoints": {"chatCompletions": {"maxBodyBytes": MAX_BODY}}},
        }
        config = merged(upstream_configuration(upstream), {"gateway": limits})
        with Zero(folder, config) as zero:
            for name, (break_it, expected) in FAULTS.items():
                assert told.turn(zero, "k").complete
                asked = len(upstream.exchanges)
                seen = break_it(zero, upstream)
                assert expected in ("", seen), f"{name}: {seen}"
                if expected.startswith("400"):
                    assert asked == len(upstream.exchanges), f"{name}: a request that was refused is run"
                upstream.reset()
                assert 200 == get(zero, "/healthz")[0]
                assert told.turn(zero, "k").complete, f"{name}: {zero.log}"
                yield Row(f"client: {name}", seen, told.lost(zero), _AT_ONCE)
            assert "Traceback" not in zero.log, zero.log


def _sent(*pieces: bytes) -> Callable[[Zero, FakeUpstream], str]:
    def send(zero: Zero, _upstream: FakeUpstream) -> str:
        return _heard(zero, *pieces)

    return send


def _heard(zero: Zero, *pieces: bytes) -> str:
    try:
        answers = sent_and_read(zero, *pieces)
    except ConnectionError:
        return CLOSED
    return ", ".join(f"{one.status} {json.loads(one.body)['error']['code']}" for one in answers) or CLOSED


def _ambiguous(zero: Zero, _upstream: FakeUpstream) -> str:
    (seen,) = {_heard(zero, data, PROBE) for data in AMBIGUOUS.values()}
    return seen


def _floods(zero: Zero, _upstream: FakeUpstream) -> str:
    seen = {_heard(zero, begin + more * (90_000 // len(more))) for begin, more in FLOODS.values()}
    assert seen <= {"400 headers_too_large", "400 invalid_http"}, seen
    return ", ".join(sorted(seen))


def _half_heads(zero: Zero, _upstream: FakeUpstream) -> str:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(Wire(zero)).send(b"POST /v1/chat")
        assert say(zero, "x").complete
    return "others: 200"


def _crowd(zero: Zero, upstream: FakeUpstream) -> str:
    upstream.play(halting("a"))
    with ExitStack() as stack:
        asked = len(upstream.exchanges)
        for _ in range(MAX_RUNS):
            stack.enter_context(Wire(zero)).send(asking("main", stream=True))
        upstream.wait(asked + MAX_RUNS)
        assert 200 == get(zero, "/readyz")[0]
        return say(zero, "one more").told


def _leaves(zero: Zero, upstream: FakeUpstream) -> str:
    upstream.play(halting("a"))
    for n in range(10):
        asked = len(upstream.exchanges)
        with Wire(zero) as wire:
            wire.send(asking("main", stream=n % 2 == 0))
            exchange = upstream.wait(asked + 1)
            if n % 2 == 0:
                wire.until(b'"a"')
            left = time.monotonic()
        assert exchange.wait_closed() - left < 1, "the upstream is let go"
    return "nothing: it has gone, and its upstream connection with it"


def _reads_nothing(zero: Zero, upstream: FakeUpstream) -> str:
    upstream.play(stream(Repeat(event(chunk({"content": "x" * 1000})))))
    asked = len(upstream.exchanges)
    with Wire(zero, room=4096) as wire:
        wire.send(asking("main", stream=True))
        upstream.wait(asked + 1).wait_closed(20)
    return CLOSED


def _half_a_body(zero: Zero, upstream: FakeUpstream) -> str:
    asked = len(upstream.exchanges)
    with Wire(zero) as wire:
        wire.send(request(BODY)[:-9])
    soon(lambda: get(zero, "/healthz")[0] == 200)
    assert asked == len(upstream.exchanges)
    return "nothing: it has gone, and nothing was run"


def _beyond_its_length(zero: Zero, _upstream: FakeUpstream) -> str:
    with Wire(zero) as wire:
        answers = replies(wire.send(request() + b"}}}\r\n\r\n").rest())
    return ", ".join(f"{one.status}" for one in answers)


FAULTS: Final[dict[str, tuple[Callable[[Zero, FakeUpstream], str], str]]] = {
    "half a head, for ever": (_sent(b"POST /v1/chat"), "400 request_timeout"),
    "half a body, for ever": (_sent(request(BODY)[:-9]), "400 request_timeout"),
    "300 half heads at a time": (_half_heads, "others: 200"),
    "leaves in the middle of its body": (_half_a_body, ""),
    "a body beyond its length": (_beyond_its_length, "200, 400"),
    f"{len(AMBIGUOUS)} ways of bad framing and smuggling": (_ambiguous, "400 invalid_http"),
    f"{len(FLOODS)} floods of headers and framing": (_floods, ""),
    "a body that is too large": (_sent(request(b" " * (MAX_BODY + 1), "Connection: close")), "413 request_too_large"),
    "the same in chunks": (
        _sent(
            request(b"", "Transfer-Encoding: chunked", "Connection: close", length=False)
            + b"%x\r\n" % (MAX_BODY + 1)
            + b" " * (MAX_BODY + 1)
            + b"\r\n0\r\n\r\n"
        ),
        "413 request_too_large",
    ),
    "JSON 30,000 lists deep": (_sent(request(b'{"x": ' + b"[" * 30_000, "Connection: close")), "400 invalid_json"),
    "bytes that are no JSON": (_sent(request(b"\x00\xff\xfe", "Connection: close")), "400 invalid_json"),
    "more runs than there may be": (_crowd, "503 runs_full"),
    "leaves while it waits, or in mid-stream": (_leaves, ""),
    "reads nothing of an endless stream": (_reads_nothing, CLOSED),
}
"""What is done, and what is heard of it where that is one thing only."""
