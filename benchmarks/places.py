"""Where the suite keeps what it installs and what it writes. Nothing outside this folder is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
PROJECT: Final = SOURCES.parent
BUILD: Final = PROJECT / "build" / "benchmarks"
PROGRAMS: Final = SOURCES / "programs"
DOCUMENT: Final = PROJECT / "docs" / "performance.md"
PLOT: Final = PROJECT / "docs" / "performance.svg"


def folder(*names: str) -> Path:
    """Return a folder under ``build/benchmarks``, made if it isn't there."""
    path = BUILD.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path
