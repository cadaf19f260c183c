"""The places that the suite is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sessions.place import Place, PostgresqlPlace, SqlitePlace
from tests.sessions.postgresql_server import PostgresqlServer


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A real server, for all tests that want one."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture
def database(postgresql_server: PostgresqlServer) -> PostgresqlPlace:
    """An empty PostgreSQL database."""
    return PostgresqlPlace(postgresql_server)


@pytest.fixture
def file(tmp_path: Path) -> SqlitePlace:
    """A SQLite file that isn't there yet."""
    return SqlitePlace(tmp_path / "sessions.sqlite3")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of them: whatever asks for this runs once on SQLite and once on PostgreSQL."""
    found: Place = request.getfixturevalue({"sqlite": "file", "postgresql": "database"}[request.param])
    return found
