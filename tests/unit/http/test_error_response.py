"""Failures as responses: OpenAI's shape, the right status and headers, whoever raised it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ServiceUnavailableException,
)

from app.errors import (
    AuthenticationFailed,
    BodyTooLarge,
    EndpointDisabled,
    EngineFailed,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    PermissionDenied,
    RateLimited,
    RunTimedOut,
    StoreUnavailable,
    TooManyAuthenticationFailures,
    UnknownURL,
    UnsupportedMediaType,
    UnsupportedParameter,
)
from app.http.error_response import belongs_to_api, error_body, http_exception_handler, on_crash, render
from app.http.notes import Notes


def request(path: str = "/v1/x", method: str = "GET") -> Request[Any, Any, Any]:
    """Return a request as Litestar hands it to an exception handler."""
    scope: Any = {"type": "http", "path": path, "method": method, "headers": []}
    Notes.begun(scope, b"req_1")
    return Request(scope)


def handled(
    error: HTTPException, path: str = "/v1/x", *, method: str = "GET", enabled: bool = True
) -> tuple[int | None, Any]:
    """Return status and error object of what Litestar refused."""
    response = http_exception_handler(lambda: enabled)(request(path, method), error)
    assert "application/json" == response.media_type
    return response.status_code, json.loads(response.content)["error"]


@pytest.mark.parametrize(
    ("error", "status", "type", "code", "headers"),
    [
        (InvalidRequest("m"), 400, "invalid_request_error", "invalid_value", {}),
        (UnsupportedParameter("m"), 400, "invalid_request_error", "unsupported_parameter", {}),
        (AuthenticationFailed(), 401, "invalid_request_error", "invalid_api_key", {"www-authenticate": "Bearer"}),
        (PermissionDenied("m"), 403, "permission_error", "permission_denied", {}),
        (UnknownURL("GET", "/x"), 404, "invalid_request_error", "unknown_url", {}),
        (EndpointDisabled(), 404, "invalid_request_error", "unknown_url", {}),
        (ModelNotFound("m"), 404, "invalid_request_error", "model_not_found", {}),
        (
            MethodNotAllowed("PUT", "/x", "GET, POST"),
            405,
            "invalid_request_error",
            "method_not_supported",
            {"allow": "GET, POST"},
        ),
        (BodyTooLarge(5), 413, "invalid_request_error", "request_too_large", {}),
        (UnsupportedMediaType(""), 415, "invalid_request_error", "unsupported_media_type", {}),
        (
            TooManyAuthenticationFailures(0.2),
            429,
            "invalid_request_error",
            "too_many_auth_failures",
            {"retry-after": "1", "x-should-retry": "false"},
        ),
        (RateLimited("m", retry_after=2), 429, "rate_limit_error", "rate_limit_exceeded", {"retry-after": "2"}),
        (EngineFailed("m"), 502, "server_error", "upstream_error", {"x-should-retry": "false"}),
        (
            EngineFailed("m", status=429, retry_after=1.5),
            429,
            "rate_limit_error",
            "upstream_error",
            {"retry-after": "2", "x-should-retry": "false"},
        ),
        (RunTimedOut(600, "x"), 504, "server_error", "run_timeout", {"x-should-retry": "false"}),
        (StoreUnavailable(), 503, "server_error", "session_store_unavailable", {"retry-after": "5"}),
        (
            StoreUnavailable(should_retry=False),
            503,
            "server_error",
            "session_store_unavailable",
            {"x-should-retry": "false"},
        ),
        (InternalError("req_1"), 500, "server_error", None, {"x-should-retry": "false"}),
    ],
)
def test_render(error: GatewayError, status: int, type: str, code: str | None, headers: dict[str, str]) -> None:
    """Every failure has its status, type, code and headers, and a message."""
    response = render(error)
    body = json.loads(response.content)["error"]
    assert (status, headers) == (
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
    )
    assert (type, code, error.message) == (body["type"], body["code"], body["message"])
    assert body["message"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1"), (0.001, "1"), (1, "1"), (1.0, "1"), (1.0001, "2"), (59.5, "60"), (86400, "86400")],
)
def test_retry_after_is_rounded_up(seconds: float, expected: str) -> None:
    """Retry-After is in whole seconds, never too few and never none."""
    assert [("retry-after", expected)] == RateLimited("m", retry_after=seconds).headers


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_error_object(message: str, param: str | None, code: str | None) -> None:
    """All four keys are there, whatever they say, also when they are null."""
    error = InvalidRequest(message, param=param, code=code)
    expected = {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": "invalid_value" if code is None else code,
    }
    assert {"error": expected} == json.loads(error_body(error))


@pytest.mark.parametrize(
    ("path", "enabled", "words"),
    [
        ("/v1/nothing", True, "Unknown URL: GET /v1/nothing"),
        ("/nothing", True, "Unknown URL: GET /nothing"),
        ("/nothing", False, "Unknown URL: GET /nothing"),
        ("/v1/nothing", False, "gateway.http.endpoints.chatCompletions.enabled"),
        ("/v1", False, "gateway.http.endpoints.chatCompletions.enabled"),
        ("/v10", False, "Unknown URL: GET /v10"),
    ],
)
def test_not_found(path: str, enabled: bool, words: str) -> None:
    """A path there isn't is 404; while the API is off, everything under /v1 says how to switch it on."""
    status, error = handled(NotFoundException(), path, enabled=enabled)
    assert (404, "unknown_url") == (status, error["code"])
    assert words in error["message"]


