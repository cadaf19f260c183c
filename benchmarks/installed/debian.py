"""Programs from Debian's packages: the machine's own if it has them, else unpacked beside, without installing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.installed.command import run
from benchmarks.missing import Missing
from benchmarks.places import folder


class Program(msgspec.Struct, frozen=True):
    """A program and the environment that it needs."""

    path: Path
    environ: Mapping[str, str]


def debian_program(name: str, *packages: str) -> Program:
    """Return a program.

    Args:
        name: The program.
        packages: The packages that have it and the libraries that a small Debian lacks.

    Raises:
        Missing: If it is neither on the machine nor to be had with ``apt-get download``.
    """
    if found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"):
        return Program(Path(found), {})
    root = folder("debian", name)
    if not (program := _unpacked(root, name)):
        advice = f"{name} is not installed (Debian: apt-get install {name}), and can't be downloaded"
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Missing(f"{advice}: there is no apt-get here.")
        try:
            run(advice, ["apt-get", "download", *packages], cwd=root)
        except Missing:
            run(advice, ["apt-get", "update"])  # the list of packages may be old, or not there yet
            run(advice, ["apt-get", "download", *packages], cwd=root)
        for archive in root.glob("*.deb"):
            run(f"unpacking {archive.name}", ["dpkg", "-x", archive, root])
        program = _unpacked(root, name)
        if not program:
            raise Missing(f"{advice}: its package doesn't have it.")
    libraries = sorted({str(file.parent) for file in root.glob("usr/lib/**/*.so*")})
    return Program(program, {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})


def _unpacked(root: Path, name: str) -> Path | None:
    return next((file for place in ("bin", "sbin") if (file := root / "usr" / place / name).exists()), None)
