"""What executes runs, put together and without any door: engines, session store, runs.

A served gateway and a run in the process of a command are made of the same. Knows no secret and no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from app.config import LoadedConfig, state_dir
from app.engines.registry import Engines
from app.runs.run import Runs
from app.sessions.deferred import DeferredStore, open_sqlite

STORE_FILE: Final = "sessions.sqlite3"


class Machinery:
    """The parts that a run needs, for as long as they are needed.

    Args:
        current: Returns the configuration in force.
        environ: Environment variables, for the state directory.

    Raises:
        ConfigError: If there is no telling where the state belongs.
    """

    def __init__(self, current: Callable[[], LoadedConfig], environ: Mapping[str, str]) -> None:
        self.place: Path = state_dir(environ) / STORE_FILE
        self.engines = Engines(lambda: current().config)
        self.store = DeferredStore(lambda: open_sqlite(str(self.place)))
        self.runs = Runs(self.engines, self.store)

    async def close(self) -> None:
        """Stop the engines and close the store; no run is under way any more."""
        try:
            await self.engines.close()
        finally:
            await self.store.close()
