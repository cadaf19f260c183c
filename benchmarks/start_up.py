"""How long from starting the process to the first 200 on /healthz, with the echo engine.

The clock starts before ``python -m uvicorn app:gateway`` is spawned and stops when a request to /healthz is answered;
the port is asked every 5 ms. Prints the median and the extremes of several starts.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = 10
CONFIG = '{gateway: {auth: {token: "t"}, http: {endpoints: {chatCompletions: {enabled: true}}}}}'


def first_answer(folder: Path) -> float:
    """Start a gateway, wait for its first answer, stop it; return the seconds that took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "zero.json"
    config.write_text(CONFIG)
    environ = {**os.environ, "ZERO_CONFIG_PATH": str(config), "ZERO_STATE_DIR": str(folder)}
    began = time.perf_counter()
    command = [sys.executable, "-m", "uvicorn", "app:gateway", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command, env=environ, cwd=Path(__file__).parent.parent)  # noqa: S603 - our own command
    try:
        while time.perf_counter() - began < 30:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - began
            except OSError:
                time.sleep(0.005)
            finally:
                connection.close()
        raise SystemExit("the gateway did not answer within 30 s")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = sorted(first_answer(Path(folder)) for _ in range(STARTS))
    print(
        f"start to first 200 on /healthz, {STARTS} starts: median {statistics.median(seconds):.2f} s, "
        f"fastest {seconds[0]:.2f} s, slowest {seconds[-1]:.2f} s"
    )


if __name__ == "__main__":
    main()
