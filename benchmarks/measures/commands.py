"""How long a command takes that only says what there is."""

from __future__ import annotations

import statistics
import subprocess
import time

from benchmarks import cores
from benchmarks.targets.zero import PROGRAM


def measure() -> dict[str, float]:
    """Run ``zero --help`` ten times."""
    times = []
    with cores.on(cores.serving()):
        for _ in range(10):
            began = time.perf_counter()
            subprocess.run([PROGRAM, "--help"], capture_output=True, check=True)  # noqa: S603 - our own command
            times.append(time.perf_counter() - began)
    return {"help_s": statistics.median(times)}
