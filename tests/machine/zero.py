"""``zero gateway`` in a process of its own, as an operator starts it, and what tests have to do to that process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.live_gateway import START_SECONDS, free_port

ROOT: Final = Path(__file__).parents[2]
STORE: Final = "sessions.sqlite3"


class Zero:
    """Starts on construction, and ends at the end of its block.

    Args:
        folder: A folder for its configuration and log.
        config: Its configuration.
        state: Its state directory, as the process sees it; one in ``folder`` if nothing is said.
        before: A command that starts it, such as ``nsenter``.
        files: How many descriptors it may have once it serves, when it has made up its mind about connections.
        files_at_start: How many it may have from the start, as ``ulimit -n`` says it.
        environ: Further environment variables.
        port: Its port; a free one if nothing is said.

    Attributes:
        started_in: The seconds from its start to its first answer.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        state: Path | None = None,
        before: Sequence[str] = (),
        files: int = 0,
        files_at_start: int = 0,
        environ: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "zero.json").write_text(json.dumps(config))
        self.state = state or folder / "state"
        self.port = port or free_port()
        self.log_file = folder / "gateway.log"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ZERO_")},
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),  # nsenter leaves the folder
            "ZERO_CONFIG_PATH": str(folder / "zero.json"),
            "ZERO_STATE_DIR": str(self.state),
            **(environ or {}),
        }
        self._before = before
        self._files = files
        self._files_at_start = files_at_start
        self.started_in = 0.0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.machine.instrumented", "gateway", "--port", str(self.port)]
        began = time.monotonic()
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [*self._before, *command], env=self.environ, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self._allow(process, self._files_at_start)
        while time.monotonic() < began + START_SECONDS:
            if process.poll() is not None:
                raise AssertionError(f"the gateway ended with {process.returncode}:\n{self.log}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                    self.started_in = time.monotonic() - began
                    self._allow(process, self._files)
                    return process
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        process.kill()
        process.wait()
        raise AssertionError(f"the gateway was not ready in {START_SECONDS} s:\n{self.log}")

    @staticmethod
    def _allow(process: subprocess.Popen[bytes], files: int) -> None:
        if files:  # the hard limit, too: a gateway allows itself what it may
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))

    @property
    def log(self) -> str:
        """Everything that it has written so far."""
        return self.log_file.read_text()

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it as the system does when there is no memory."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again, with the same state."""
        self.stop()
        self.process = self._start()

    def stop(self) -> None:
        """End it in good order, if it lives."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
