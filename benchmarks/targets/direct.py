"""The mock upstream without anything before it: what the measuring itself costs."""

from __future__ import annotations

from benchmarks.installed.compiled import compiled
from benchmarks.server import Launch
from benchmarks.targets.target import Place, Target


class Direct(Target):
    """Is a mock upstream of its own, on the server's core."""

    name = "upstream"
    title = "upstream itself"
    proxies = False

    def install(self) -> str:
        compiled("upstream")
        return "programs/upstream.c"

    def launch(self, place: Place) -> Launch:
        return Launch([compiled("upstream"), str(place.port)], "/v1/models")
