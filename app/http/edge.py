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
from app.http.notes import Notes
from app.log import About, about
from app.unique_id import unique_id

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
        notes = Notes.begun(scope, request_id)
        about.set(About(request_id.decode()))  # for the log; the server has a context for each request

        began = perf_counter()

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"openai-processing-ms", b"%d" % round((perf_counter() - began) * 1000)),
                    *notes.revision,
                    *notes.identity,
                    *(notes.late() if notes.late is not None else ()),
                ]
            await send(message)

        await self._app(scope, receive, send_identified)


def request_id_of(scope: Any) -> str:
    """Return the id under which this request is answered and logged."""
    return Notes.of(scope).request_id.decode()


def note_route(scope: Any, path: str) -> None:
    """Note which path of the contract a request has come to, as the contract writes it."""
    Notes.of(scope).route = path


def route_of(scope: Any) -> str:
    """Return the path of the contract that a request has come to; empty if it is none of them."""
    return Notes.of(scope).route


def note_revision(scope: Any, revision: str) -> None:
    """Have every response to this request, errors included, say which configuration it was answered by."""
    Notes.of(scope).revision = _revision_header(revision)


@lru_cache(maxsize=4)
def _revision_header(revision: str) -> tuple[tuple[bytes, bytes]]:
    return ((b"x-zero-config-revision", revision.encode()),)


def identify(scope: Any, *, agent_id: str, session_key: str, run_id: str) -> None:
    """Have every response to this request, errors included, say which agent, session and run it is about."""
    told = about.get()
    if told is not None:
        told.run, told.session = run_id, session_key
    Notes.of(scope).identity = (
        (b"x-zero-agent-id", agent_id.encode()),
        (b"x-zero-session-key", session_key.encode()),
        (b"x-zero-run-id", run_id.encode()),
    )


def add_headers(scope: Any, headers: Callable[[], Iterable[tuple[bytes, bytes]]]) -> None:
    """Have the response to this request, an error included, bring headers that are known when it begins."""
    Notes.of(scope).late = headers


def _incoming(headers: Any) -> bytes | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value if _SANE.fullmatch(value) else None
    return None
