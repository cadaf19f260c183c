"""What API keys have used, in a PostgreSQL database: one row for each key, one statement for each request.

The statement decides and deducts at once, on the row that it has locked; so two gateways never take the same rest. SQL,
and nothing of secrets or requests. The arithmetic is that of ``app.security.key_uses``, with the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from string import Template
from typing import Final

from sqlalchemy import TextClause, text

from app.sessions.core_engine import AsyncConnection
from app.sessions.key_uses import KeyStanding
from app.sessions.migrations import SCHEMA

_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

_WORDS: Final = {
    "table": f"{SCHEMA}.key_uses",
    "now": "CAST(extract(epoch FROM statement_timestamp()) AS float8)",
    # What is further ahead than it can be is of before the server's clock was put back.
    "requests": "greatest(least(k.requests_until, $now + CAST(:window AS float8)) - $now, 0)",
    "tokens": "greatest(least(k.tokens_until, $now + CAST(:debt AS float8)) - $now, 0)",
    # A process that died has not renewed its places.
    "held": "jsonb_each(k.running) AS place WHERE CAST(place.value AS float8) > $now",
    "own": "jsonb_build_object(CAST(:run_id AS text), $now + :lease)",
    "limited": "CAST(:most AS int) IS NOT NULL",
}


def _sql(statement: str) -> TextClause:
    for _ in range(2):  # words are made of words
        statement = Template(statement).substitute(_WORDS)
    return text(statement)


_TAKE: Final = _sql("""
    INSERT INTO $table AS k (name, requests_until, tokens_until, running)
    VALUES (:name, $now + :requests, $now + :tokens, CASE WHEN $limited THEN $own ELSE '{}' END)
    ON CONFLICT (name) DO UPDATE SET
        requests_until = $now + $requests + :requests,
        tokens_until = $now + $tokens + :tokens,
        running = CASE WHEN $limited
            THEN (SELECT coalesce(jsonb_object_agg(place.key, place.value), '{}') FROM $held) || $own
            ELSE k.running END
    WHERE (CAST(:requests AS float8) = 0 OR $requests + :requests <= :window)
      AND (CAST(:tokens AS float8) = 0 OR $tokens + :tokens <= :window)
      AND (NOT $limited OR (SELECT count(*) FROM $held) < CAST(:most AS int))
    RETURNING true, $requests, $tokens, (SELECT count(*) FROM $held)""")

_STANDING: Final = _sql("""
    SELECT false, $requests, $tokens, (SELECT count(*) FROM $held) FROM $table AS k WHERE name = :name""")

_SETTLE: Final = _sql("""
    UPDATE $table AS k
    SET tokens_until = $now + $tokens + :tokens, running = k.running - CAST(:run_id AS text) WHERE name = :name""")

_RENEW: Final = _sql("""
    UPDATE $table AS k
    SET running = (SELECT coalesce(jsonb_object_agg(place.key, CASE WHEN place.key = ANY(CAST(:run_ids AS text[]))
        THEN to_jsonb($now + :lease) ELSE place.value END), '{}') FROM jsonb_each(k.running) AS place)
    WHERE name = :name""")


class PostgresqlKeyLedger:
    """A ledger in a database; see ``KeyLedger``.

    Args:
        lend: Lends a connection on which each statement stands alone.
    """

    def __init__(self, lend: _Lend) -> None:
        self._lend = lend

    async def take(
        self,
        key: str,
        run_id: str,
        *,
        requests: float,
        tokens: float,
        most: int | None,
        window_seconds: float,
        debt_seconds: float,
        lease_seconds: float,
    ) -> KeyStanding:
        """See ``KeyLedger``."""
        values = {
            "name": key,
            "run_id": run_id,
            "requests": requests,
            "tokens": tokens,
            "most": most,
            "window": window_seconds,
            "debt": debt_seconds,
            "lease": lease_seconds,
        }
        async with self._lend() as connection:
            row = (await connection.execute(_TAKE, values)).first()
            if row is None:
                asked = {"name": key, "window": window_seconds, "debt": debt_seconds}
                row = (await connection.execute(_STANDING, asked)).one()
            return KeyStanding(*row)

    async def settle(self, key: str, run_id: str, *, tokens: float, debt_seconds: float) -> None:
        """See ``KeyLedger``."""
        values = {"name": key, "run_id": run_id, "tokens": tokens, "debt": debt_seconds}
        async with self._lend() as connection:
            await connection.execute(_SETTLE, values)

    async def renew(self, key: str, run_ids: Collection[str], *, lease_seconds: float) -> None:
        """See ``KeyLedger``."""
        async with self._lend() as connection:
            await connection.execute(_RENEW, {"name": key, "run_ids": list(run_ids), "lease": lease_seconds})
