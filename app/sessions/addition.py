"""What is added to a session by a turn, as tables have it. A pure value; the statements are in ``sql``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.sessions.interrupted import plain
from app.sessions.message import Message, chained, digest


class Addition(NamedTuple):
    """What is to be stored of a turn; see ``SessionStore.append``.

    Attributes:
        expected: The head that the session has to have.
        head: The head that it gets.
        rows: The messages, as their table has them.
        now: When, in seconds since 1970.
    """

    session_key: str
    agent_id: str
    run_id: str
    expected: str | None
    head: str | None
    rows: Sequence[dict[str, Any]]
    now: float
    fence: int | None
    keyed: str | None


def rows_of(
    session_key: str, run_id: str, parent: str | None, new: Sequence[Message], now: float
) -> list[dict[str, Any]]:
    """Return messages as their table has them.

    Args:
        session_key: Their session.
        run_id: The run that they come from.
        parent: The id of the message that the first of them hangs on.
        new: The messages, oldest first.
        now: When they are stored, in seconds since 1970.
    """
    rows: list[dict[str, Any]] = []
    for message in new:
        content = digest(message)
        rows.append(
            {
                "session_key": session_key,
                "id": chained(parent, content),
                "parent": parent,
                "digest": content,
                "role": message.role,
                "body": bytes(message.raw),
                "run_id": plain(run_id),
                "created_at": now,
            }
        )
        parent = rows[-1]["id"]
    return rows
