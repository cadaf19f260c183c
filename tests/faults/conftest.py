"""The database that the fault test wants, on a server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PostgresqlServer


@pytest.fixture
def database() -> Iterator[PostgresqlPlace]:
    """An empty database of a real PostgreSQL server."""
    with PostgresqlServer() as server:
        yield PostgresqlPlace(server)
