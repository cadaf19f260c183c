"""Derive the structs, the JSON documents and pages of the documents from openapi.yaml and contracts/asyncapi.yaml.

So are the JSON Schema of the configuration and its page, from the configuration's structs and docs/configuration.md.

Run as `python -m contracts.generate`, or with `--check` to learn whether the files that are there are current. This
module knows the contracts' files and the generator; it knows nothing of the server. How a schema must be spelled so
that the generator loses nothing of it: contracts/README.md.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from contracts.compatibility import compatibility
from contracts.configuration import page, schema, schema_text
from contracts.reference import reference, reference_page

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT / "openapi.yaml"
MODELS = ROOT / "app" / "contract" / "models.py"
DOCUMENT = ROOT / "app" / "contract" / "openapi.json"
COMPATIBILITY = ROOT / "docs" / "compatibility.md"
REFERENCE = ROOT / "docs" / "api.md"
REFERENCE_PAGE = ROOT / "app" / "contract" / "reference.html"

CONFIGURATION = ROOT / "docs" / "configuration.md"
CONFIGURATION_SCHEMA = ROOT / "contracts" / "zero.schema.json"
CONFIGURATION_KEYS = ROOT / "docs" / "configuration-keys.md"

FRAME_CONTRACT = ROOT / "contracts" / "asyncapi.yaml"
FRAMES = ROOT / "app" / "contract" / "frames.py"
FRAME_DOCUMENT = ROOT / "app" / "contract" / "asyncapi.json"

HEADER = '''"""The contract's schemas as structs.

Generated from {} by `python -m contracts.generate`. Do not edit: change the contract and generate again.
"""
'''

# `--use-default` makes required fields of answers omissible where the contract says what is assumed;
# `--use-msgspec-tagged-unions` tags a union as a whole or warns, and a warning is an error here.
FLAGS = (
    *("--output-model-type", "msgspec.Struct", "--target-python-version", "3.11"),
    *("--formatters", "builtin", "--disable-timestamp", "--keep-model-order", "--keyword-only"),
    *("--enum-field-as-literal", "all", "--use-annotated", "--use-default", "--use-msgspec-tagged-unions"),
)
OPENAPI_FLAGS = ("--input-file-type", "openapi", "--schema-version", "3.1")

# The frames are in camel case, as the protocol has them; the structs' fields are not.
ASYNCAPI_FLAGS = ("--input-file-type", "asyncapi", "--schema-version", "3.0", "--snake-case-field")

STRICT = "app.contract.strict.Strict"


def read_contract(contract: Path, source: bytes) -> dict[str, Any]:
    """Parse a contract.

    Args:
        contract: Its file, for the error's sake.
        source: The bytes of that file.
    """
    document = yaml.safe_load(source)
    if not isinstance(document, dict):
        raise ValueError(f"{contract.name} is not a mapping")
    return document


def outputs() -> dict[Path, tuple[Path, bytes]]:
    """Derive every generated file.

    Returns:
        The contract that each file belongs to, and the file's content.
    """
    http = _derive(CONTRACT, "CONTRACT_SHA256", OPENAPI_FLAGS, MODELS, DOCUMENT)
    contract = read_contract(CONTRACT, CONTRACT.read_bytes())
    pages = {COMPATIBILITY: compatibility, REFERENCE: reference, REFERENCE_PAGE: reference_page}
    written = {path: (CONTRACT, write(contract).encode()) for path, write in pages.items()}
    frames = _derive(FRAME_CONTRACT, "FRAMES_SHA256", ASYNCAPI_FLAGS, FRAMES, FRAME_DOCUMENT)
    return {**http, **written, **frames, **_configuration()}


def stale(wanted: Mapping[Path, bytes]) -> Iterator[Path]:
    """Name the files that are missing or differ from what the contract says."""
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            yield path


def main(arguments: list[str] | None = None) -> int:
    """Generate the files, or check them.

    Args:
        arguments: The command line after the program's name; the process's own when absent.

    Returns:
        The exit status: 1 when a checked file is not current.
    """
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description="Derive code from openapi.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a generated file is not current")
    check: bool = parser.parse_args(arguments).check
    wanted = outputs()
    old = list(stale({path: content for path, (_, content) in wanted.items()}))
    for path in old:
        name = path.relative_to(ROOT)
        contract, content = wanted[path]
        if check:
            print(f"{name} does not match {contract.name}. Run: python -m contracts.generate", file=sys.stderr)
        else:
            path.write_bytes(content)
            print(f"wrote {name}")
    return 1 if check and old else 0


def _derive(
    contract: Path, digest_name: str, flags: Iterable[str], structs: Path, document: Path
) -> dict[Path, tuple[Path, bytes]]:
    """Derive the structs and the JSON document from one contract."""
    source = contract.read_bytes()
    parsed = read_contract(contract, source)
    code = _structs(parsed, flags)
    digest = hashlib.sha256(source).hexdigest()
    module = f'{HEADER.format(contract.name)}{code}\n\n{digest_name} = "{digest}"\n'
    compact = json.dumps(parsed, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {structs: (contract, module.encode()), document: (contract, compact.encode())}


def _configuration() -> dict[Path, tuple[Path, bytes]]:
    """Derive what is written about the configuration from its structs and the words of its page."""
    keys = page(schema(CONFIGURATION), CONFIGURATION)
    return {
        CONFIGURATION_SCHEMA: (CONFIGURATION, schema_text(CONFIGURATION).encode()),
        CONFIGURATION_KEYS: (CONFIGURATION, keys.encode()),
    }


def _structs(document: dict[str, Any], flags: Iterable[str]) -> str:
    """Run the generator over the schemas, without their prose and without what refers to them."""
    kept: dict[str, Any] = {"paths": {}, "channels": {}, "components": {"schemas": document["components"]["schemas"]}}
    bare = _without_prose({key: kept.get(key, value) for key, value in document.items() if key != "operations"})
    strict = dict.fromkeys(_closed(document), STRICT)
    with tempfile.TemporaryDirectory() as scratch:
        input_path, output_path = Path(scratch, "contract.json"), Path(scratch, "models.py")
        input_path.write_text(json.dumps(bare), encoding="utf-8")
        command = [sys.executable, "-m", "datamodel_code_generator", *flags, *FLAGS]
        command += ["--input", str(input_path), "--output", str(output_path)]
        command += ["--custom-file-header", "#", "--base-class-map", json.dumps(strict)]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode or done.stderr:
            raise RuntimeError(f"datamodel-codegen failed or warned:\n{done.stderr or done.stdout}")
        return output_path.read_text(encoding="utf-8").removeprefix("#\n")


def _closed(document: dict[str, Any]) -> Iterator[str]:
    """Name the component schemas that allow no further properties."""
    for name, component in document["components"]["schemas"].items():
        if component.get("additionalProperties") is False:
            yield name


def _without_prose(node: object, names: bool = False) -> object:
    """Drop descriptions and examples, which would only swell the structs, and spell our extensions as the generator's.

    Args:
        node: Any part of the document.
        names: Whether the keys of `node` are names of the contract's own, so that one called `description` stays.
    """
    if isinstance(node, list):
        return [_without_prose(item) for item in node]
    if not isinstance(node, dict):
        return node
    bare = {
        key: _without_prose(value, names=not names and key in ("properties", "mapping", "schemas"))
        for key, value in node.items()
        if names or (key not in ("description", "example", "examples", "summary") and not key.startswith("x-zero-"))
    }
    return bare if names or not node.get("x-zero-raw") else {**bare, "customTypePath": "msgspec.Raw"}


if __name__ == "__main__":
    sys.exit(main())
