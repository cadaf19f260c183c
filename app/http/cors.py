"""Cross-origin requests: which web pages' scripts may call the API and read its answers (``gateway.http.cors``).

Pure ASGI, outside the guard: a browser's preflight carries no secret. The rules are those of the Fetch standard. An
origin that is not listed is answered as if this layer weren't there, and its browser keeps the answer from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.config import Cors
from app.http.request_headers import RequestHeaders

EXPOSED: Final = (
    "x-request-id",
    "x-zero-agent-id",
    "x-zero-session-key",
    "x-zero-run-id",
    "x-zero-config-revision",
    "x-zero-usage",
    "Idempotent-Replayed",
    "openai-processing-ms",
    *(f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
    "x-should-retry",
    "Retry-After",
    "WWW-Authenticate",
    "Allow",
)
"""The response headers that a page's script may read: those of the contract, and those only."""

_HEADER_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: *, *[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


class CrossOrigin:
    """Wraps the application.

    Args:
        app: What answers.
        settings: The origins that are welcome, and how long a browser may remember so.
        methods: The methods that the contract has.
        open_to: Whether there is anything at a path that a page may be told of.
    """

    def __init__(self, app: ASGIApp, settings: Cors, methods: Collection[str], open_to: Callable[[str], bool]) -> None:
        self._app = app
        self._origins = frozenset(origin.lower().encode() for origin in settings.origins)
        self._open_to = open_to
        self._exposed = ", ".join(EXPOSED).encode()
        self._preflight = [
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-max-age", str(settings.max_age_seconds).encode()),
            (b"vary", b"Origin, Access-Control-Request-Headers"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = RequestHeaders(scope["headers"])
        origins = headers.all(b"origin")
        welcome = origins[0] if len(origins) == 1 and origins[0].lower() in self._origins else None
        if (
            welcome is not None
            and scope["method"] == "OPTIONS"
            and headers.all(b"access-control-request-method")
            and self._open_to(scope["path"])
        ):
            await send(self._preflight_answer(welcome, headers))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        own = [(b"vary", b"Origin")]
        if welcome is not None:
            own.append((b"access-control-allow-origin", welcome))
            own.append((b"access-control-expose-headers", self._exposed))

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, send_readable)

    def _preflight_answer(self, origin: bytes, headers: RequestHeaders) -> Message:
        answer = [(b"access-control-allow-origin", origin), *self._preflight]
        # SDKs send headers of their own making and new ones with each release; who may ask at all is settled.
        wanted = b", ".join(headers.all(b"access-control-request-headers")).strip()
        if _HEADER_NAMES.fullmatch(wanted):
            answer.append((b"access-control-allow-headers", wanted))
        return {"type": "http.response.start", "status": 204, "headers": answer}
