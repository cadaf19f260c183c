"""Fixtures of the telemetry's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A scripted service."""
    with FakeUpstream() as service:
        yield service
