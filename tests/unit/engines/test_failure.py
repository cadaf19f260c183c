"""What an upstream's failure means to our client."""

from __future__ import annotations

import json
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.upstream.failure import failure_of_error, failure_of_response
from app.errors import EngineFailed, GatewayError, InvalidRequest


def of_response(status: int, error: object = None, retry_after: str | None = None) -> GatewayError:
    """Return the failure that a response with an error object means."""
    return failure_of_response("up", status, json.dumps({"error": error}).encode(), retry_after)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, 429),
        (503, 503),
        (504, 504),
        (408, 504),
        (529, 503),
        (500, 502),
        (502, 502),
        (507, 502),
        (404, 502),
        (405, 502),
        (409, 502),
        (401, 502),
        (403, 502),
        (301, 502),
        (307, 502),
        (204, 502),
        (999, 502),
        (400, 400),
        (413, 400),
        (415, 400),
        (422, 400),
    ],
)
def test_status(status: int, expected: int) -> None:
    """What the client can do something about keeps its meaning; the rest is a 502. A 422 is never passed on."""
    failure = of_response(status, {"message": "m"})
    assert expected == failure.status
    assert (InvalidRequest if expected == 400 else EngineFailed) is type(failure)


@pytest.mark.parametrize("status", [401, 403])
def test_credentials(status: int) -> None:
    """Our own key being refused isn't the client's: the message says what the operator has to check, and no more."""
    failure = of_response(status, {"message": "Incorrect API key sk-123", "code": "invalid_api_key"})
    assert "upstream_authentication_failed" == failure.code
    assert "models.providers.up.apiKey" in failure.message
    assert "sk-123" not in failure.message


@pytest.mark.parametrize(
    ("error", "code", "param", "message"),
    [
        ({"message": "m", "code": "c", "param": "p"}, "c", "p", "m"),
        ({"message": " m ", "code": None, "param": None}, "invalid_value", None, "m"),
        ({"message": "m", "code": 400, "param": 5}, "invalid_value", None, "m"),
        ({"message": "", "code": ""}, "invalid_value", None, "The provider 'up' refused the request."),
        (
            {"message": "m", "type": "exceed_context_size_error", "code": 400},
            "context_length_exceeded",
            "messages",
            "m",
        ),
        ({"message": "m", "code": "context_length_exceeded"}, "context_length_exceeded", "messages", "m"),
        ("text", "invalid_value", None, "text"),
        (None, "invalid_value", None, "The provider 'up' refused the request."),
        ([1], "invalid_value", None, "The provider 'up' refused the request."),
    ],
)
def test_bad_request(error: object, code: str, param: str | None, message: str) -> None:
    """A request that the upstream holds for wrong is 400, with its own words, code and param where it has them."""
    failure = of_response(400, error)
    assert (code, param, message) == (failure.code, failure.param, failure.message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The provider 'up' failed with status 500."),
        (b"<html>Internal</html>", "The provider 'up' failed with status 500."),
        (b"\xff", "The provider 'up' failed with status 500."),
        (b"[" * 100_000, "The provider 'up' failed with status 500."),
        (b'"plain"', "The provider 'up' failed with status 500: plain"),
        (b'{"message": "top"}', "The provider 'up' failed with status 500: top"),
        (b'{"error": {"message": "inner"}}', "The provider 'up' failed with status 500: inner"),
        (b'{"error": "text"}', "The provider 'up' failed with status 500: text"),
        (b'{"error": {"message": {"a": 1}}}', "The provider 'up' failed with status 500: {'a': 1}"),
    ],
)
def test_words(body: bytes, message: str) -> None:
    """The upstream's own words follow ours when it says them as JSON; a web page is nothing for a client."""
    assert message == failure_of_response("up", 500, body, None).message


def test_long_words_are_cut() -> None:
    """Words without end are cut."""
    assert len(of_response(500, {"message": "x" * 100_000}).message) < 1100


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("3", 3, 3),
        ("0.5", 0.5, 0.5),
        ("1e9", 86_400, 86_400),
        ("inf", 86_400, 86_400),
    ],
)
def test_retry_after(retry_after: str, least: float, most: float) -> None:
    """Retry-After in seconds or as a date keeps its meaning, up to a day."""
    failure = of_response(503, {}, retry_after)
    assert failure.retry_after is not None
    assert least <= failure.retry_after <= most
    assert ("x-should-retry", "false") in failure.headers


def test_retry_after_as_a_date() -> None:
    """A date is as many seconds away as it is now."""
    failure = of_response(503, {}, formatdate(time() + 120, usegmt=True))
    assert failure.retry_after is not None
    assert 60 <= failure.retry_after <= 120


@pytest.mark.parametrize("retry_after", [None, "", "0", "-1", "nan", "soon", "Mon, 01 Jan 2001 00:00:00 GMT", "99 Foo"])
def test_no_retry_after(retry_after: str | None) -> None:
    """Without a time that makes sense there is none; a 429 gets one second, since its clients wait for it."""
    assert of_response(503, {}, retry_after).retry_after is None
    assert 1 == of_response(429, {}, retry_after).retry_after


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"message": "m"}, 502, "upstream_error"),
        ({"message": "m", "code": "x"}, 502, "x"),
        ({"message": "m", "code": 429}, 429, "rate_limit_exceeded"),
        ({"message": "m", "code": 503}, 503, "upstream_error"),
        ({"message": "m", "code": 401}, 502, "upstream_authentication_failed"),
        ({"message": "m", "code": 400}, 400, "invalid_value"),
        ({"message": "m", "code": 200}, 502, "upstream_error"),
        ({"message": "m", "code": True}, 502, "upstream_error"),
    ],
)
def test_error_in_the_stream(error: dict[str, object], status: int, code: str) -> None:
    """An error inside a stream has its status in its code, or none."""
    failure = failure_of_error("up", 0, error)
    assert (status, code) == (failure.status, failure.code)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ERRORS = JSON | st.fixed_dictionaries({}, optional={"message": JSON, "type": JSON, "code": JSON, "param": JSON})


@given(st.integers(100, 999), st.binary() | ERRORS.map(lambda error: json.dumps({"error": error}).encode()), st.text())
def test_any_response(status: int, body: bytes, retry_after: str) -> None:
    """Whatever an upstream answers, it is a failure of a status that the contract knows, and it can be sent."""
    failure = failure_of_response("up", status, body, retry_after)
    assert failure.status in (400, 429, 502, 503, 504)
    assert failure.code
    assert failure.message.encode()
    assert all(value.isascii() for _, value in failure.headers)
