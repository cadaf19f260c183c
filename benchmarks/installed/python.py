"""Python packages of others, each with what it needs in an environment of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.installed.command import run
from benchmarks.places import folder


def python_environment(name: str, *requirements: str) -> Path:
    """Return the folder of an environment's programs. Only wheels are installed: no code runs for that.

    Raises:
        Missing: If the packages can't be had.
    """
    place = folder("venvs", name)
    wanted, marker = "\n".join(requirements), place / "requirements.txt"
    if not marker.exists() or marker.read_text() != wanted:
        run(f"an environment for {name}", [sys.executable, "-m", "venv", "--clear", place])
        quiet = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:")
        run(name, [place / "bin" / "python", "-m", "pip", "install", *quiet, *requirements])
        marker.write_text(wanted)
    return place / "bin"


def version_of(programs: Path, package: str) -> str:
    """Return the version of a package in an environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return run(package, [programs / "python", "-c", code]).strip()
