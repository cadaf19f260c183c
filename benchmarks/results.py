"""What was measured: every value with its target, and the medians of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One value of one round."""

    target: str
    measure: str
    value: float
    round: int


class Machine(msgspec.Struct, frozen=True):
    """What it was measured on."""

    system: str
    processor: str
    python: str
    cores: str
    load: float
    """Processes that wanted to run when it began, by the system's count: 0 on an idle machine."""


class Results(msgspec.Struct):
    """Everything that one run of the suite found."""

    machine: Machine
    plan: str
    date: str
    samples: list[Sample] = msgspec.field(default_factory=list)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    """By target, and the tools."""
    titles: dict[str, str] = msgspec.field(default_factory=dict)
    missing: dict[str, str] = msgspec.field(default_factory=dict)
    """Why a target or a measure has no values."""
    seconds: float = 0.0

    def add(self, target: str, values: Mapping[str, float], round_: int = 0) -> None:
        """Take what a measure found, by the measure's name."""
        self.samples += [Sample(target, measure, value, round_) for measure, value in values.items()]

    def median(self, target: str, measure: str) -> float | None:
        """Return the median of all rounds, or ``None`` if it wasn't measured."""
        values = self.values(target, measure)
        return statistics.median(values) if values else None

    def values(self, target: str, measure: str) -> list[float]:
        """Return the values of all rounds, in order."""
        return [one.value for one in self.samples if (one.target, one.measure) == (target, measure)]
