"""Streams whose chunks come 20 ms apart: processor time for one chunk."""

from __future__ import annotations

from typing import Final

from benchmarks.plan import Plan
from benchmarks.standing import Standing
from benchmarks.streams import held
from benchmarks.targets.target import PACED

FEW: Final = 25
MANY: Final = 100
_ROOM: Final = 0.6
"""How busy a core may be for the measure to be one of the target, and not of what it leaves undone."""


def measure(standing: Standing, plan: Plan) -> dict[str, float]:
    """Watch 25 streams, which the slowest target can follow: 1,250 chunks in a second. Then 100, if it can do that.

    A target that is mostly idle wakes up for nearly each chunk; a busy one finds several at once.
    """
    request = standing.request(PACED, stream=True)
    with held(standing, request, FEW) as streams:
        few = streams.flow(plan.paced)
    values = {"paced_cpu_us": few.cpu_each, "paced_chunks_per_s": few.chunks / few.seconds}
    if few.cpu / few.seconds * MANY / FEW > _ROOM:
        return values
    with held(standing, request, MANY) as streams:
        many = streams.flow(plan.paced)
    return {**values, "paced_busy_cpu_us": many.cpu_each}
