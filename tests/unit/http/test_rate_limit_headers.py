"""Lengths of time as OpenAI writes them."""

from __future__ import annotations

import pytest

from app.http.rate_limit_headers import span
from tests.unit.contract import schemas


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0000001, "1ms"),
        (0.006, "6ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (8.64, "8.64s"),
        (1.0001, "1.001s"),
        (60, "1m0s"),
        (359.5, "5m59.5s"),
        (3600, "1h0m0s"),
        (3661, "1h1m1s"),
    ],
)
def test_span(seconds: float, written: str) -> None:
    """Rounded up to a millisecond, so that who waits for it has waited long enough; and as the contract has it."""
    assert written == span(seconds)
    assert schemas.of("Span").is_valid(written)
