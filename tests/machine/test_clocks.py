"""Clocks that jump."""

from __future__ import annotations

from pathlib import Path

from tests.machine.clocks import clock_jumps


def test_clock_jumps(tmp_path: Path) -> None:
    """Order, keys, lock-outs and runs under way don't go by the clock, or bear it."""
    assert "200" == clock_jumps(tmp_path).seen
