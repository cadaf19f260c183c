"""No file descriptors left."""

from __future__ import annotations

from pathlib import Path

from tests.machine.descriptors import (
    few_descriptors_at_the_start,
    no_descriptors_for_clients,
    no_descriptors_for_the_upstream,
)


def test_no_descriptors_for_clients(tmp_path: Path) -> None:
    """Who comes too late is turned away, nothing spins or ends, and all is well when connections close."""
    assert no_descriptors_for_clients(tmp_path).lost.startswith("nothing")


def test_no_descriptors_for_the_upstream(tmp_path: Path) -> None:
    """A run that gets no connection to its upstream fails with the true reason."""
    assert "503 out_of_descriptors" == no_descriptors_for_the_upstream(tmp_path).seen


def test_few_descriptors_at_the_start(tmp_path: Path) -> None:
    """As many clients are served as there are descriptors for, with their upstreams; the others hear so, and probes."""
    seen = few_descriptors_at_the_start(tmp_path).seen
    assert "200 (64 times), 503 connections_full (336 times)" == seen
