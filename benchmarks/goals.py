"""What the gateway is to reach, each as a figure of one run with its bound. Nobody fails by it: it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.results import Results

Figure = Callable[[Results], float | None]


class Goal(msgspec.Struct, frozen=True):
    """One bound."""

    text: str
    figure: Figure
    bound: float
    unit: str
    least: bool = False
    """Whether the figure must be at least the bound; otherwise at most."""

    def verdict(self, results: Results) -> tuple[str, str]:
        """Return ``PASS``, ``MISS`` or ``not measured``, and the figure."""
        figure = self.figure(results)
        if figure is None:
            return "not measured", ""
        met = figure >= self.bound if self.least else figure <= self.bound
        return "PASS" if met else "MISS", f"{figure:,.{_digits(figure)}f} {self.unit}".strip()

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return f"{'≥' if self.least else '≤'} {self.bound:g} {self.unit}".strip()


def _digits(figure: float) -> int:
    size = abs(figure)
    return 0 if size >= 100 else 1 if size >= 10 else 2


def _of(measure: str, target: str = "zero") -> Figure:
    return lambda results: results.median(target, measure)


def _over(measure: str, divisor: str, other: str = "zero", *, over: str | None = None) -> Figure:
    """Divide a measure of one target by the same (or another) one of another target."""

    def figure(results: Results) -> float | None:
        upper, lower = results.median(other, measure), results.median(divisor, over or measure)
        return upper / lower if upper is not None and lower else None

    return figure


def _added(measure: str, base: str, *, to: str | None = None) -> Figure:
    """Take a measure of the bare upstream (or another one of ours) off one of ours."""

    def figure(results: Results) -> float | None:
        ours, others = results.median("zero", measure), results.median(base, to or measure)
        return ours - others if ours is not None and others is not None else None

    return figure


def _longest_probe(results: Results) -> float | None:
    measured = (one for one in results.samples if one.measure.startswith("probe_") and "_mb_" in one.measure)
    probes = [one.value for one in measured]
    return max(probes, default=None)


GOALS: Final = (
    Goal("Processor time of a JSON request", _of("json_cpu_us"), 250, "µs"),
    Goal("The same, as far as one could wish", _of("json_cpu_us"), 150, "µs"),
    Goal("LiteLLM takes so many times ours for it", _over("json_cpu_us", "zero", "litellm"), 40, "x", least=True),
    Goal("Portkey", _over("json_cpu_us", "zero", "portkey"), 7, "x", least=True),
    Goal("Hayhooks, which asks nobody", _over("json_cpu_us", "zero", "hayhooks"), 2.5, "x", least=True),
    Goal("Added to the upstream's p50, one connection", _added("p50_at_1_ms", "upstream"), 0.40, "ms"),
    Goal("Processor time of a paced chunk, times nginx's", _over("paced_cpu_us", "nginx"), 2.2, "x"),
    Goal("The same with 100 streams", _over("paced_busy_cpu_us", "nginx"), 2.2, "x"),
    Goal("Burst chunks in a second, times nginx's", _over("burst_chunks_per_s", "nginx"), 0.5, "x", least=True),
    Goal("Burst chunks in a second, times LiteLLM's", _over("burst_chunks_per_s", "litellm"), 90, "x", least=True),
    Goal("Added to the time until the first words", _added("first_words_ms", "upstream"), 1.0, "ms"),
    Goal("Processor time of a silent stream in a second", _of("silent_cpu_us_per_s"), 10, "µs"),
    Goal("Memory of an open stream, many at once without an error", _of("crowd_stream_kib"), 20, "KiB"),
    Goal("Memory after work, idle", _of("idle_mib"), 70, "MiB"),
    Goal("Own time of a stateful turn, turn 10", _added("turn_10_ms", "upstream", to="p50_at_1_ms"), 1.5, "ms"),
    Goal("Own time of a stateful turn, the last one", _added("turn_last_ms", "upstream", to="p50_at_1_ms"), 1.5, "ms"),
    Goal("The last turn's time, times turn 10's", _over("turn_last_ms", "zero", over="turn_10_ms"), 1.2, "x"),
    Goal("Capacity of two workers, times that of one", _of("two_workers_factor"), 1.7, "x", least=True),
    Goal("From start to the first 200", _of("start_s"), 0.6, "s"),
    Goal("zero --help", _of("help_s"), 0.15, "s"),
    Goal("Longest wait of others while up to 19 MB are read", _longest_probe, 20, "ms"),
)
