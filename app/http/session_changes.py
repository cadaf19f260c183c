"""``resetSession``, ``restoreSessionBranch``, ``deleteSession`` and ``deleteSessions``: what is stored, changed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig
from app.contract.models import SessionDeleted, SessionsDeleted
from app.errors import SessionNotFound
from app.http.disconnect import ClientDisconnected, until_disconnect
from app.http.edge import request_id_of
from app.http.query import Query
from app.http.response import send_response
from app.http.session_list import described
from app.http.session_names import message_id, selection, session_in_path
from app.log import logger
from app.runs.session_care import SessionCare

_log = logger("zero.http")


class SessionChanges:
    """Changes sessions.

    Args:
        care: Does it.
        current: Returns the configuration in force.
    """

    def __init__(self, care: SessionCare, current: Callable[[], LoadedConfig]) -> None:
        self._care = care
        self._current = current

    async def reset(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Empty a session.

        Raises:
            SessionNotFound: If there is none.
        """
        Query(scope)
        record = await self._care.reset(session_in_path(scope, self._current()))
        await send_response(send, 200, msgspec.json.encode(described(record)))

    async def restore(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a session go on from a branch.

        Raises:
            SessionNotFound: If there is no such session.
            BranchNotFound: If it has no such branch.
            SessionBusy: If its runs take too long.
        """
        Query(scope)
        key = session_in_path(scope, self._current())
        branch = message_id(str(scope["path_params"]["branch"]), param="branch")
        try:
            record = await until_disconnect(receive, self._care.restore(key, branch))
        except ClientDisconnected:
            _log.info("request %s: the client went away", request_id_of(scope))
        else:
            await send_response(send, 200, msgspec.json.encode(described(record)))

    async def delete(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Delete a session.

        Raises:
            SessionNotFound: If there is none.
        """
        Query(scope)
        key = session_in_path(scope, self._current())
        if not await self._care.delete(key):
            raise SessionNotFound(key)
        await send_response(send, 200, msgspec.json.encode(SessionDeleted(id=key)))

    async def delete_all(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Delete everything of a user.

        Raises:
            InvalidRequest: If it isn't said whose.
        """
        query = Query(scope, ("user", "agent"))
        user = query.required("user")
        deleted = await self._care.delete_all(selection(query, self._current(), user=user))
        await send_response(send, 200, msgspec.json.encode(SessionsDeleted(user=user, deleted=deleted)))
