"""ZERO Gateway before the mock upstream, everything switched on that is on for users."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.server import Launch
from benchmarks.targets.target import KEY, MODELS, Place, Request, Target, body

PROGRAM: Final = Path(sys.executable).with_name("zero")


class Zero(Target):
    """Runs ``zero gateway`` with a token, an agent for each of the mock's models, sessions, metrics, and a line in its
    log for each request.

    Args:
        workers: How many processes serve.
        store: Where sessions are kept.
    """

    name = "zero"
    title = "ZERO Gateway"

    def __init__(self, workers: int = 1, store: str = "sqlite") -> None:
        self._workers = workers
        self._store = store

    def install(self) -> str:
        return importlib.metadata.version("zero-gateway")

    def launch(self, place: Place) -> Launch:
        config = {
            "gateway": {
                "auth": {"token": KEY},
                "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
                "metrics": {"enabled": True},
            },
            "models": {"providers": {"mock": {"baseUrl": f"http://127.0.0.1:{place.upstream}/v1", "apiKey": KEY}}},
            "agents": {
                "list": [
                    {"id": "echo", "model": "echo/echo"},
                    *({"id": model, "model": f"mock/{model}"} for model in MODELS),
                ]
            },
            "session": {"store": self._store},
        }
        file = place.folder / "zero.json"
        file.write_bytes(msgspec.json.encode(config))
        file.chmod(0o600)
        command: list[str | Path] = [
            PROGRAM,
            "gateway",
            "--config",
            file,
            "--port",
            str(place.port),
            "--workers",
            str(self._workers),
        ]
        environ = {"ZERO_STATE_DIR": str(place.folder / "state")}
        return Launch(command, "/healthz", environ, workers=self._workers)

    def request(self, model: str, *, stream: bool) -> Request:
        return Request("/v1/chat/completions", {"authorization": f"Bearer {KEY}"}, body(f"zero:{model}", stream=stream))
