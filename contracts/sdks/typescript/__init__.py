"""The TypeScript client: @hey-api/openapi-ts, with what it can't write (streaming.ts) and a package around it.

Owns its settings (openapi-ts.config.mjs, tsconfig.json) and the package's manifest.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import yaml

from contracts.sdks.generator import FOLDER, Client, refuse_remarks, run
from contracts.sdks.readme import readme
from contracts.sdks.typescript.npm import install, program

PACKAGE: Final = "zero-gateway-client"
TOLERATED: Final[dict[str, str]] = {}
"""Warnings of the generator that we live with, each with the reason. There are none."""

_HERE: Final = Path(__file__).parent
_ORDINARY: Final = (
    r"@hey-api/openapi-ts v[\d.]+",
    r"\[Job 1\] . Generating from 1 input:",
    r"\[Job 1\]\s+\[1\] .*",
    r"\[Job 1\] . Done! Your output is in .*",
)


def build(contract: Path, folder: Path, tools: Path = FOLDER) -> Client:
    """Generate the package ``zero-gateway-client`` and compile it, which checks its types.

    Args:
        contract: The OpenAPI document.
        folder: What the package's folder, ``typescript``, is made in. An earlier one is replaced.
        tools: What generator and compiler are installed in.

    Raises:
        GeneratorError: npm, the generator or the compiler failed, or the generator warned.
    """
    install(tools)
    home = folder / "typescript"
    shutil.rmtree(home, ignore_errors=True)
    sources = home / "src"
    sources.mkdir(parents=True)
    generator = tools / "node_modules" / "@hey-api" / "openapi-ts" / "bin" / "run.js"
    command: list[str | Path] = [program("node"), generator, "-f", _HERE / "openapi-ts.config.mjs", "--no-log-file"]
    printed = run(command, folder, {"CONTRACT": str(contract), "OUTPUT": str(sources / "generated")})
    refuse_remarks(printed, _ORDINARY, TOLERATED)
    for name in ("index.ts", "streaming.ts"):
        shutil.copy(_HERE / name, sources)
    shutil.copy(_HERE / "tsconfig.json", home)
    (home / "README.md").write_text(readme("TypeScript", "typescript"), encoding="utf-8")
    (home / "package.json").write_text(json.dumps(_manifest(contract), indent=2) + "\n", encoding="utf-8")
    compile_sources(home, tools)
    return Client("TypeScript", home, "tsc --strict")


def compile_sources(project: Path, tools: Path = FOLDER) -> None:
    """Run the TypeScript compiler.

    Args:
        project: The folder with the ``tsconfig.json``.
        tools: What it is installed in.

    Raises:
        GeneratorError: It found something.
    """
    compiler = tools / "node_modules" / "typescript" / "bin" / "tsc"
    run([program("node"), compiler, "--project", project], project)


def _manifest(contract: Path) -> dict[str, object]:
    info = yaml.safe_load(contract.read_bytes())["info"]
    return {
        "name": PACKAGE,
        "version": info["version"],
        "description": f"A client of {info['title']}, generated from its contract.",
        "license": info["license"]["name"],
        "type": "module",
        "exports": {".": {"types": "./dist/index.d.ts", "default": "./dist/index.js"}},
        "files": ["dist", "src"],
        "engines": {"node": ">=20"},
        "sideEffects": False,
    }
