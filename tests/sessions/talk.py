"""Conversations as the suite writes and reads them."""

from __future__ import annotations

from collections.abc import Sequence

from app.sessions.message import Message
from app.sessions.store import SessionStore, StoredMessage
from tests.unit.conversation import script

KEY = "agent:main:k"


async def append(
    store: SessionStore,
    *messages: Message,
    behind: Sequence[StoredMessage] = (),
    fork_at: int | None = None,
    key: str = KEY,
    run_id: str = "run_1",
    fence: int | None = None,
) -> None:
    """Append messages to a history, at its end or behind its first ``fork_at`` messages."""
    kept = list(behind)[:fork_at]
    await store.append(
        key,
        key.split(":")[1],
        run_id,
        expected_head=behind[-1].id if behind else None,
        parent=kept[-1].id if kept else None,
        messages=messages,
        fence=fence,
    )


async def written(store: SessionStore, key: str = KEY) -> list[str]:
    """Write the active branch of a session down."""
    return script(stored.message for stored in await store.history(key))
