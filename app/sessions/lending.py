"""Whether a pooled connection to PostgreSQL still is one, seen before it is lent; mostly without a round trip.

A server that restarts or ends a connection says so, and then there is something to read. A firewall that forgets says
nothing, so what has lain there for a while is tried. Knows connections, and nothing of what is done with them.
"""

from __future__ import annotations

from select import POLLIN, poll
from time import monotonic
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

IDLE_SECONDS: Final = 5.0
"""After how long without use a connection is tried before it is lent."""


def check_when_lent(engine: Engine) -> None:
    """Have the engine's pool replace connections that are gone, so that they are nobody's failed request."""
    errors = engine.dialect.loaded_dbapi.Error

    def returned(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["returned"] = monotonic()

    def lent(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        since = record.info.get("returned")
        if since is None or (monotonic() - since < IDLE_SECONDS and not _has_news(connection)):
            return  # a new one, or one that was in order just now
        try:
            engine.dialect.do_ping(connection)
        except errors as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", lent)


def _has_news(connection: Any) -> bool:
    """Tell whether the server has said something that nobody has asked for: mostly that it hangs up."""
    own = connection.driver_connection
    if own.closed:
        return True
    looking = poll()
    looking.register(own.fileno(), POLLIN)
    return bool(looking.poll(0))
