"""No file descriptors left."""

from __future__ import annotations

from pathlib import Path

from tests.machine.descriptors import no_descriptors_for_clients, no_descriptors_for_the_upstream


def test_no_descriptors_for_clients(tmp_path: Path) -> None:
    """Who comes too late is turned away, nothing spins or ends, and all is well when connections close."""
    assert no_descriptors_for_clients(tmp_path).lost.startswith("nothing")


def test_no_descriptors_for_the_upstream(tmp_path: Path) -> None:
    """A run that gets no connection to its upstream fails with the true reason."""
    assert "503 out_of_descriptors" == no_descriptors_for_the_upstream(tmp_path).seen
