"""``sessions.*`` and ``chat.history``: what the store keeps, listed, shown, emptied and deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import time
from typing import Final, Literal

from msgspec import UNSET

from app.config import LoadedConfig
from app.contract.frames import (
    ChatHistoryParams,
    ChatHistoryResetResult,
    ChatHistoryResult,
    SessionEntry,
    SessionPreview,
    SessionPreviewItem,
    SessionRow,
    SessionsDefaults,
    SessionsDeleteParams,
    SessionsDeleteResult,
    SessionsDescribeParams,
    SessionsDescribeResult,
    SessionsListParams,
    SessionsListResult,
    SessionsPreviewParams,
    SessionsPreviewResult,
    SessionsResetParams,
    SessionsResetResult,
    SessionsSubscribeParams,
    SessionsSubscribeResult,
)
from app.errors import InvalidRequest, StoreUnavailable
from app.runs.run import Runs
from app.sessions.message import Message
from app.sessions.store import Excerpt, SessionRecord, SessionStore, StoreError
from app.ws.caller import Caller
from app.ws.failure import MethodFailed
from app.ws.history_page import PAGE_BYTES, TOO_LARGE, page
from app.ws.run_events import now
from app.ws.spoken import text_of
from app.ws.target import key_of

DEFAULT_ROWS: Final = 100
MAX_ROWS: Final = 1_000
MAX_TOLD_ROWS: Final = 100
"""Rows at most where titles or last messages are wanted: for these the sessions themselves have to be read."""
TOLD_BYTES: Final = 128 * 1024
"""The largest message that a title or a last message is made of."""
DEFAULT_MESSAGES: Final = 200
MAX_PREVIEWS: Final = 100
PREVIEW_ITEMS: Final = 12
PREVIEW_CHARS: Final = 240
TITLE_CHARS: Final = 80
_FAR: Final = 2**31
"""Further than any list goes. Clients may ask for what lies beyond, in numbers that no database knows."""


class SessionMethods:
    """Answers the methods about sessions.

    Args:
        store: Where sessions are.
        runs: Whose runs are aborted before a session goes.
        current: Returns the configuration in force.
        path: What is called the sessions' place, for people.
    """

    def __init__(self, store: SessionStore, runs: Runs, current: Callable[[], LoadedConfig], path: str) -> None:
        self._store = store
        self._runs = runs
        self._current = current
        self.path = path

    async def listing(self, params: SessionsListParams, _caller: Caller) -> SessionsListResult:
        """List sessions, the last changed first."""
        rows: list[SessionRow] = []
        total = 0
        told = bool(params.include_derived_titles or params.include_last_message)
        offset = min(params.offset or 0, _FAR)
        if params.archived is not True:  # there are none of those
            rows, total = await self.recent(
                limit=min(params.limit or DEFAULT_ROWS, MAX_TOLD_ROWS if told else MAX_ROWS),
                offset=offset,
                agent_id=params.agent_id or None,
                agents=tuple(self._current().agents) if params.configured_agents_only is True else None,
                since=time() - params.active_minutes * 60 if params.active_minutes else 0.0,
                search=params.search or "",
            )
            await self._add_words(rows, params)
        return SessionsListResult(
            ts=now(),
            path=self.path,
            count=len(rows),
            total_count=total,
            has_more=offset + len(rows) < total,
            defaults=self.defaults(),
            sessions=rows,
        )

    async def describe(self, params: SessionsDescribeParams, _caller: Caller) -> SessionsDescribeResult:
        """Show one session."""
        record = await self._record(self._key(params.key, param="key"))
        if record is None:
            return SessionsDescribeResult(session=None)
        row = self._row(record)
        await self._add_words([row], params)
        if not row.has_active_run and await self._was_interrupted(record):
            row.status = "killed"
        return SessionsDescribeResult(session=row)

    async def preview(self, params: SessionsPreviewParams, _caller: Caller) -> SessionsPreviewResult:
        """Show the last words of several sessions."""
        if len(params.keys) > MAX_PREVIEWS:
            raise InvalidRequest(f"At most {MAX_PREVIEWS} keys can be asked for at once.", param="keys")
        keys = [self._key(key, param="keys") for key in params.keys]
        limit, chars = min(params.limit or PREVIEW_ITEMS, _FAR), params.max_chars or PREVIEW_CHARS
        found = await self._excerpts(keys, latest=limit, max_bytes=PAGE_BYTES // len(keys))
        previews = [_preview(said, found.get(key), chars) for said, key in zip(params.keys, keys, strict=True)]
        return SessionsPreviewResult(ts=now(), previews=previews)

    async def history(self, params: ChatHistoryParams, caller: Caller) -> ChatHistoryResult | ChatHistoryResetResult:
        """Show what was said in a session, oldest first: a page of the latest messages, or of those before them."""
        if params.cursor:
            return ChatHistoryResetResult()
        key = key_of(params.session_key, params.agent_id or "", self._current(), caller.key)
        offset, limit = min(params.offset or 0, _FAR), params.limit or DEFAULT_MESSAGES
        excerpt = await self._excerpt(key, latest=limit, skip=offset, max_bytes=PAGE_BYTES)
        if not excerpt.latest and offset < excerpt.total:  # the next message alone is larger than a page
            excerpt = await self._excerpt(key, latest=1, skip=offset, max_bytes=_FAR)
        shown = page(excerpt.latest, max_chars=params.max_chars or None)
        end = offset + len(shown)
        more = bool(shown) and end < excerpt.total
        return ChatHistoryResult(
            session_key=key,
            messages=shown,
            offset=offset,
            has_more=more,
            next_offset=end if more else UNSET,
            total_messages=excerpt.total,
        )

    async def reset(self, params: SessionsResetParams, _caller: Caller) -> SessionsResetResult:
        """Empty a session."""
        key = self._key(params.key, params.agent_id or "", param="key")
        self._abort(key, "its session was reset")
        try:
            record = await self._store.reset(key)
        except StoreError as error:
            raise StoreUnavailable from error
        if record is None:
            raise MethodFailed("INVALID_REQUEST", f"there is no session {key!r}")
        self._runs.changes.publish(key, record.agent_id, "reset")
        return SessionsResetResult(key=key, entry=SessionEntry(updated_at=int(record.updated_at * 1000)))

    async def delete(self, params: SessionsDeleteParams, _caller: Caller) -> SessionsDeleteResult:
        """Remove a session."""
        key = self._key(params.key, params.agent_id or "", param="key")
        self._abort(key, "its session was deleted")
        try:
            record = await self._store.session(key)
            deleted = await self._store.delete(key)
        except StoreError as error:
            raise StoreUnavailable from error
        if deleted and record is not None:
            self._runs.changes.publish(key, record.agent_id, "delete")
        return SessionsDeleteResult(key=key, deleted=deleted, archived=[])

    async def subscribe(self, _params: SessionsSubscribeParams, caller: Caller) -> SessionsSubscribeResult:
        """Have the connection told of changes."""
        caller.subscribe(True)
        return SessionsSubscribeResult(subscribed=True)

    async def unsubscribe(self, _params: SessionsSubscribeParams, caller: Caller) -> SessionsSubscribeResult:
        """Stop that."""
        caller.subscribe(False)
        return SessionsSubscribeResult(subscribed=False)

    async def recent(
        self,
        *,
        limit: int,
        offset: int = 0,
        agent_id: str | None = None,
        agents: Collection[str] | None = None,
        since: float = 0.0,
        search: str = "",
    ) -> tuple[list[SessionRow], int]:
        """Return rows of sessions, the last changed first, and how many there are in all.

        Raises:
            StoreUnavailable: If the store can't be read.
        """
        try:
            records, total = await self._store.sessions(
                limit=limit, offset=offset, agent_id=agent_id, agents=agents, since=since, search=search
            )
        except StoreError as error:
            raise StoreUnavailable from error
        return [self._row(record) for record in records], total

    def defaults(self) -> SessionsDefaults:
        """Return what a session has that says nothing else: the default agent's model."""
        loaded = self._current()
        model = loaded.agents[loaded.default_agent].model
        return SessionsDefaults(model_provider=model.provider, model=model.model, context_tokens=None)

    def _row(self, record: SessionRecord) -> SessionRow:
        active = [run.run_id for run in self._runs.active.of_session(record.key)]
        agent = self._current().agents.get(record.agent_id)
        return SessionRow(
            key=record.key,
            agent_id=record.agent_id,
            display_name=record.key.split(":", 2)[-1],
            created_at=int(record.created_at * 1000),
            updated_at=int(record.updated_at * 1000),
            has_active_run=bool(active),
            active_run_ids=active,
            model=agent.model.model if agent is not None else UNSET,
            model_provider=agent.model.provider if agent is not None else UNSET,
        )

    async def _add_words(self, rows: list[SessionRow], params: SessionsListParams | SessionsDescribeParams) -> None:
        """Add what the messages say to the rows, as far as it is asked for."""
        if not (params.include_derived_titles or params.include_last_message):
            return
        opening = params.include_derived_titles is True
        found = await self._excerpts([row.key for row in rows], latest=1, max_bytes=TOLD_BYTES, opening=opening)
        for row in rows:
            excerpt = found.get(row.key)  # or it has been deleted meanwhile
            if excerpt is None:
                continue
            if excerpt.opening is not None and (title := text_of(excerpt.opening)):
                row.derived_title = title[:TITLE_CHARS]
            if params.include_last_message and excerpt.total:
                row.last_message_preview = _last_words(excerpt)[:PREVIEW_CHARS]

    async def _was_interrupted(self, record: SessionRecord) -> bool:
        """Tell whether a run of the session has ended with its process since the session last changed."""
        try:
            runs = await self._store.interrupted(record.key)
        except StoreError as error:
            raise StoreUnavailable from error
        return any(run.started_at > record.updated_at for run in runs)

    async def _record(self, key: str) -> SessionRecord | None:
        try:
            return await self._store.session(key)
        except StoreError as error:
            raise StoreUnavailable from error

    async def _excerpts(
        self, keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        try:
            return await self._store.excerpts(keys, latest=latest, skip=skip, max_bytes=max_bytes, opening=opening)
        except StoreError as error:
            raise StoreUnavailable from error

    async def _excerpt(self, key: str, *, latest: int, skip: int, max_bytes: int) -> Excerpt:
        found = await self._excerpts([key], latest=latest, skip=skip, max_bytes=max_bytes)
        return found.get(key, Excerpt(0, None, ()))

    def _key(self, key: str, agent_id: str = "", *, param: str = "sessionKey") -> str:
        return key_of(key, agent_id, self._current(), param=param)

    def _abort(self, key: str, why: str) -> None:
        for run in self._runs.active.of_session(key):
            run.abort(why)


def _preview(requested: str, excerpt: Excerpt | None, chars: int) -> SessionPreview:
    if excerpt is None or not excerpt.total:
        return SessionPreview(key=requested, status="missing" if excerpt is None else "empty", items=[])
    items = [
        SessionPreviewItem(role=_preview_role(message), text=text_of(message)[:chars]) for message in excerpt.latest
    ]
    # Where even the last message is too large there is something all the same.
    return SessionPreview(
        key=requested, status="ok", items=items or [SessionPreviewItem(role="system", text=TOO_LARGE)]
    )


def _last_words(excerpt: Excerpt) -> str:
    return text_of(excerpt.latest[-1]) if excerpt.latest else TOO_LARGE


def _preview_role(message: Message) -> Literal["user", "assistant", "tool"]:
    if message.role == "assistant":
        return "assistant"
    return "user" if message.role == "user" else "tool"
