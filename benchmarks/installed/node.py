"""Node packages of others, without running their install scripts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.installed.command import run
from benchmarks.missing import Missing
from benchmarks.places import folder


def node_modules(name: str, dependencies: Mapping[str, str], overrides: Mapping[str, str]) -> Path:
    """Return the ``node_modules`` with these packages.

    Raises:
        Missing: If there is no Node.js with npm, or the packages can't be had.
    """
    if not shutil.which("npm") or not shutil.which("node"):
        raise Missing(f"{name} needs Node.js 20 or newer with npm.")
    place = folder("node", name)
    wanted = msgspec.json.encode({"private": True, "dependencies": dependencies, "overrides": overrides})
    marker = place / "installed.json"
    if not marker.exists() or marker.read_bytes() != wanted:
        (place / "package.json").write_bytes(wanted)
        run(name, ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--loglevel=error"], cwd=place)
        marker.write_bytes(wanted)
    return place / "node_modules"
