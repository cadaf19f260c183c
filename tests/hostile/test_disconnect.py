"""docs/security.md, "Clients": a client that leaves takes its run along, in whatever phase that is, within 100 ms."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pytest

from tests.doors.client import post
from tests.fakes.script import Pause, Repeat, Script, chunk, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.hostile.wire import BODY, PROBE, Wire, asking, measured, soon
from tests.live_gateway import LiveGateway

Start = Callable[..., LiveGateway]
WITHIN = 0.1
TIMES = 9
HELLO = event(chunk({"content": "Hello,"}))
PHASES: dict[str, Script] = {
    "before the head": [Pause()],
    "before the first token": stream(Pause()),
    "mid-stream": stream(HELLO, Pause()),
    "flowing": stream(Repeat(HELLO)),
}

LANES: dict[str, tuple[str, list[str]]] = {
    "the agent's": ("narrow", []),
    "the session's": ("main", ["x-zero-session-key: queue"]),
}


def told(what: str, took: list[float]) -> float:
    """Show what was measured; return its median."""
    measured(f"{what}: median {median(took) * 1000:.1f} ms of {len(took)}, at most {max(took) * 1000:.1f} ms")
    return median(took)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ahead", [b"", PROBE], ids=["alone", "with a request ahead"])
def test_the_upstream_is_let_go(
    limited: Start, upstream: FakeUpstream, phase: str, streamed: bool, ahead: bytes
) -> None:
    """Its connection is closed within 100 ms: the median of nine, so that a busy machine fails nobody."""
    upstream.play(PHASES[phase])
    live = limited()
    took: list[float] = []
    for number in range(TIMES):
        with Wire(live) as wire:
            wire.send(asking("main", stream=streamed) + ahead)
            exchange = upstream.wait(number + 1)
            if streamed and phase in ("mid-stream", "flowing"):
                wire.until(b"Hello,")
            left = time.monotonic()
        took.append(exchange.wait_closed() - left)

    assert told(f"{phase}, {'streamed' if streamed else 'whole'}", took) < WITHIN


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("agent", "lines"), LANES.values(), ids=LANES)
def test_a_run_in_a_lane_is_over(
    limited: Start, upstream: FakeUpstream, agent: str, lines: list[str], streamed: bool
) -> None:
    """It gives its place back, and never reaches the upstream."""
    upstream.play(stream(Pause(), *words("late")))
    live = limited(maxRuns=2)
    took: list[float] = []
    with Wire(live) as first:
        first.send(asking(agent, *lines, stream=True))
        exchange = upstream.wait()
        for _ in range(TIMES):
            with Wire(live) as wire:
                wire.send(asking(agent, *lines, stream=streamed))
                soon(lambda: 503 == post(live, BODY).status)
            took.append(soon(lambda: 200 == post(live, BODY).status))
        exchange.release()
        first.until(b"[DONE]")

    assert told("in a lane", took) < WITHIN
    assert 1 == len(upstream.exchanges)
