"""Gateways that are killed and started again at random.

Owns their processes. Each start is on another port, so that an address stands for one process: whoever is refused there
knows that this process, and every run in it, is dead.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.live_gateway import LiveGateway

_DEAD_SECONDS = 1.0
_SHORTEST_LIFE_SECONDS = 0.5


class Replica:
    """One gateway, whichever process it is at the moment. Starts on construction.

    Args:
        folder: An empty folder for its configuration, state and log.
        config: Its configuration.
        app: What is served.

    Attributes:
        kills: How often it was killed so far.
        killed_at: When it was killed last, by ``time.monotonic()``.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], app: str = "app:gateway") -> None:
        folder.mkdir()
        self._folder = folder
        self._config = config
        self._app = app
        self._live: LiveGateway | None = LiveGateway(folder, config, app=app)
        self.kills = 0
        self.killed_at = 0.0

    @property
    def port(self) -> int | None:
        """Where it listens; ``None`` while it is dead or starting."""
        live = self._live
        return live.port if live else None

    @property
    def log(self) -> str:
        """What all its processes have written."""
        return (self._folder / "gateway.log").read_text()

    def kill(self) -> None:
        """End the process as a power cut would."""
        live = self._live
        assert live is not None, "it is only killed while it lives"
        live.kill()
        self._live = None
        live.stop()
        self.kills += 1
        self.killed_at = time.monotonic()

    def start(self) -> None:
        """Start again, on another port, with the same state."""
        self._live = LiveGateway(self._folder, self._config, app=self._app)

    def stop(self) -> None:
        """End the process in good order, if there is one."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class Reaper(threading.Thread):
    """Kills a replica again and again, and starts it again each time; it lives when the thread has ended.

    Args:
        replica: The victim.
        life: How long it lives at most, in seconds, once it has started.
        chance: What the times come from.
        ended: Set when it is enough.
    """

    def __init__(self, replica: Replica, life: float, chance: random.Random, ended: threading.Event) -> None:
        super().__init__(name="reaper", daemon=True)
        self._replica = replica
        self._life = life
        self._chance = chance
        self._ended = ended

    def run(self) -> None:
        """Kill and start."""
        while not self._ended.wait(self._chance.uniform(_SHORTEST_LIFE_SECONDS, self._life)):
            self._replica.kill()
            self._ended.wait(self._chance.uniform(0, _DEAD_SECONDS))
            self._replica.start()


def any_port(replicas: Sequence[Replica], chance: random.Random) -> int | None:
    """Return the port of one that lives, if one does."""
    ports = [port for replica in replicas if (port := replica.port) is not None]
    return chance.choice(ports) if ports else None
