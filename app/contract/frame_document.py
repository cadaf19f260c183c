"""The WebSocket contract as the running gateway has it: its bytes, its methods and its events.

Owns the reading of the document and the check that it is the one the frames' structs were generated from. It knows
nothing of handlers or connections, and reads no YAML: the generator leaves the same document as JSON beside it. What
the extensions mean: the description at the top of contracts/asyncapi.yaml.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.contract import frames
from app.contract.document import StaleContractError

_HERE = Path(__file__).parent
_SILENT: tuple[Any, ...] = (False, None, "", [], {})


class RefusedParam(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a param that the protocol knows and this gateway refuses (`x-zero-refused`).

    Args:
        name: Its name in JSON.
        field: The struct's field.
        reason: Why, in a sentence for the client.
        neutral: The values that are not refused, because they ask for nothing that is not done.
    """

    name: str
    field: str
    reason: str
    neutral: tuple[Any, ...]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one method of the contract.

    Args:
        name: As in a request's `method`.
        params: The struct of its params.
        results: The structs of its answers. Nearly always one. A list has no struct, but a type.
        accepted: The struct of an earlier answer under the same id, if there is one.
        scope: What a connection must be allowed. Empty for the handshake.
        keys: Whether it is for others than the operator, too: clients with one of `gateway.auth.keys`.
        side_effects: Whether repeating the request would do it again; if so, `params` has an `idempotency_key`.
        handshake: Whether it is only for the first request of a connection.
        ignored: JSON names of the params that make no difference.
        refused: The params that are refused.
    """

    name: str
    params: type[msgspec.Struct]
    results: tuple[Any, ...]
    accepted: type[msgspec.Struct] | None
    scope: str
    keys: bool
    side_effects: bool
    handshake: bool
    ignored: frozenset[str]
    refused: tuple[RefusedParam, ...]

    def refusal(self, params: msgspec.Struct) -> RefusedParam | None:
        """Find the first param that asks for what the gateway does not do.

        Args:
            params: The decoded params of a request.
        """
        for param in self.refused:
            value = getattr(params, param.field)
            if value is not msgspec.UNSET and not any(_same(_plain(value), neutral) for neutral in param.neutral):
                return param
        return None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one event of the contract.

    Args:
        name: As in an event's `event`.
        payload: The struct of its payload, or the union of several.
    """

    name: str
    payload: Any


class FrameDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the WebSocket contract.

    Args:
        yaml: asyncapi.yaml, byte for byte.
        json: The same document as compact JSON.
        methods: Its methods in the order written, the handshake first.
        events: Its events in the order written.
    """

    yaml: bytes
    json: bytes
    methods: tuple[Method, ...]
    events: tuple[Event, ...]


def load(folder: Path = _HERE) -> FrameDocument:
    """Read the WebSocket contract and check it against the generated structs.

    Args:
        folder: Where asyncapi.json is. asyncapi.yaml is there too when installed, and in contracts/ in a checkout.

    Raises:
        StaleContractError: A file is missing, or the structs were generated from another contract.
    """
    packaged = folder / "asyncapi.yaml"
    yaml = _read(packaged if packaged.is_file() else folder.parents[1] / "contracts" / "asyncapi.yaml")
    digest = hashlib.sha256(yaml).hexdigest()
    if digest != frames.FRAMES_SHA256:
        raise StaleContractError(
            f"app/contract/frames.py was generated from another asyncapi.yaml (sha256 {frames.FRAMES_SHA256[:12]}, "
            f"now {digest[:12]}). Run: python -m contracts.generate"
        )
    json = _read(folder / "asyncapi.json")
    contract = msgspec.json.decode(json, type=_Contract)
    operations = contract.operations.values()
    methods = tuple(_method(operation, contract.components.schemas) for operation in operations if operation.method)
    events = tuple(Event(name=o.event, payload=getattr(frames, o.payload)) for o in operations if o.event)
    return FrameDocument(yaml=yaml, json=json, methods=methods, events=events)


class _Operation(msgspec.Struct, rename=lambda name: f"x-zero-{name.replace('_', '-')}"):
    method: str = ""
    params: str = ""
    result: str | list[str] = ""
    accepted: str = ""
    scope: str = ""
    keys: bool = False
    side_effects: bool = False
    handshake: bool = False
    event: str = ""
    payload: str = ""


class _Property(msgspec.Struct, rename=lambda name: f"x-zero-{name}"):
    ignored: str = ""
    refused: str = ""
    neutral: tuple[Any, ...] = _SILENT


class _Schema(msgspec.Struct):
    properties: dict[str, _Property] = {}


class _Components(msgspec.Struct):
    schemas: dict[str, _Schema]


class _Contract(msgspec.Struct):
    operations: dict[str, _Operation]
    components: _Components


def _method(operation: _Operation, schemas: dict[str, _Schema]) -> Method:
    params = _struct(operation.params)
    properties = schemas[operation.params].properties
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(params)}
    results = [operation.result] if isinstance(operation.result, str) else operation.result
    return Method(
        name=operation.method,
        params=params,
        results=tuple(getattr(frames, name) for name in results),
        accepted=_struct(operation.accepted) if operation.accepted else None,
        scope=operation.scope,
        keys=operation.keys,
        side_effects=operation.side_effects,
        handshake=operation.handshake,
        ignored=frozenset(name for name, said in properties.items() if said.ignored),
        refused=tuple(_refused(properties, fields)),
    )


def _refused(properties: dict[str, _Property], fields: dict[str, str]) -> Iterator[RefusedParam]:
    for name, said in properties.items():
        if said.refused:
            yield RefusedParam(name=name, field=fields[name], reason=said.refused, neutral=said.neutral)


def _struct(name: str) -> type[msgspec.Struct]:
    """Find the struct of a schema, which the contract always names."""
    found: type[msgspec.Struct] = getattr(frames, name)
    return found


def _plain(value: object) -> object:
    """Return an empty object for a struct that says nothing, so that it is as neutral as any other."""
    if isinstance(value, msgspec.Struct) and all(_is_blank(getattr(value, name)) for name in value.__struct_fields__):
        return {}
    return value


def _is_blank(value: object) -> bool:
    if isinstance(value, dict):
        return all(inner == [] for inner in value.values())
    return value is msgspec.UNSET or value == []


def _same(value: object, other: object) -> bool:
    """Compare without taking 0 for false."""
    return type(value) is type(other) and value == other


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StaleContractError(f"{path.name} is missing. Run: python -m contracts.generate") from None
