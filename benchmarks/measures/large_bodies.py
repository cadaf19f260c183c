"""Whether others wait while a large request is read: the longest answer of ``/healthz`` meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Final

from benchmarks.standing import Standing
from benchmarks.targets.target import JSON, QUESTION

SIZES: Final = {"1": 1_000_000, "5": 5_000_000, "19": 19_000_000}
"""By megabytes; the gateway refuses bodies over 20 MB."""


def measure(standing: Standing) -> dict[str, float]:
    """Send bodies of one long text, and of many short messages, while ``/healthz`` is asked all the time."""
    values = {"probe_idle_ms": _longest_probe(standing, None)}
    for name, size in SIZES.items():
        one = b'{"role": "user", "content": "%s"}' % (b"tick tock " * (size // 10))
        many = b",".join([b'{"role": "user", "content": "%s"}' % QUESTION.encode()] * (size // 78))
        for kind, messages in (("text", one), ("messages", many)):
            values[f"probe_{kind}_{name}_mb_ms"] = _longest_probe(standing, messages)
    return values


def _longest_probe(standing: Standing, messages: bytes | None) -> float:
    """Return the longest time in ms that a probe took while a request with these messages was served."""
    over = threading.Event()
    probes: list[float] = []

    def probe() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", standing.server.port, timeout=30)
        while not over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            probes.append(time.perf_counter() - began)
            time.sleep(0.001)
        connection.close()

    thread = threading.Thread(target=probe)
    thread.start()
    time.sleep(0.1)
    if messages is not None:
        request = standing.request(JSON)
        model = b'{"model": "zero:%s", "messages": [%s]}' % (JSON.encode(), messages)
        connection = http.client.HTTPConnection("127.0.0.1", standing.server.port, timeout=60)
        connection.request("POST", request.path, model, {**request.headers, "content-type": "application/json"})
        connection.getresponse().read()
        connection.close()
    time.sleep(0.1)
    over.set()
    thread.join()
    return max(probes) * 1000
