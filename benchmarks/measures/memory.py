"""Memory: idle after work, and with streams open whose chunks come a second apart."""

from __future__ import annotations

import time

from benchmarks.plan import Plan
from benchmarks.standing import Standing
from benchmarks.streams import held
from benchmarks.targets.target import SILENT, SLOW


def measure(standing: Standing, plan: Plan) -> dict[str, float]:
    """Open the plan's number of streams over an idle target."""
    time.sleep(0.5)
    idle = standing.server.memory_mib
    values = {"idle_mib": idle}
    if not standing.target.streams:
        return values
    with held(standing, standing.request(SLOW, stream=True), plan.held) as streams:
        streams.flow(1.5)
        full = standing.server.memory_mib
    return {**values, "held_mib": full, "stream_kib": (full - idle) * 1024 / plan.held}


def settled(standing: Standing) -> None:
    """Let a target do something of everything, then wait until it is at rest: what is done only once is over then."""
    with held(standing, standing.request(SLOW, stream=True), 20) as streams:
        streams.flow(1.2)
    for _ in range(40):
        before = standing.server.cpu_seconds
        time.sleep(0.25)
        if standing.server.cpu_seconds - before < 0.0025:
            break


def crowd(standing: Standing, plan: Plan) -> dict[str, float]:
    """Open as many streams as one worker must be able to hold; none may fail while they are watched."""
    settled(standing)
    idle = standing.server.memory_mib
    with held(standing, standing.request(SLOW, stream=True), plan.crowd) as streams:
        flow = streams.flow(5.0)
        full = standing.server.memory_mib
    return {
        "crowd_mib": full,
        "crowd_stream_kib": (full - idle) * 1024 / plan.crowd,
        "crowd_cpu_us": flow.cpu_each,
        "crowd_chunks_per_s": flow.chunks / flow.seconds,
    }


def silence(standing: Standing, plan: Plan) -> dict[str, float]:
    """Watch streams in which nothing happens: processor time of one in a second, over an idle target's."""
    settled(standing)
    before, began = standing.server.cpu_seconds, time.perf_counter()
    time.sleep(2.0)
    idle = (standing.server.cpu_seconds - before) / (time.perf_counter() - began)
    with held(standing, standing.request(SILENT, stream=True), plan.held) as streams:
        streams.flow(1.0)  # until the openings are over
        flow = streams.flow(4.0)
    return {"idle_cpu_us_per_s": idle * 1e6, "silent_cpu_us_per_s": (flow.cpu / flow.seconds - idle) * 1e6 / plan.held}
