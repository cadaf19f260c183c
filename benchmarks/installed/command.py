"""Commands that install something: quiet when they work, their last words in ``Missing`` when they don't."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.missing import Missing

_SECONDS: Final = 1200


def run(what: str, command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Run a command and return what it printed.

    Args:
        what: What it is for, for the message.
        command: The program and its arguments.
        cwd: Where to run it.

    Raises:
        Missing: If it can't be run, or fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, cwd=cwd, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Missing(f"{what}: {problem}") from problem
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "WARNING" not in line]
        raise Missing(f"{what}: {' / '.join(lines[-3:])[:300]}")
    return done.stdout
