"""``sessions.*`` and ``chat.history``: what the store keeps, listed, shown, emptied and deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import time
from typing import Literal

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
from app.errors import StoreUnavailable
from app.routing.agent_name import DEFAULT_ALIAS
from app.routing.session_key import full_key, parse_requested
from app.runs.run import Runs
from app.sessions.message import Message
from app.sessions.store import SessionRecord, SessionStore, StoreError
from app.ws.agent_methods import target_of
from app.ws.caller import Caller
from app.ws.failure import MethodFailed
from app.ws.run_events import now
from app.ws.spoken import chat_message, text_of

DEFAULT_ROWS = 100
DEFAULT_MESSAGES = 200
PREVIEW_ITEMS = 12
PREVIEW_CHARS = 240
TITLE_CHARS = 80


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
        if params.archived is not True:  # there are none of those
            rows, total = await self.recent(
                limit=params.limit or DEFAULT_ROWS,
                offset=params.offset or 0,
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
            has_more=(params.offset or 0) + len(rows) < total,
            defaults=self.defaults(),
            sessions=rows,
        )

    async def describe(self, params: SessionsDescribeParams, _caller: Caller) -> SessionsDescribeResult:
        """Show one session."""
        record = await self._record(self._key(params.key))
        if record is None:
            return SessionsDescribeResult(session=None)
        row = self._row(record)
        await self._add_words([row], params)
        return SessionsDescribeResult(session=row)

    async def preview(self, params: SessionsPreviewParams, _caller: Caller) -> SessionsPreviewResult:
        """Show the last words of several sessions."""
        limit, chars = params.limit or PREVIEW_ITEMS, params.max_chars or PREVIEW_CHARS
        return SessionsPreviewResult(ts=now(), previews=[await self._preview(key, limit, chars) for key in params.keys])

    async def history(self, params: ChatHistoryParams, _caller: Caller) -> ChatHistoryResult | ChatHistoryResetResult:
        """Show what was said in a session, oldest first."""
        if params.cursor:
            return ChatHistoryResetResult()
        key = self._key(params.session_key, params.agent_id or "")
        messages = await self._messages(key)
        end = max(len(messages) - (params.offset or 0), 0)
        begin = max(end - (params.limit or DEFAULT_MESSAGES), 0)
        shown = [chat_message(message, max_chars=params.max_chars or None) for message in messages[begin:end]]
        return ChatHistoryResult(session_key=key, messages=shown, has_more=begin > 0)

    async def reset(self, params: SessionsResetParams, _caller: Caller) -> SessionsResetResult:
        """Empty a session."""
        key = self._key(params.key, params.agent_id or "")
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
        key = self._key(params.key, params.agent_id or "")
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
        for row in rows:
            messages = await self._messages(row.key)
            first = next((text_of(message) for message in messages if message.role == "user"), "")
            if params.include_derived_titles and first:
                row.derived_title = first[:TITLE_CHARS]
            if params.include_last_message and messages:
                row.last_message_preview = text_of(messages[-1])[:PREVIEW_CHARS]

    async def _preview(self, requested: str, limit: int, chars: int) -> SessionPreview:
        key = self._key(requested)
        messages = await self._messages(key)
        if not messages:
            record = await self._record(key)
            return SessionPreview(key=requested, status="missing" if record is None else "empty", items=[])
        items = [
            SessionPreviewItem(role=_preview_role(message), text=text_of(message)[:chars])
            for message in messages[-limit:]
        ]
        return SessionPreview(key=requested, status="ok", items=items)

    async def _record(self, key: str) -> SessionRecord | None:
        try:
            return await self._store.session(key)
        except StoreError as error:
            raise StoreUnavailable from error

    async def _messages(self, key: str) -> list[Message]:
        try:
            return [stored.message for stored in await self._store.history(key)]
        except StoreError as error:
            raise StoreUnavailable from error

    def _key(self, key: str, agent_id: str = "") -> str:
        requested = parse_requested(key)
        if requested.agent_id is not None and requested.agent_id != DEFAULT_ALIAS and not agent_id:
            # Its agent may have left the configuration; the session is still there to be shown or removed.
            return full_key(requested.agent_id, requested.rest)
        return target_of(agent_id, key, self._current()).session_key

    def _abort(self, key: str, why: str) -> None:
        for run in self._runs.active.of_session(key):
            run.abort(why)


def _preview_role(message: Message) -> Literal["user", "assistant", "tool"]:
    if message.role == "assistant":
        return "assistant"
    return "user" if message.role == "user" else "tool"
