"""A full disk."""

from __future__ import annotations

from pathlib import Path

from tests.machine.disk_full import disk_full


def test_disk_full(tmp_path: Path) -> None:
    """Turns that can't be stored fail clearly, nothing told of is lost, and all goes on as soon as there is room."""
    row = disk_full(tmp_path)
    assert "503 session_store_unavailable" in row.seen
    assert row.lost.startswith("nothing")
