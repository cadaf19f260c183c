"""The npm packages that make the TypeScript client, and the programs that they bring.

Owns their versions and where they are installed (build/sdks/node_modules, where the compiler looks for types on its
way up). Needs `npm` and `node` (20 or newer) on the path, and the registry once.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from contracts.sdks.generator import GeneratorError, run

PACKAGES: Final = (
    "@hey-api/openapi-ts@0.95.0",  # the last one for Node 20
    "typescript@5.9.3",  # the generator breaks on 7
    "@types/node@20.19.9",
)
_FLAGS: Final = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error")


def install(folder: Path) -> None:
    """Install the packages, unless they are there.

    Args:
        folder: What ``node_modules`` is made in.

    Raises:
        GeneratorError: npm is missing, or failed.
    """
    marker, wanted = folder / "node_modules" / ".zero-packages", "\n".join(PACKAGES)
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A manifest of its own, or npm would look for one further up.
    (folder / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
    run([program("npm"), "install", *_FLAGS, "--prefix", folder, *PACKAGES], folder)
    marker.write_text(wanted, encoding="utf-8")


def program(name: str) -> str:
    """Find a program of Node's.

    Raises:
        GeneratorError: It is not on the path.
    """
    found = shutil.which(name)
    if found is None:
        raise GeneratorError(f"{name} is not on the path. The TypeScript client needs Node 20 or newer, with npm.")
    return found
