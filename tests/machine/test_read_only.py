"""A state directory that can't be written."""

from __future__ import annotations

from pathlib import Path

from tests.machine.read_only import read_only_from_the_start, read_only_meanwhile


def test_read_only_from_the_start(tmp_path: Path) -> None:
    """Stateless requests are answered, sessions are refused clearly, and work as soon as it can be written."""
    assert "503 session_store_unavailable" == read_only_from_the_start(tmp_path).seen


def test_read_only_meanwhile(tmp_path: Path) -> None:
    """What is open goes on, a restart changes that and nothing else, and it ends when the right to write is back."""
    assert read_only_meanwhile(tmp_path).lost.startswith("nothing")
