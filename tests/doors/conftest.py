"""Fixtures of the doors' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.doors.upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A service that shows what agents ask it."""
    service = Upstream()
    yield service
    service.close()


def provider(upstream: Upstream) -> dict[str, Any]:
    """Return the configuration section that makes ``fake/...`` models be answered by ``upstream``."""
    return {"providers": {"fake": {"baseUrl": upstream.url, "apiKey": "upstream-key"}}}
