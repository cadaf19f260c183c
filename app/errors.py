"""Every way a request can fail, as the client sees it: status, type, code, param and retry advice.

Owns the vocabulary of failures and nothing else: no rendering (``app.http.error_response`` does that), no logging.
Any layer may import it. Source of the table: design.md sections 1 and 3.
"""

from __future__ import annotations

from typing import ClassVar, Literal

ErrorType = Literal[
    "invalid_request_error", "permission_error", "rate_limit_error", "server_error", "requests", "tokens"
]


LONGEST_WAIT_SECONDS = 5.0
"""How long official SDKs are let wait before they try again by themselves."""


class GatewayError(Exception):
    """Raised when a request can't be answered, for a reason the client may know.

    Args:
        message: What went wrong and what to do about it; shown to the client as it stands.
        param: The request field or header the message is about, such as ``messages[0].role``.
        code: The machine-readable code; the class's own when not given.
        retry_after: Seconds after which a retry makes sense; becomes ``Retry-After``.
        should_retry: What ``x-should-retry`` says to the SDKs; ``None`` leaves it out and the SDK decides by status.
    """

    status: int = 500
    type: ErrorType = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.retry_after = retry_after
        self.should_retry = should_retry

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that belong to this failure wherever it is answered over HTTP."""
        headers: list[tuple[str, str]] = []
        if self.retry_after is not None:
            # Whole seconds, rounded up: openai-node waits exactly what it is told.
            headers.append(("retry-after", str(max(1, -int(-self.retry_after // 1)))))
        if self.should_retry is not None:
            headers.append(("x-should-retry", "true" if self.should_retry else "false"))
        return headers


class InvalidRequest(GatewayError):
    """Raised when the request itself is wrong: malformed, mistyped, out of range, contradictory."""

    status = 400
    type: ErrorType = "invalid_request_error"
    default_code = "invalid_value"


class MalformedRequest(InvalidRequest):
    """Raised when what came isn't HTTP, or could be read in two ways. The connection ends with the answer."""

    default_code = "invalid_http"

    def __init__(self, why: str) -> None:
        super().__init__(f"The request is not valid HTTP/1.1: {why[:1].lower()}{why[1:]}.")


class HeadersTooLarge(InvalidRequest):
    """Raised when a request's line, headers, or what stands around its body are over the limit."""

    default_code = "headers_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The request's URL and headers are larger than {limit} bytes, the limit set by "
            "gateway.limits.maxHeaderBytes."
        )


class RequestTooSlow(InvalidRequest):
    """Raised when a client takes too long to send its request. Nothing was done, so a retry is safe."""

    default_code = "request_timeout"

    def __init__(self, what: Literal["headers", "body"]) -> None:
        settings = "headSeconds" if what == "headers" else "bodySeconds and requestSeconds"
        super().__init__(
            f"The request's {what} did not come in time; gateway.limits ({settings}) says how long a client has.",
            should_retry=True,
        )


class UnsupportedParameter(InvalidRequest):
    """Raised when the engine behind the agent can't honour a parameter that is valid in itself."""

    default_code = "unsupported_parameter"


class IdempotencyKeyReused(InvalidRequest):
    """Raised when an ``Idempotency-Key`` comes with another request than the one it was first sent with."""

    default_code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent with another request before: the body, the agent or the session is not the "
            "same. Use a new key for a new request, and repeat a request exactly as it was.",
            param="Idempotency-Key",
        )


class AuthenticationFailed(GatewayError):
    """Raised when the bearer secret is missing or wrong. Doesn't say which."""

    status = 401
    type: ErrorType = "invalid_request_error"
    default_code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Incorrect API key provided. Send the gateway's secret as 'Authorization: Bearer <secret>' "
            "(the configuration key gateway.auth says which one it is)."
        )

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers, ("www-authenticate", "Bearer")]


class KeyExpired(AuthenticationFailed):
    """Raised when the secret is that of a key whose time is over. Only who has the secret is told so."""

    default_code = "api_key_expired"

    def __init__(self, name: str) -> None:
        GatewayError.__init__(
            self, f"The API key {name!r} has expired. Ask the gateway's operator for another (zero keys add)."
        )


