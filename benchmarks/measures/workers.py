"""From one worker to two: what the second one adds."""

from __future__ import annotations

from benchmarks import cores
from benchmarks.load import load
from benchmarks.plan import Plan
from benchmarks.standing import standing
from benchmarks.targets.target import JSON
from benchmarks.targets.zero import Zero
from tests.sessions.postgresql_server import PostgresqlServer


def measure(upstream: int, plan: Plan) -> dict[str, float]:
    """Ask the gateway with one and with two workers, both with their sessions in PostgreSQL.

    Where each worker can have a core the factor is that of the answers in a second. Where they share one, capacity is
    counted as the number of workers over the processor time of a request: what they could do with a core each, if the
    cores don't disturb each other.
    """
    with PostgresqlServer() as server:
        per_second, cpu = [], []
        for workers in (1, 2):
            with standing(Zero(workers, server.database()), upstream) as gateway:
                load(gateway, gateway.request(JSON), connections=32, seconds=1)
                found = load(gateway, gateway.request(JSON), connections=32, seconds=plan.many)
                per_second.append(found.per_second)
                cpu.append(found.cpu_each)
    return {
        "one_worker_cpu_us": cpu[0],
        "two_workers_cpu_us": cpu[1],
        "two_workers_factor": per_second[1] / per_second[0] if cores.TWO_SERVERS else 2 * cpu[0] / cpu[1],
    }
