"""A gateway that must not start: what it says and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SECONDS = 30.0


def refusal(folder: Path, config: str | None, environ: Mapping[str, str] | None = None, *arguments: str) -> str:
    """Start ``uvicorn app:gateway`` with a configuration that it must refuse, and return what it prints.

    Args:
        folder: An empty folder for the configuration, ``zero.json``, and for the state.
        config: The text of the configuration file; ``None`` for no file.
        environ: Further environment variables.
        arguments: Further arguments of uvicorn.

    Raises:
        AssertionError: If it starts, ends with another code than 1, or prints a traceback.
        subprocess.TimeoutExpired: If it starts and stays.
    """
    file = folder / "zero.json"
    if config is not None:
        file.write_text(config)
    own = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZERO_")},
        "HOME": str(folder),
        "ZERO_CONFIG_PATH": str(file),
        "ZERO_STATE_DIR": str(folder / "state"),
        **(environ or {}),
    }
    # Port 0: if the refusal fails to come, nobody else's port is taken.
    ended = subprocess.run(
        [sys.executable, "-m", "uvicorn", "app:gateway", "--port", "0", *arguments],
        env=own,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 1, (ended.returncode, ended.stderr)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert not (folder / "state").exists(), "a refused start leaves nothing behind"
    return ended.stderr
