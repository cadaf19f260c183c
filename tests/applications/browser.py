"""Headless Chromium, driven by playwright-core: runs a script of ours and returns what it saw.

Owns where the driver is installed and which browser is used. Knows no page. Needs Chromium, npm and node on the path,
and the registry once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

DRIVER: Final = "playwright-core@1.64.1"
SECONDS: Final = 120.0

_FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "clients" / "browser"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def drive(script: Path, *arguments: object) -> Any:
    """Run a script whose first argument is a launched browser's description, and return the JSON that it prints.

    Args:
        script: A module for node. It gets, as JSON in one argument, the driver's path, the browser's path, and
            ``arguments``.
        arguments: Values for the script.

    Raises:
        RuntimeError: Chromium or node is missing, or the script failed.
    """
    browser = next(filter(None, map(shutil.which, _NAMES)), None)
    if browser is None:
        raise RuntimeError("Chromium is not on the path. This test uses a real page: install it (Debian: chromium).")
    given = {"driver": str(_driver() / "index.mjs"), "browser": browser, "arguments": arguments}
    return json.loads(_run("node", str(script), json.dumps(given)))


def _driver() -> Path:
    installed = _FOLDER / "node_modules" / "playwright-core"
    manifest = installed / "package.json"
    if not manifest.is_file() or json.loads(manifest.read_bytes())["version"] != DRIVER.partition("@")[2]:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        # A manifest of its own, or npm would look for one further up.
        (_FOLDER / "package.json").write_text('{"private": true}', encoding="utf-8")
        flags: Sequence[str] = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error")
        _run("npm", "install", *flags, "--prefix", str(_FOLDER), DRIVER)
    return installed


def _run(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise RuntimeError(f"{program} is not on the path: install Node 20 or newer, with npm.")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
