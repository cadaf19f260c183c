"""Every way a request can fail, as the client sees it: status, type, code, param and retry advice.

Owns the vocabulary of failures and nothing else: no rendering (``app.http.error_response`` does that), no logging.
Any layer may import it. Source of the table: design.md sections 1 and 3.
"""

from __future__ import annotations

from app.errors.absence import (
    BranchNotFound,
    EndpointDisabled,
    MessageNotFound,
    MethodNotAllowed,
    MetricsDisabled,
    ModelNotFound,
    SessionNotFound,
    UnknownURL,
)
from app.errors.access import AuthenticationFailed, KeyExpired, PermissionDenied, TooManyAuthenticationFailures
from app.errors.failure import LONGEST_WAIT_SECONDS, ErrorType, GatewayError
from app.errors.fullness import ConnectionsFull, KeyBusy, KeyLimitReached, RateLimited, RunsFull
from app.errors.request import (
    BodyTooLarge,
    HeadersTooLarge,
    IdempotencyKeyReused,
    InvalidRequest,
    MalformedRequest,
    RequestTooSlow,
    UnsupportedMediaType,
    UnsupportedParameter,
)
from app.errors.run import AnswerNotKept, EngineFailed, InternalError, RunAborted, RunTimedOut
from app.errors.store import SessionBusy, SessionMovedOn, StoreUnavailable

__all__ = [
    "AnswerNotKept",
    "AuthenticationFailed",
    "BodyTooLarge",
    "BranchNotFound",
    "ConnectionsFull",
    "EndpointDisabled",
    "EngineFailed",
    "ErrorType",
    "GatewayError",
    "HeadersTooLarge",
    "IdempotencyKeyReused",
    "InternalError",
    "InvalidRequest",
    "KeyBusy",
    "KeyExpired",
    "KeyLimitReached",
    "LONGEST_WAIT_SECONDS",
    "MalformedRequest",
    "MessageNotFound",
    "MethodNotAllowed",
    "MetricsDisabled",
    "ModelNotFound",
    "PermissionDenied",
    "RateLimited",
    "RequestTooSlow",
    "RunAborted",
    "RunTimedOut",
    "RunsFull",
    "SessionBusy",
    "SessionMovedOn",
    "SessionNotFound",
    "StoreUnavailable",
    "TooManyAuthenticationFailures",
    "UnknownURL",
    "UnsupportedMediaType",
    "UnsupportedParameter",
]
