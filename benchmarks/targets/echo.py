"""ZERO Gateway answering by itself: what everything but the upstream costs."""

from __future__ import annotations

from benchmarks.targets.target import BURST, KEY, Request, body
from benchmarks.targets.zero import Zero


class Echo(Zero):
    """Asks the echo engine, which says the request's words; 100 of them where 100 chunks are wanted."""

    name = "zero-echo"
    title = "ZERO Gateway, echo engine"
    streams = False
    proxies = False

    def request(self, model: str, *, stream: bool) -> Request:
        words = 50 if model == BURST else 3
        content = body("zero:echo", stream=stream, question=" ".join(["tick tock"] * words))
        return Request("/v1/chat/completions", {"authorization": f"Bearer {KEY}"}, content)
