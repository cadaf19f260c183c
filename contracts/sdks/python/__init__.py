"""The Python client: openapi-python-client, with what it can't write (streaming.py) and a package around it.

Owns its settings (config.yaml, templates/) and how its types are checked.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from contracts.sdks.generator import Client, refuse_remarks, run
from contracts.sdks.readme import readme

PACKAGE: Final = "zero_gateway_client"
TOLERATED: Final[dict[str, str]] = {}
"""Warnings of the generator that we live with, each with the reason. There are none."""

_HERE: Final = Path(__file__).parent
_ORDINARY: Final = (r"Generating .*",)


def build(contract: Path, folder: Path) -> Client:
    """Generate the package ``zero_gateway_client`` and check its types.

    Args:
        contract: The OpenAPI document.
        folder: What the package's folder, ``python``, is made in. An earlier one is replaced.

    Raises:
        GeneratorError: The generator failed or warned, or mypy found something.
    """
    home = folder / "python"
    shutil.rmtree(home, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # The generator runs ruff, which it looks for on the path.
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command: list[str | Path] = [sys.executable, "-m", "openapi_python_client", "generate", "--path", contract]
    command += ["--config", _HERE / "config.yaml", "--custom-template-path", _HERE / "templates"]
    printed = run([*command, "--output-path", home], folder, {"PATH": tools, "COLUMNS": "1000"})
    refuse_remarks(printed, _ORDINARY, TOLERATED)
    shutil.copy(_HERE / "streaming.py", home / PACKAGE)
    (home / "README.md").write_text(readme("Python", "python"), encoding="utf-8")
    check_types(home, ["--package", PACKAGE])
    return Client("Python", home, "mypy --strict")


def check_types(package: Path, what: list[str]) -> None:
    """Run mypy in strict mode.

    Args:
        package: The folder that ``build`` made.
        what: What to check, as arguments of mypy.

    Raises:
        GeneratorError: It found something.
    """
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    # An empty configuration, or mypy would take the repository's.
    command += ["--config-file", os.devnull, "--cache-dir", str(package.parent / ".mypy_cache")]
    run([*command, *what], package, {"MYPYPATH": str(package)})
