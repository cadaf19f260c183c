"""A turn stored by one statement, and so in one round trip: for PostgreSQL alone. SQL, and nothing of runs."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text

from app.sessions.addition import Addition
from app.sessions.migrations import SCHEMA

APPEND: Final = text(f"""
    WITH held AS (
        SELECT revoked FROM {SCHEMA}.turns WHERE id = :fence AND session_key = :session FOR SHARE
    ), moved AS (
        UPDATE {SCHEMA}.sessions SET head = :head, updated_at = :now
        WHERE key = :session AND head = :expected AND EXISTS (SELECT 1 FROM held WHERE revoked IS NULL)
        RETURNING created_at
    ), added AS (
        INSERT INTO {SCHEMA}.messages (session_key, id, parent, digest, role, body, run_id, created_at)
        SELECT :session, new.id, new.parent, new.digest, new.role, new.body, :run, :now
        FROM moved, unnest(
            CAST(:ids AS text[]), CAST(:parents AS text[]), CAST(:digests AS text[]), CAST(:roles AS text[]),
            CAST(:bodies AS bytea[])
        ) AS new(id, parent, digest, role, body)
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT moved.created_at, (SELECT count(*) FROM added) AS added FROM moved
""")  # noqa: S608 - the name is a constant
"""Stores a turn of a session that there is, or nothing: if the lease is lost or revoked, or the session has moved on.

Does what ``SqlStore`` does in several statements, and locks the same rows in the same order: first the lease's, which
is waited for by whoever wants to take it over or to revoke it, then the session's. Gives ``created_at`` and how many
messages were ``added``; no row if nothing is stored.
"""


def appending(new: Addition) -> dict[str, Any]:
    """Return the statement's parameters."""
    return {
        "session": new.session_key,
        "fence": new.fence,
        "expected": new.expected,
        "head": new.head,
        "now": new.now,
        "run": new.rows[0]["run_id"],
        "ids": [row["id"] for row in new.rows],
        "parents": [row["parent"] for row in new.rows],
        "digests": [row["digest"] for row in new.rows],
        "roles": [row["role"] for row in new.rows],
        "bodies": [row["body"] for row in new.rows],
    }
