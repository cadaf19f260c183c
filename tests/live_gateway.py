"""A gateway as its users run it: uvicorn in a process of its own, on a real port, with a configuration file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

TOKEN: Final = "test-token-0123456789"
START_SECONDS: Final = 30.0


def configuration(**overrides: Any) -> dict[str, Any]:
    """Return a configuration: token set, endpoint on, agents ``main`` and ``beta`` on the echo engine.

    Args:
        overrides: Top-level keys, merged deeply over it.
    """
    base: dict[str, Any] = {
        "gateway": {
            "auth": {"token": TOKEN, "rateLimit": {"enabled": False}},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        },
        "agents": {"list": [{"id": "main", "model": "echo/echo"}, {"id": "beta", "model": "echo/echo"}]},
    }
    return merged(base, overrides)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, objects key by key."""
    result = dict(base)
    for key, value in over.items():
        had = result.get(key)
        result[key] = merged(had, value) if isinstance(had, dict) and isinstance(value, dict) else value
    return result


AS_ZERO_GATEWAY: Final = ("--http", "app.http.uvicorn_connection:UvicornConnection")
"""What makes uvicorn's command line serve HTTP as ``zero gateway`` does."""
BARE: Final = ("--http", "httptools")
"""What undoes that."""


class LiveGateway:
    """Starts on construction, answers at ``url``, stops at ``stop()``; usable as a context manager.

    Args:
        folder: An empty folder for the configuration and the state; the process's HOME.
        config: The configuration.
        app: What uvicorn loads.
        environ: Further environment variables.
        port: The port, or 0 for a free one.
        arguments: Further arguments of uvicorn's command line, such as ``--no-proxy-headers``.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        app: str = "app:gateway",
        environ: Mapping[str, str] | None = None,
        port: int = 0,
        arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.config_file = folder / "zero.json"
        self.config_file.write_text(json.dumps(config))
        self.token = TOKEN
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / "gateway.log"
        self._log = self.log_file.open("ab")
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ZERO_")},
            "HOME": str(folder),
            "ZERO_CONFIG_PATH": str(self.config_file),
            "ZERO_STATE_DIR": str(folder / "state"),
            **(environ or {}),
        }
        self._app = app
        self._arguments = arguments
        try:
            self.process = self._start()
        except BaseException:
            self._log.close()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command(), env=self._environ, cwd=Path(__file__).parent.parent, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"the gateway ended with {process.returncode}:\n{self.log_file.read_text()}")
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                    return process
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        process.kill()
        process.wait()
        raise AssertionError(f"the gateway was not ready in {START_SECONDS} s:\n{self.log_file.read_text()}")

    def _command(self) -> list[str]:
        uvicorn = [
            sys.executable,
            "-m",
            "uvicorn",
            self._app,
            "--port",
            str(self.port),
            "--no-access-log",
            *AS_ZERO_GATEWAY,
        ]
        return [*uvicorn, *self._arguments]

    @property
    def log(self) -> str:
        """Everything the process has written so far."""
        return self.log_file.read_text()

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """Start again on the same port with the same configuration file and state."""
        self.stop_process()
        self.process = self._start()

    def stop_process(self) -> None:
        """End the process in good order, if it lives."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self) -> None:
        """End the process and close its log."""
        self.stop_process()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