def test_long_path_is_cut() -> None:
    """The answer doesn't repeat a path of any length."""
    _, error = handled(NotFoundException(), "/" + "x" * 100_000)
    assert len(error["message"]) < 400


def test_method_not_allowed() -> None:
    """405 names the methods that the contract has, and not the OPTIONS that Litestar would add."""
    refused = MethodNotAllowedException(headers={"allow": "POST, OPTIONS, GET"})
    response = http_exception_handler(lambda: True)(request(method="PUT"), refused)
    assert (405, "GET, POST") == (response.status_code, response.headers["allow"])
    assert "PUT is not allowed on /v1/x. Use GET, POST." == json.loads(response.content)["error"]["message"]


def test_method_not_allowed_while_off() -> None:
    """While the API is off its paths aren't there for any method."""
    assert 404 == handled(MethodNotAllowedException(headers={"allow": "POST"}), enabled=False)[0]
    assert 405 == handled(MethodNotAllowedException(headers={"allow": "GET"}), "/healthz", enabled=False)[0]


@pytest.mark.parametrize("status", [400, 422, 451])
def test_other_client_errors(status: int) -> None:
    """Whatever else Litestar holds against a client is 400; 422 is never answered."""
    answered, error = handled(ClientException("Malformed.", status_code=status))
    assert (400, "invalid_request", "Malformed.") == (answered, error["code"], error["message"])


def test_server_errors_are_crashes(caplog: pytest.LogCaptureFixture) -> None:
    """An HTTP exception of ours that nobody foresaw is 500, and its words stay in the log."""
    status, error = handled(ServiceUnavailableException("secret detail"))
    assert 500 == status
    assert "secret" not in error["message"]
    assert "secret detail" in caplog.text


def test_crash(caplog: pytest.LogCaptureFixture) -> None:
    """A crash is 500 without its words, names the request's id, and is in the log with its traceback."""
    with caplog.at_level(logging.ERROR, "zero.http"):
        response = on_crash(request(), ZeroDivisionError("secret"))
    message = json.loads(response.content)["error"]["message"]
    assert (500, "false") == (response.status_code, response.headers["x-should-retry"])
    assert "req_1" in message
    assert "secret" not in message
    [record] = caplog.records
    assert "req_1" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1", True),
        ("/v1/", True),
        ("/v1/models", True),
        ("//v1/models", True),
        ("/v1//models", True),
        ("/", False),
        ("", False),
        ("/v10", False),
        ("/V1/models", False),
        ("/x/v1", False),
        ("/healthz", False),
    ],
)
def test_belongs_to_api(path: str, expected: bool) -> None:
    """The switch is for /v1 and what is under it, however many slashes it is written with."""
    assert expected == belongs_to_api(path)
