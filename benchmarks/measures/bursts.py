"""Whole streams of 100 chunks, as fast as they come; and the time until the first words of one."""

from __future__ import annotations

import math
from typing import Final

from benchmarks.load import load
from benchmarks.plan import Plan
from benchmarks.standing import Standing
from benchmarks.streams import firsts
from benchmarks.targets.target import BURST

CHUNKS: Final = 100
CONNECTIONS: Final = 8
LONGEST: Final = 8
"""Seconds."""


def measure(standing: Standing, plan: Plan) -> dict[str, float]:
    """Run streams one after the other, then with eight connections."""
    request = standing.request(BURST, stream=True)
    one = firsts(standing, request, plan.firsts)
    # Long enough for some streams of each connection, also where one takes a second.
    enough = min(LONGEST, math.ceil(4 * CONNECTIONS * one.whole / 1e6))
    many = load(standing, request, connections=CONNECTIONS, seconds=max(plan.many, enough))
    return {
        "first_words_ms": one.p50 / 1000,
        "whole_stream_ms": one.whole / 1000,
        "burst_chunks_per_s": many.per_second * CHUNKS,
        "burst_cpu_us": many.cpu_each / CHUNKS,
    }
