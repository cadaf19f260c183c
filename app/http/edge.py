"""The outermost layer: every response says its request id, how long it took, and what agent, session and run it is of.

Pure ASGI, so that it also covers what Litestar answers before any route is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.http.admission import Admission
from app.log import About, about
from app.unique_id import unique_id

_REQUEST_ID: Final = "zero.request_id"
_IDENTITY: Final = "zero.identity"
_LATE: Final = "zero.late_headers"
_REVISION: Final = "zero.revision"
_ROUTE: Final = "zero.route"
_SANE: Final = re.compile(rb"[\x21-\x7e]{1,128}")


class Edge:
    """Wraps the application.

    Args:
        app: The Litestar application.
        admission: Which connections are served, for a server that asks: ``app.http.uvicorn_connection``.
    """

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _incoming(scope["headers"]) or f"req_{unique_id()}".encode()
        extra: dict[str, Any] = scope  # type: ignore[assignment]  # ASGI lets an application add keys of its own
        extra[_REQUEST_ID] = request_id
        about.set(About(request_id.decode()))  # for the log; the server has a context for each request

        began = perf_counter()

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"openai-processing-ms", b"%d" % round((perf_counter() - began) * 1000)),
                    *extra.get(_REVISION, ()),
                    *extra.get(_IDENTITY, ()),
                    *(extra[_LATE]() if _LATE in extra else ()),
                ]
            await send(message)

        await self._app(scope, receive, send_identified)


def request_id_of(scope: Any) -> str:
    """Return the id under which this request is answered and logged."""
    request_id: bytes = scope.get(_REQUEST_ID, b"unknown")
    return request_id.decode()


def note_route(scope: Any, path: str) -> None:
    """Note which path of the contract a request has come to, as the contract writes it."""
    scope[_ROUTE] = path


def route_of(scope: Any) -> str:
    """Return the path of the contract that a request has come to; empty if it is none of them."""
    found: str = scope.get(_ROUTE, "")
    return found


def note_revision(scope: Any, revision: str) -> None:
    """Have every response to this request, errors included, say which configuration it was answered by."""
    scope[_REVISION] = _revision_header(revision)


@lru_cache(maxsize=4)
def _revision_header(revision: str) -> tuple[tuple[bytes, bytes]]:
    return ((b"x-zero-config-revision", revision.encode()),)


def identify(scope: Any, *, agent_id: str, session_key: str, run_id: str) -> None:
    """Have every response to this request, errors included, say which agent, session and run it is about."""
    told = about.get()
    if told is not None:
        told.run, told.session = run_id, session_key
    scope[_IDENTITY] = (
        (b"x-zero-agent-id", agent_id.encode()),
        (b"x-zero-session-key", session_key.encode()),
        (b"x-zero-run-id", run_id.encode()),
    )


def add_headers(scope: Any, headers: Callable[[], Iterable[tuple[bytes, bytes]]]) -> None:
    """Have the response to this request, an error included, bring headers that are known when it begins."""
    scope[_LATE] = headers


def _incoming(headers: Any) -> bytes | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value if _SANE.fullmatch(value) else None
    return None
