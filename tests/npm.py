"""The npm packages that tests compare with or drive: the gateway protocol's schemas and its reference client.

Owns where they are installed, which versions they have, and how their values are read. Knows nothing of what is tested
with them. Needs `npm` and `node` (20 or newer) on the path, and the registry once.
"""

import json
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path

from jsonschema_rs import Draft7Validator

from tests.official import Json

PACKAGES = (
    "@openclaw/gateway-protocol@2026.9.1",
    "@openclaw/gateway-client@2026.9.1",
    "@asyncapi/specs@6.11.1",
    # The last version for Node 20, and the current one, which asks for 22 and runs on 20.
    "openai-6@npm:openai@6.49.0",
    "openai-7@npm:openai@7.57.0",
    "zod@4.6.7",
)
OPENAI = ("openai-6", "openai-7")
"""OpenAI's Node SDK, by the names under which its major versions are installed."""

_FOLDER = Path(__file__).resolve().parents[1] / "build" / "npm"
_FLAGS = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error")


@cache
def node_modules() -> Path:
    """Install the packages, unless they are there, and name the folder that has them.

    Raises:
        RuntimeError: npm or node is missing, or the installation failed.
    """
    installed = _FOLDER / "installed"
    wanted = "\n".join(PACKAGES)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # tests run in several processes
        if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
            # A manifest of its own, or npm would look for one further up.
            (_FOLDER / "package.json").write_text('{"private": true}', encoding="utf-8")
            _run("npm", "install", *_FLAGS, "--prefix", str(_FOLDER), *PACKAGES)
            installed.write_text(wanted, encoding="utf-8")
    return _FOLDER / "node_modules"


@cache
def exported(module: str) -> dict[str, Json]:
    """Read the constants of a module.

    Args:
        module: As in an import, such as `@openclaw/gateway-protocol/version`.

    Returns:
        What it exports and JSON can say, by name.
    """
    node_modules()
    script = f"import * as module from {json.dumps(module)}; console.log(JSON.stringify({{...module}}))"
    found: dict[str, Json] = json.loads(_run("node", "--input-type=module", "--eval", script))
    return found


@cache
def protocol() -> dict[str, Json]:
    """Read the gateway protocol's JSON Schema."""
    file = node_modules() / "@openclaw" / "gateway-protocol" / "protocol.schema.json"
    found: dict[str, Json] = json.loads(file.read_bytes())
    return found


@cache
def protocol_validator(definition: str) -> Draft7Validator:
    """Make a validator of one of the protocol's definitions.

    Args:
        definition: Its name, such as `HelloOk`.
    """
    definitions = protocol()["definitions"]
    return Draft7Validator({**definitions[definition], "definitions": definitions})


def run_module(file: str, *arguments: str) -> Json:
    """Run a script of the tests among the packages and return the JSON that it prints.

    Args:
        file: Its path below `tests/`.
        arguments: What it is called with.
    """
    script = Path(__file__).resolve().parent / file
    # Imports are looked up from where a script lies, so it has to lie beside the packages.
    copy = node_modules().parent / script.name
    copy.write_bytes(script.read_bytes())
    return json.loads(_run("node", copy.name, *arguments))


def _run(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise RuntimeError(
            f"{program} is not on the path. This test compares with npm packages: install Node 20 or newer, with npm."
        )
    done = subprocess.run([found, *arguments], cwd=_FOLDER, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout
