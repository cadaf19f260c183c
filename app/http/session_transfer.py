"""``exportSession``, ``exportSessions`` and ``importSessions``: sessions as lines of JSON, out and in.

An export holds no more than a piece in memory and nothing in the database while a client takes its time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from io import BytesIO

import msgspec
from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig
from app.contract.message_form import is_message
from app.contract.models import SessionImport, SessionImportList
from app.errors import InvalidRequest, SessionNotFound
from app.http.body import read_body
from app.http.disconnect import ClientDisconnected, until_disconnect
from app.http.edge import request_id_of
from app.http.query import Query
from app.http.request_headers import RequestHeaders
from app.http.response import send_response
from app.http.session_list import readable
from app.http.session_names import selection, session_in_path
from app.log import logger
from app.routing.session_key import check_full
from app.runs.session_care import SessionCare
from app.sessions.archive import Selection, every
from app.sessions.jsonl import MEDIA_TYPE, Found, NotASession, read, written
from app.sessions.store import SessionStore

_log = logger("zero.http")


class SessionTransfer:
    """Exports and imports sessions.

    Args:
        store: Where they are.
        care: Takes them in.
        current: Returns the configuration in force.
    """

    def __init__(self, store: SessionStore, care: SessionCare, current: Callable[[], LoadedConfig]) -> None:
        self._store = store
        self._care = care
        self._current = current

    async def export(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write one session down.

        Raises:
            SessionNotFound: If there is none.
        """
        Query(scope)
        key = session_in_path(scope, self._current())
        pieces = written(self._store.archive, key)
        async with readable():
            first = await anext(pieces, None)
        if first is None:
            raise SessionNotFound(key)
        await self._send(first, pieces, scope, receive, send)

    async def export_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write sessions down, one after the other.

        Raises:
            InvalidRequest: If a parameter is malformed.
        """
        pieces = self._all(selection(Query(scope, ("agent", "user")), self._current()))
        async with readable():
            first = await anext(pieces, b"")
        await self._send(first, pieces, scope, receive, send)

    async def take_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read sessions, check all of them, then write one after the other.

        Raises:
            InvalidRequest: If a line is not what an export writes.
        """
        Query(scope)
        limit = self._current().config.gateway.http.endpoints.chat_completions.max_body_bytes
        try:
            body = await read_body(RequestHeaders(scope["headers"]), receive, limit, MEDIA_TYPE)
            results: list[SessionImport] = []
            for found in _checked(body):
                taken = await until_disconnect(receive, self._care.take_in(found.session))
                results.append(SessionImport(id=found.session.record.key, outcome=taken.outcome, added=taken.added))
        except ClientDisconnected:
            _log.info("request %s: the client went away", request_id_of(scope))
        else:
            await send_response(send, 200, msgspec.json.encode(SessionImportList(data=results)))

    async def _all(self, wanted: Selection) -> AsyncIterator[bytes]:
        async for record in every(self._store.archive, wanted):
            async for piece in written(self._store.archive, record.key):
                yield piece

    @staticmethod
    async def _send(first: bytes, pieces: AsyncIterator[bytes], scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces as they are read. A failure in the middle breaks the connection: what came isn't whole."""

        async def stream() -> None:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")],
                }
            )
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await until_disconnect(receive, stream())
        except ClientDisconnected:
            _log.info("request %s: the client went away", request_id_of(scope))


def _checked(body: bytes) -> list[Found]:
    """Return the sessions of a body, once all of it has proved to be in order.

    Raises:
        InvalidRequest: If it isn't; ``param`` is the line.
    """
    try:
        found = list(read(BytesIO(body), is_message))
    except NotASession as error:
        raise InvalidRequest(f"This is not an export of sessions: {error}.", param=f"line {error.line}") from None
    if not found:
        raise InvalidRequest("There is no session in the body, only empty lines.")
    for one in found:
        check_full(one.session.record.key, one.session.record.agent_id, f"line {one.line}")
    return found
