"""SIGKILL in the middle of everything."""

from __future__ import annotations

from pathlib import Path

from tests.machine.killed import killed_amid_streams


def test_killed_amid_streams(tmp_path: Path) -> None:
    """A thousand turns that were cut leave nothing, those told of are there, and the next start is as fast as any."""
    assert killed_amid_streams(tmp_path).lost.startswith("nothing")