class PermissionDenied(GatewayError):
    """Raised when the caller is known but the agent's policy, or the caller's key, forbids what it asks."""

    status = 403
    type: ErrorType = "permission_error"
    default_code = "permission_denied"


class UnknownURL(GatewayError):
    """Raised when no operation of the contract lives at the path."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Unknown URL: {method} {path}. The gateway's operations are listed at /openapi.json.")


class EndpointDisabled(UnknownURL):
    """Raised for everything under ``/v1`` while the endpoint is switched off."""

    def __init__(self) -> None:
        GatewayError.__init__(
            self,
            "The OpenAI-compatible API of this gateway is switched off. To switch it on, set "
            "gateway.http.endpoints.chatCompletions.enabled to true in the gateway's configuration and restart it.",
        )


class MetricsDisabled(UnknownURL):
    """Raised for ``/metrics`` while it is switched off."""

    def __init__(self) -> None:
        GatewayError.__init__(
            self,
            "The metrics of this gateway are switched off. To switch them on, set gateway.metrics.enabled to true in "
            "the gateway's configuration and restart it.",
        )


class ModelNotFound(GatewayError):
    """Raised when a request names an agent that the configuration doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "model_not_found"


class SessionNotFound(GatewayError):
    """Raised when a request is about a session that the store doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "session_not_found"

    def __init__(self, key: str, param: str = "key") -> None:
        super().__init__(
            f"There is no session {key[:200]!r}. GET /v1/zero/sessions lists those there are.", param=param
        )


class BranchNotFound(GatewayError):
    """Raised when a request names a branch that its session doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "branch_not_found"

    def __init__(self, branch: str, param: str = "branch") -> None:
        super().__init__(
            f"The session has no branch {branch[:100]!r}. GET /v1/zero/sessions/{{key}}/branches lists those it has.",
            param=param,
        )


class MessageNotFound(GatewayError):
    """Raised when a request names a message that its session doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "message_not_found"

    def __init__(self, message: str, param: str) -> None:
        super().__init__(f"The session has no message {message[:100]!r}.", param=param)


class MethodNotAllowed(GatewayError):
    """Raised when the path exists but not with this method."""

    status = 405
    type: ErrorType = "invalid_request_error"
    default_code = "method_not_supported"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed on {path}. Use {allowed}.")
        self.allowed = allowed

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers, ("allow", self.allowed)]


class BodyTooLarge(GatewayError):
    """Raised when the request body is over ``maxBodyBytes``."""

    status = 413
    type: ErrorType = "invalid_request_error"
    default_code = "request_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The request body is larger than {limit} bytes, the limit set by "
            "gateway.http.endpoints.chatCompletions.maxBodyBytes."
        )


class UnsupportedMediaType(GatewayError):
    """Raised when the body isn't declared as what the operation takes."""

    status = 415
    type: ErrorType = "invalid_request_error"
    default_code = "unsupported_media_type"

    def __init__(self, content_type: str, wanted: str = "application/json") -> None:
        super().__init__(f"Content-Type must be {wanted}, not {content_type or 'missing'!r}.")


class TooManyAuthenticationFailures(GatewayError):
    """Raised when one address has sent too many wrong secrets and is locked out for a while."""

    status = 429
    type: ErrorType = "invalid_request_error"
    default_code = "too_many_auth_failures"

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "Too many requests with a wrong API key came from this address. Wait and send the right one.",
            retry_after=retry_after,
            should_retry=False,
        )


class RateLimited(GatewayError):
    """Raised when too much is under way, before the run began, or when the upstream says so."""

    status = 429
    type: ErrorType = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class KeyLimitReached(RateLimited):
    """Raised when a key has used up what it may have in a minute. Nothing was done.

    Args:
        message: What the limit is, and when there will be room.
        kind: What there were too many of; the error's type, as OpenAI has it.
        retry_after: Seconds until there is room; ``None`` if there will never be.
    """

    def __init__(self, message: str, kind: Literal["requests", "tokens"], retry_after: float | None) -> None:
        # Some SDKs sleep for as long as they are told: better to have the client know.
        hopeless = retry_after is None or retry_after > LONGEST_WAIT_SECONDS
        super().__init__(message, retry_after=retry_after or 60, should_retry=False if hopeless else None)
        self.type = kind


