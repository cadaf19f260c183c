"""The contract as the running gateway has it: its bytes and its operations.

Owns the reading of the document and the check that it is the one the structs were generated from. It knows nothing of
handlers, and reads no YAML: the generator leaves the same document as JSON beside this module.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.contract import models

_HERE = Path(__file__).parent
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class StaleContractError(RuntimeError):
    """Say that contract and generated files do not belong together."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one operation of the contract.

    Args:
        id: Its `operationId`.
        method: The HTTP method in upper case.
        path: The path template, as in `/v1/models/{model}`.
        multi_segment: Names of the path parameters whose value may contain slashes (`x-zero-multi-segment`).
        body: The struct of the JSON request body, if there is one.
        public: Whether the contract opens it to everyone with `security: []` (design.md, Architecture).
        keys: Whether it is for others than the operator, too: clients with one of `gateway.auth.keys` (`x-zero-keys`).
        statuses: Every status it may answer with.
    """

    id: str
    method: str
    path: str
    multi_segment: frozenset[str]
    body: type | None
    public: bool
    keys: bool
    statuses: frozenset[int]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the contract.

    Args:
        yaml: openapi.yaml, byte for byte.
        json: The same document as compact JSON.
        page: The same as a page to read (HTML).
        operations: Its operations in the order written.
    """

    yaml: bytes
    json: bytes
    page: bytes
    operations: tuple[Operation, ...]


def load(folder: Path = _HERE) -> Document:
    """Read the contract and check it against the generated structs.

    Args:
        folder: Where openapi.json is. openapi.yaml is there too when installed, and two folders up in a checkout.

    Raises:
        StaleContractError: A file is missing, or the structs were generated from another contract.
    """
    packaged = folder / "openapi.yaml"
    yaml = _read(packaged if packaged.is_file() else folder.parents[1] / "openapi.yaml")
    digest = hashlib.sha256(yaml).hexdigest()
    if digest != models.CONTRACT_SHA256:
        raise StaleContractError(
            f"app/contract/models.py was generated from another openapi.yaml (sha256 {models.CONTRACT_SHA256[:12]}, "
            f"now {digest[:12]}). Run: python -m contracts.generate"
        )
    json = _read(folder / "openapi.json")
    page = _read(folder / "reference.html")
    return Document(yaml=yaml, json=json, page=page, operations=tuple(_operations(json)))


class _Parameter(msgspec.Struct):
    name: str = ""
    multi_segment: bool = msgspec.field(default=False, name="x-zero-multi-segment")
    ref: str = msgspec.field(default="", name="$ref")


class _Reference(msgspec.Struct):
    ref: str = msgspec.field(name="$ref")


class _MediaType(msgspec.Struct):
    schema: _Reference


class _RequestBody(msgspec.Struct):
    content: dict[str, msgspec.Raw]


class _Operation(msgspec.Struct):
    id: str = msgspec.field(name="operationId")
    responses: dict[int, msgspec.Raw]
    body: _RequestBody | None = msgspec.field(default=None, name="requestBody")
    parameters: list[_Parameter] = []
    security: list[dict[str, list[str]]] | None = None
    keys: bool = msgspec.field(default=False, name="x-zero-keys")


class _Components(msgspec.Struct):
    parameters: dict[str, _Parameter] = {}


class _Contract(msgspec.Struct):
    paths: dict[str, dict[str, msgspec.Raw]]
    components: _Components
    security: list[dict[str, list[str]]] = []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StaleContractError(f"{path.name} is missing. Run: python -m contracts.generate") from None


def _operations(json: bytes) -> Iterator[Operation]:
    contract = msgspec.json.decode(json, type=_Contract)
    known = contract.components.parameters
    for path, item in contract.paths.items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = msgspec.json.decode(item[method], type=_Operation)
            parameters = [known[p.ref.rsplit("/", 1)[1]] if p.ref else p for p in operation.parameters]
            security = contract.security if operation.security is None else operation.security
            yield Operation(
                id=operation.id,
                method=method.upper(),
                path=path,
                multi_segment=frozenset(p.name for p in parameters if p.multi_segment),
                body=_struct(operation.body),
                public=not security,
                keys=operation.keys,
                statuses=frozenset(operation.responses),
            )


def _struct(body: _RequestBody | None) -> type | None:
    """Find the struct of a request body, whose schema the contract always names where it is JSON."""
    if body is None:
        return None
    media = body.content.get("application/json")
    if media is None:
        return None
    schema = msgspec.json.decode(media, type=_MediaType).schema
    found: type = getattr(models, schema.ref.rsplit("/", 1)[1])
    return found
