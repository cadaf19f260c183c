"""JSON requests: processor time, how many in a second, how long each takes."""

from __future__ import annotations

from benchmarks.load import load
from benchmarks.plan import Plan
from benchmarks.standing import Standing
from benchmarks.targets.target import JSON


def measure(standing: Standing, plan: Plan) -> dict[str, float]:
    """Ask with one connection, then with 32."""
    request = standing.request(JSON)
    load(standing, request, connections=8, seconds=1)  # to be warm
    one = load(standing, request, connections=1, seconds=plan.single)
    many = load(standing, request, connections=32, seconds=plan.many)
    return {
        "json_cpu_us": many.cpu_each,
        "json_per_s": many.per_second,
        "p50_at_1_ms": one.p50 / 1000,
        "p99_at_1_ms": one.p99 / 1000,
        "p50_at_32_ms": many.p50 / 1000,
        "p99_at_32_ms": many.p99 / 1000,
    }