class KeyBusy(RateLimited):
    """Raised when a key has as many runs under way as it may have. Nothing was done."""

    default_code = "concurrency_limit_exceeded"

    def __init__(self, name: str, most: int) -> None:
        super().__init__(
            f"The API key {name!r} has {most} runs under way, as many as it may have (maxConcurrent). "
            "Try again when one of them is done.",
            retry_after=1,
        )


class RunsFull(GatewayError):
    """Raised when as many runs are under way as the gateway may have. Nothing was done."""

    status = 503
    default_code = "runs_full"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} runs are under way, the limit set by gateway.limits.maxRuns. Try again later.", retry_after=2
        )


class ConnectionsFull(GatewayError):
    """Raised when as many clients are at work as the gateway may have; its probes are answered all the same."""

    status = 503
    default_code = "connections_full"

    def __init__(self) -> None:
        super().__init__(
            "The gateway has as many connections as gateway.limits.maxConnections allows. Try again later.",
            retry_after=2,
        )


class EngineFailed(GatewayError):
    """Raised when what answers for the agent failed or answered nonsense.

    ``status`` is one of 429, 502, 503, 504 and keeps the upstream's own meaning. Whether the next model of
    ``fallbacks`` may be tried is the run's decision.
    """

    status = 502
    default_code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        status: Literal[429, 502, 503, 504] = 502,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after, should_retry=False)
        self.status = status
        self.type = "rate_limit_error" if status == 429 else "server_error"


class RunTimedOut(GatewayError):
    """Raised when a run takes longer than its limit."""

    status = 504
    default_code = "run_timeout"

    def __init__(self, seconds: float, setting: str) -> None:
        super().__init__(f"The run was not done within {seconds:g} s, the limit set by {setting}.", should_retry=False)


class RunAborted(GatewayError):
    """Raised in a run that somebody else stopped: ``chat.abort``, a session reset, the gateway shutting down."""

    status = 503
    default_code = "run_aborted"

    def __init__(self, why: str) -> None:
        super().__init__(f"The run was stopped before it was done: {why}.", should_retry=False)


class AnswerNotKept(GatewayError):
    """Raised when a request was run under its ``Idempotency-Key``, and its answer can't be given a second time."""

    status = 503
    default_code = "idempotent_answer_not_kept"

    def __init__(self) -> None:
        super().__init__(
            "This request was run before under the same Idempotency-Key, and is not run again; but its answer is no "
            "longer at hand from its beginning, because it was too large to keep, had to make room, or was lost with "
            "the process that gave it. To run the request anew, send it with a new key.",
            should_retry=False,
        )


class SessionMovedOn(GatewayError):
    """Raised when another process continued the same session while this run was at work; its turn is not stored."""

    status = 503
    default_code = "session_conflict"

    def __init__(self) -> None:
        super().__init__(
            "Another gateway process continued this session during the run, so its turn could not be added. "
            "Send the request again.",
            should_retry=False,
        )


class SessionBusy(GatewayError):
    """Raised when a session can't be changed because runs are at work in it. Nothing was changed."""

    status = 503
    default_code = "session_conflict"

    def __init__(self) -> None:
        super().__init__(
            "Runs of this session are under way, so it was left as it is. Wait for them or abort them, and try again.",
            should_retry=False,
        )


class StoreUnavailable(GatewayError):
    """Raised when the session store can't be read or written."""

    status = 503
    default_code = "session_store_unavailable"

    def __init__(self, *, should_retry: bool | None = None) -> None:
        super().__init__(
            "The session store can't be reached, so the conversation can't be continued. "
            "The gateway's log and /readyz say more.",
            should_retry=should_retry,
            retry_after=None if should_retry is False else 5,
        )


class InternalError(GatewayError):
    """Raised, by the outermost layer only, for a failure nobody foresaw: a defect of the gateway."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The gateway failed to process the request. Its log has the details under request id {request_id}.",
            should_retry=False,
        )
