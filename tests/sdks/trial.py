"""Trying the generated packages as their users would: the same walk in both languages, and the example of the document.

Knows where the packages are and how a program of each language is checked and run. Nothing is installed: Python finds
its package by PYTHONPATH, Node by a link such as ``npm install <folder>`` makes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contracts.sdks import python, typescript
from contracts.sdks.generator import run
from contracts.sdks.typescript.npm import program
from tests.documents import ROOT, fenced
from tests.live_gateway import LiveGateway

DOCUMENT: Final = ROOT / "docs" / "sdks.md"
ADDRESS: Final = "http://127.0.0.1:18789"

WALK: Final = """\
models: zero zero:main zero:beta zero:caller zero:broken zero:slow
model: zero/beta
unknown model: 404 model_not_found model
completion: Olá, mundo! stop
session: agent:main:smoke
tool call: get_weather {"city": "Lisboa"}
wrong token: 401 invalid_api_key invalid_request_error
stream: Olá, mundo! usage
stream of zero:nobody: nothing 404 model_not_found
stream of zero:broken: Olá 200 upstream_connection_lost
stream left early: Olá, then free again
service: ok 3.1.0
"""
"""What both walks print."""

EXAMPLE: Final = "What is the capital of Portugal?\n" * 2
"""What both examples print with an agent that echoes: the answer whole, then streamed."""

_HERE: Final = Path(__file__).parent


def try_python(sdks: Path, gateway: LiveGateway) -> tuple[str, str]:
    """Check the types of the walk and of the example, and run both.

    Args:
        sdks: The folder that the package was built in.
        gateway: From ``stage``.

    Returns:
        What the walk and the example printed.
    """
    package, folder = sdks / "python", _empty(sdks / "trial" / "python")
    shutil.copy(_HERE / "smoke.py", folder)
    (folder / "example.py").write_text(_example("python", gateway), encoding="utf-8")
    programs = [folder / "smoke.py", folder / "example.py"]
    python.check_types(package, [str(file) for file in programs])
    environ = {**_environ(gateway), "PYTHONPATH": str(package)}
    walk, example = (run([sys.executable, file, *_arguments(gateway, file)], folder, environ) for file in programs)
    return walk, example


def try_typescript(sdks: Path, gateway: LiveGateway) -> tuple[str, str]:
    """Do what ``try_python`` does, in TypeScript."""
    walk = (_HERE / "smoke.ts").read_text(encoding="utf-8")
    folder = typescript_project(sdks, "trial", {"smoke.ts": walk, "example.ts": _example("typescript", gateway)})
    typescript.compile_sources(folder)
    programs = [folder / "smoke.js", folder / "example.js"]
    environ = _environ(gateway)
    printed, example = (run([program("node"), file, *_arguments(gateway, file)], folder, environ) for file in programs)
    return printed, example


def typescript_project(sdks: Path, name: str, sources: Mapping[str, str]) -> Path:
    """Make a project that has the TypeScript package installed.

    Args:
        sdks: The folder that the package was built in.
        name: The project's.
        sources: Its files, by name.
    """
    link = sdks / "node_modules" / typescript.PACKAGE
    link.unlink(missing_ok=True)
    link.symlink_to(sdks / "typescript")
    folder = _empty(sdks / name / "typescript")
    shutil.copy(_HERE / "tsconfig.json", folder)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}), encoding="utf-8")
    for file, text in sources.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def _example(language: str, gateway: LiveGateway) -> str:
    """Return the document's example with the address of a gateway that is there."""
    [block] = fenced(DOCUMENT, language)
    assert ADDRESS in block.text
    return block.text.replace(ADDRESS, gateway.url)


def _arguments(gateway: LiveGateway, file: Path) -> list[str]:
    return [gateway.url, gateway.token] if file.stem == "smoke" else []


def _environ(gateway: LiveGateway) -> dict[str, str]:
    # A proxy of the machine's would be asked for the loopback address.
    return {"ZERO_GATEWAY_TOKEN": gateway.token, "NO_PROXY": "127.0.0.1", "PYTHONIOENCODING": "utf-8"}


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
