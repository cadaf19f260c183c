"""What can go wrong between a client and a gateway, in words for the person in front of it."""

from __future__ import annotations


class ClientError(Exception):
    """Raised when the gateway didn't do what was asked; ``str()`` says why and what to do."""


class Unreachable(ClientError):
    """Raised when no gateway answers, or it has gone away in the middle."""


class Unauthorized(ClientError):
    """Raised when the gateway doesn't let the client in."""


class RequestFailed(ClientError):
    """Raised when the gateway answers a request with an error.

    Args:
        code: The protocol's code, such as ``INVALID_REQUEST``.
        message: What the gateway says.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunStopped(ClientError):
    """Raised when somebody else stopped the run; ``str()`` says who."""
