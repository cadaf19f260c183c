"""Turns of sessions: how many in a second, and how long one takes in a conversation that grows to a thousand."""

from __future__ import annotations

import socket
import statistics
import time
from typing import Final

from benchmarks.load import load
from benchmarks.plan import Plan
from benchmarks.standing import Standing
from benchmarks.targets.target import JSON, KEY, Request, body

SESSIONS: Final = 64
_WINDOW: Final = 10
"""Turns whose median is a figure: from turn 6 on for "turn 10", the last ones for the end."""


def measure(standing: Standing, plan: Plan) -> dict[str, float]:
    """Run turns in many sessions, then one session from its first turn to its last."""
    many = load(standing, _turn("bench-{n}"), connections=32, seconds=plan.many, sessions=SESSIONS)
    with socket.create_connection(("127.0.0.1", standing.server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stateless = [_seconds(connection, standing, standing.request(JSON)) for _ in range(50)]
        times, cpu = [], []
        for _ in range(plan.turns):
            before = standing.server.cpu_seconds
            times.append(_seconds(connection, standing, _turn("long")))
            cpu.append(standing.server.cpu_seconds - before)
    early, late = slice(5, 5 + _WINDOW), slice(-_WINDOW, None)
    return {
        "turns_per_s": many.per_second,
        "turn_cpu_us": many.cpu_each,
        "stateless_ms": statistics.median(stateless) * 1000,
        "turn_10_ms": statistics.median(times[early]) * 1000,
        "turn_last_ms": statistics.median(times[late]) * 1000,
        "turn_10_cpu_us": statistics.median(cpu[early]) * 1e6,
        "turn_last_cpu_us": statistics.median(cpu[late]) * 1e6,
        "turn_last": float(plan.turns),
    }


def _turn(session: str) -> Request:
    content = body(f"zero:{JSON}", stream=False, user=session)
    return Request("/v1/chat/completions", {"authorization": f"Bearer {KEY}"}, content)


def _seconds(connection: socket.socket, standing: Standing, request: Request) -> float:
    """Return how long a request took on an open connection. The answer must have a length and be a 200."""
    wire = request.wire(standing.server.port)
    began = time.perf_counter()
    connection.sendall(wire)
    data = connection.recv(1 << 16)
    took = time.perf_counter() - began
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b" 200 " in head[:16], head
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(1 << 16)
        took = time.perf_counter() - began
    return took
