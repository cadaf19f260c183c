"""What executes runs, put together and without any door: engines, session store, runs.

A served gateway and a run in the process of a command are made of the same. Knows no secret and no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final

from app.config import SQLITE, ConfigError, LoadedConfig, state_dir
from app.engines.registry import Engines
from app.runs.observer import RunObserver
from app.runs.run import Runs
from app.sessions.deferred import DeferredStore, open_postgresql, open_sqlite

STORE_FILE: Final = "sessions.sqlite3"


class Machinery:
    """The parts that a run needs, for as long as they are needed.

    Args:
        current: Returns the configuration in force.
        environ: Environment variables, for the state directory.
        observer: Wants to know of every run.
        outgoing: Returns headers that the requests to providers bring along besides.

    Raises:
        ConfigError: If there is no telling where the state belongs, or the database's driver is missing.
    """

    def __init__(
        self,
        current: Callable[[], LoadedConfig],
        environ: Mapping[str, str],
        observer: RunObserver | None = None,
        outgoing: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.engines = Engines(lambda: current().config, outgoing)
        self.store = session_store(current().config.session.store, environ)
        most = current().config.gateway.limits.max_runs  # gateway.* takes effect at the start only
        self.runs = Runs(
            self.engines, self.store, settings=lambda: current().config.session, most=most, observer=observer
        )

    async def close(self) -> None:
        """Stop the engines and close the store; no run is under way any more."""
        try:
            await self.engines.close()
        finally:
            await self.store.close()


def session_store(setting: str, environ: Mapping[str, str]) -> DeferredStore:
    """Return the store where a configuration keeps its sessions; it opens when it is used.

    Args:
        setting: What ``session.store`` says.
        environ: Environment variables, for the state directory.

    Raises:
        ConfigError: If there is no telling where the state belongs, or the database's driver is missing.
    """
    if setting == SQLITE:
        place = state_dir(environ) / STORE_FILE
        return DeferredStore(lambda: open_sqlite(str(place)))
    if find_spec("psycopg") is None:
        raise ConfigError(
            "PostgreSQL's driver is not installed", "Run: pip install 'zero-gateway[postgresql]'", path="session.store"
        )
    return DeferredStore(lambda: open_postgresql(setting), shared=True)
