"""Virtual environments of applications under `build/clients`, made once and kept until what is wanted of them changes.

Owns where they are and when they are new enough. Knows no application. Needs the package index, once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "clients"
_MARK: Final = "installed"
SECONDS: Final = 1800.0
"""The longest an installation may take."""


def programs_of(name: str, steps: Sequence[str]) -> Path:
    """Install packages into an environment of their own, unless they are there.

    Args:
        name: The environment's name.
        steps: What pip is to install, one requirement after the other, each with all it needs.

    Returns:
        The folder that has the environment's programs.

    Raises:
        RuntimeError: The installation failed.
    """
    folder = _FOLDER / name
    mark = folder / _MARK
    wanted = "\n".join([sys.version, *steps])
    if not mark.is_file() or mark.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        for step in steps:
            _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", step)
        mark.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
