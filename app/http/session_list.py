"""``listSessions``, ``retrieveSession``, ``listSessionMessages`` and ``listSessionBranches``: what is stored, shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec
from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig
from app.contract.models import (
    Session,
    SessionBranch,
    SessionBranchList,
    SessionList,
    SessionMessage,
    SessionMessageList,
)
from app.errors import BranchNotFound, MessageNotFound, SessionNotFound, StoreUnavailable
from app.http.query import Query
from app.http.response import send_response
from app.http.session_names import message_id, selection, session_in_path, session_key
from app.log import logger
from app.sessions.archive import ArchivedMessage, Branch, Outline, branches_of
from app.sessions.store import SessionRecord, SessionStore, StoreError

PAGE_BYTES: Final = 1_000_000
"""What the messages of a page have together, unless a single one is larger."""

_log = logger("zero.http")


class _Listed(Protocol):
    id: str


class SessionViews:
    """Shows sessions.

    Args:
        store: Where they are.
        current: Returns the configuration in force.
    """

    def __init__(self, store: SessionStore, current: Callable[[], LoadedConfig]) -> None:
        self._store = store
        self._current = current

    async def list(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with a page of sessions.

        Raises:
            InvalidRequest: If a parameter is malformed.
            SessionNotFound: If ``after`` is no session.
        """
        query = Query(scope, ("agent", "user", "search", "limit", "after"))
        wanted, limit, after = selection(query, self._current()), query.limit(), query.text("after")
        async with readable():
            last = None
            if after is not None:
                last = await self._store.session(session_key(after, self._current(), param="after"))
                if last is None:
                    raise SessionNotFound(after, param="after")
            records = await self._store.archive.listing(wanted, limit=limit + 1, after=last)
        shown = [described(record) for record in records[:limit]]
        first_id, last_id = _ends(shown)
        answer = SessionList(data=shown, first_id=first_id, last_id=last_id, has_more=len(records) > limit)
        await send_response(send, 200, msgspec.json.encode(answer))

    async def retrieve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with one session.

        Raises:
            SessionNotFound: If there is none.
        """
        Query(scope)
        outline = await self._outline(session_in_path(scope, self._current()))
        branches = branches_of(outline)
        answer = described(outline.record)
        answer.message_count = sum(branch.messages for branch in branches if branch.active)
        answer.branch_count = len(branches)
        await send_response(send, 200, msgspec.json.encode(answer))

    async def messages(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with a page of messages, the newest first.

        Raises:
            SessionNotFound: If there is no such session.
            InvalidRequest: If a parameter is malformed.
            BranchNotFound: If it has no such branch.
            MessageNotFound: If ``after`` is none of its messages.
        """
        query = Query(scope, ("branch", "limit", "after"))
        key, limit = session_in_path(scope, self._current()), query.limit()
        branch, after = _message(query, "branch"), _message(query, "after")
        async with readable():
            if await self._store.session(key) is None:
                raise SessionNotFound(key)
            try:
                page = await self._store.archive.page(
                    key, branch=branch, after=after, limit=limit, max_bytes=PAGE_BYTES
                )
            except LookupError:
                if after is not None:
                    raise MessageNotFound(after, param="after") from None
                raise BranchNotFound(branch or "") from None
        shown = [_shown(message) for message in page.messages]
        first_id, last_id = _ends(shown)
        answer = SessionMessageList(data=shown, first_id=first_id, last_id=last_id, has_more=page.more)
        await send_response(send, 200, msgspec.json.encode(answer))

    async def branches(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with a page of branches.

        Raises:
            SessionNotFound: If there is no such session.
            InvalidRequest: If a parameter is malformed.
            BranchNotFound: If ``after`` is none of its branches.
        """
        query = Query(scope, ("limit", "after"))
        limit, after = query.limit(), _message(query, "after")
        found = branches_of(await self._outline(session_in_path(scope, self._current())))
        if after is not None:
            at = next((at for at, branch in enumerate(found) if branch.id == after), None)
            if at is None:
                raise BranchNotFound(after, param="after")
            found = found[at + 1 :]
        shown = [_branch(branch) for branch in found[:limit]]
        first_id, last_id = _ends(shown)
        answer = SessionBranchList(data=shown, first_id=first_id, last_id=last_id, has_more=len(found) > limit)
        await send_response(send, 200, msgspec.json.encode(answer))

    async def _outline(self, key: str) -> Outline:
        async with readable():
            outline = await self._store.archive.outline(key)
        if outline is None:
            raise SessionNotFound(key)
        return outline


@asynccontextmanager
async def readable() -> AsyncIterator[None]:
    """Turn the store's failures into an answer.

    Raises:
        StoreUnavailable: Instead of ``StoreError``.
    """
    try:
        yield
    except StoreError as error:
        _log.error("%s", error)
        raise StoreUnavailable from error


def described(record: SessionRecord) -> Session:
    """Return a session as the contract shows it."""
    return Session(id=record.key, agent=record.agent_id, created_at=record.created_at, updated_at=record.updated_at)


def _message(query: Query, param: str) -> str | None:
    value = query.text(param)
    return message_id(value, param=param) if value is not None else None


def _shown(message: ArchivedMessage) -> SessionMessage:
    return SessionMessage(
        id=message.id,
        parent=message.parent,
        digest=message.digest,
        role=message.role,
        run_id=message.run_id,
        created_at=message.created_at,
        body=message.body,
    )


def _branch(branch: Branch) -> SessionBranch:
    return SessionBranch(
        id=branch.id, active=branch.active, message_count=branch.messages, updated_at=branch.updated_at
    )


def _ends(shown: Sequence[_Listed]) -> tuple[str | None, str | None]:
    return (shown[0].id, shown[-1].id) if shown else (None, None)
