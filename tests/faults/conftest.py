"""Keeps these tests out of a run that doesn't name them: they take a minute and all of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PostgresqlServer

_HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass these tests by, unless their folder, or something in it, was named on the command line."""
    named = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    return None if any(path == _HERE or _HERE in path.parents for path in named) else True


@pytest.fixture
def database() -> Iterator[PostgresqlPlace]:
    """An empty database of a real PostgreSQL server."""
    with PostgresqlServer() as server:
        yield PostgresqlPlace(server)
