"""What a service is sent and nobody else may see, kept out of what failures say: services repeat the keys they refuse.

Pure. Source of the rule: docs/security.md, "Secrets".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from app.errors import GatewayError

HIDDEN: Final = "***"
_SHORTEST: Final = 6
"""A header of fewer characters is no secret, but may well be part of ordinary words."""

Failure = TypeVar("Failure", bound=GatewayError)


class Unsaid(Exception):
    """Raised in the place of an HTTP client's own error, which shows the whole request, its headers included."""


def without_secrets(text: str, headers: Mapping[str, str]) -> str:
    """Return a text with asterisks for what a service was sent in these headers."""
    for value in sorted(_values(headers), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
        # What a service says is cut where it is long, maybe in the middle of a key.
        ends = (value[:size] for size in range(len(value) - 1, _SHORTEST - 1, -1))
        text = next((text.removesuffix(end) + HIDDEN for end in ends if text.endswith(end)), text)
    return text


def discreet(failure: Failure, headers: Mapping[str, str]) -> Failure:
    """Have a failure say nothing of what a service was sent in these headers; return it."""
    failure.message = without_secrets(failure.message, headers)
    failure.args = (failure.message,)
    if failure.param is not None:
        failure.param = without_secrets(failure.param, headers)
    if failure.code is not None:
        failure.code = without_secrets(failure.code, headers)
    return failure


def cause_of(problem: Exception, headers: Mapping[str, str]) -> Exception:
    """Return what may stand in the log as the cause of a failure."""
    import aiohttp

    said = problem.message if isinstance(problem, aiohttp.ClientResponseError) else str(problem)
    return Unsaid(f"{type(problem).__name__}: {without_secrets(said, headers)}")


def _values(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what must not be shown: values, and of credentials what stands behind the scheme."""
    for name, value in headers.items():
        if len(value) >= _SHORTEST:
            yield value
        credentials = value.partition(" ")[2].strip()
        if name.lower().endswith("authorization") and len(credentials) >= _SHORTEST:
            yield credentials
