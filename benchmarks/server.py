"""A server as a process: started on its cores, waited for, asked what it uses, stopped with all that belongs to it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from benchmarks import cores
from benchmarks.accounting import cpu_seconds, memory_mib
from benchmarks.missing import Missing

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 10.0


class Launch(msgspec.Struct, frozen=True):
    """How a server is started."""

    command: Sequence[str | Path]
    ready_path: str
    """Answers 200 when the server can work."""
    environ: Mapping[str, str] = {}
    workers: int = 1


class Server:
    """Runs from construction, when its first 200 has come, until ``stop()``; usable as a context manager.

    Args:
        launch: What to start.
        port: Where it listens.
        folder: A folder for its log and whatever it writes.
        on: The cores for it.

    Raises:
        Missing: If it doesn't start.
    """

    def __init__(self, launch: Launch, port: int, folder: Path, on: frozenset[int]) -> None:
        self.port = port
        self._log = (folder / "log").open("wb")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ZERO_")}
        with cores.on(on):
            began = time.perf_counter()
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                launch.command,
                env={**environ, "HOME": str(folder), **launch.environ},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
        try:
            while not _answers(port, launch.ready_path):
                if self._process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    last = (folder / "log").read_text(errors="replace").strip()[-300:]
                    raise Missing(f"it doesn't start: {last}")
                time.sleep(0.005)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - began

    @property
    def cpu_seconds(self) -> float:
        """The processor time used so far, by all of its processes."""
        return cpu_seconds(self._process.pid)

    @property
    def memory_mib(self) -> float:
        """The memory of all of its processes, PSS."""
        return memory_mib(self._process.pid)

    def stop(self) -> None:
        """End it: in good order, and if that takes long at once. It leads a session of its own, which ends with it."""
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        except ProcessLookupError:
            self._process.wait()
        finally:
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


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
