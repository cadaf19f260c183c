"""Our own programs in C: compiled when their source is newer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.installed.command import run
from benchmarks.missing import Missing
from benchmarks.places import PROGRAMS, folder


def compiled(name: str) -> Path:
    """Return the program made from ``programs/<name>.c``.

    Raises:
        Missing: If there is no C compiler, or it fails.
    """
    source, program = PROGRAMS / f"{name}.c", folder("programs") / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which(os.environ.get("CC") or "gcc") or shutil.which("cc")
    if compiler is None:
        raise Missing(
            "The benchmarks need a C compiler for their mock upstream and streaming client: install gcc and the C "
            "library's headers (Debian: apt-get install gcc libc6-dev), or name a compiler in CC."
        )
    run(f"compiling {source.name}", [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source])
    return program
