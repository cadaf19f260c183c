"""A failure that is told to another process: the same to the client, wherever it waited."""

from __future__ import annotations

import pytest

from app.errors import EngineFailed, GatewayError, InternalError, InvalidRequest, RateLimited, RunAborted, RunTimedOut
from app.http.error_response import error_body
from app.http.told_failure import ToldFailure, told


@pytest.mark.parametrize(
    "error",
    [
        EngineFailed("no", status=429, code="rate_limit_exceeded", retry_after=7.0),
        EngineFailed("no"),
        InternalError("req_1"),
        InvalidRequest("no é", param="messages[0]"),
        RateLimited("no", retry_after=2),
        RunAborted("the user has said so"),
        RunTimedOut(1.5, "timeoutSeconds"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_is_the_same(error: GatewayError) -> None:
    """Status, body and headers."""
    again = ToldFailure(told(error))

    assert (error.status, error.headers, error_body(error)) == (again.status, again.headers, error_body(again))
