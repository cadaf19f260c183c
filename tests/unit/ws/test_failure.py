"""What the gateway's failures are called over the WebSocket."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from app import errors
from app.errors import EngineFailed, GatewayError, InvalidRequest, PermissionDenied, RateLimited, StoreUnavailable
from app.ws.failure import failure_of
from tests.ws.contract import validator

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, GatewayError) and kind.__init__ is GatewayError.__init__
]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("x"), "INVALID_REQUEST"),
        (PermissionDenied("x"), "FORBIDDEN"),
        (RateLimited("x"), "UNAVAILABLE"),
        (EngineFailed("x"), "UNAVAILABLE"),
        (EngineFailed("x", status=429), "UNAVAILABLE"),
        (EngineFailed("x", status=504), "UNAVAILABLE"),
        (StoreUnavailable(), "UNAVAILABLE"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_three_kinds_of_failure(error: GatewayError, code: str) -> None:
    """The request is wrong, it is forbidden, or it can't be done now."""
    assert code == failure_of(error).shape.code


@pytest.mark.parametrize("kind", KINDS)
def test_the_details_are_http_s(kind: type[GatewayError]) -> None:
    """Type, code and param are OpenAI's, and the whole is valid by the contract."""
    shape = msgspec.to_builtins(failure_of(kind("what", param="p", code="c")).shape)

    validator("ErrorShape").validate(shape)
    validator("RequestErrorDetails").validate(shape["details"])
    assert {"type": kind.type, "code": "c", "param": "p"} == shape["details"]
    assert "what" == shape["message"]


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (RateLimited("x", retry_after=2), (True, 2000)),
        (RateLimited("x", retry_after=0.5), (True, 500)),
        (StoreUnavailable(), (True, 5000)),
        (StoreUnavailable(should_retry=False), (None, None)),
        (EngineFailed("x", status=429, retry_after=9), (None, None)),
        (InvalidRequest("x"), (None, None)),
    ],
    ids=lambda value: str(value),
)
def test_a_retry_is_advised_only_where_it_does_no_harm(
    error: GatewayError, retry: tuple[bool | None, int | None]
) -> None:
    """Before a run has begun, and where somebody knows when."""
    shape = msgspec.to_builtins(failure_of(error).shape)

    assert retry == (shape.get("retryable"), shape.get("retryAfterMs"))
