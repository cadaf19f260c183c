"""How much is measured: the whole, a quick look, or just enough to see that the suite works."""

from __future__ import annotations

from typing import Final

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """How long and how often; times in seconds."""

    name: str
    rounds: int
    single: int
    """One connection, JSON."""
    many: int
    """32 connections, JSON; and whole streams."""
    paced: float
    firsts: int
    """Streams for the time to the first words."""
    held: int
    """Open streams for the memory of one."""
    crowd: int
    """Open streams for the endurance of one worker; 0 leaves that out."""
    extras: bool
    """Whether sessions, workers, starts of commands and large bodies are measured, too."""
    turns: int = 1000
    """Turns of the one long session."""


FULL: Final = Plan("full", rounds=3, single=2, many=3, paced=4.0, firsts=200, held=500, crowd=5000, extras=True)
QUICK: Final = Plan(
    "quick", rounds=1, single=1, many=1, paced=2.0, firsts=60, held=100, crowd=1000, extras=True, turns=200
)
TINY: Final = Plan("tiny", rounds=1, single=1, many=1, paced=0.5, firsts=10, held=20, crowd=0, extras=False)
