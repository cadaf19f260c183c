"""What of another program's configuration holds here: OpenClaw's, or that of another ZERO.

Owns the words for what doesn't. Reads a file and writes none; no value of it is ever part of what is said. The rules
that decide are those of ``structs``, ``decoding`` and ``checks``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from msgspec import inspect

from .checks import check
from .decoding import decode
from .error import ConfigError, RuleError, suggestion
from .includes import Composition
from .json_value import JsonObject, JsonValue
from .key_path import KeyPath
from .structs import Config

_VARIABLE: Final = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)\}")
_STAND_IN: Final = "http://stand-in.example/v1"  # what most rules would let pass, of addresses too
_ITSELF: Final = "The other program keeps it for itself."
_AGENT: Final = "An agent here is a system prompt, a model, parameters and a tool policy."
_NO_CHANNELS: Final = "There are no chat channels here: clients speak HTTP or WebSocket."
_SESSION: Final = "A request says which session it belongs to."
_LEFT: Final[dict[tuple[str, ...], str]] = {
    ("agents", "defaults"): _AGENT,
    ("agents", "list"): _AGENT,
    ("auth",): 'Write a key as models.providers.<name>.apiKey: "${NAME}".',
    ("bindings",): _NO_CHANNELS,
    ("channels",): _NO_CHANNELS,
    ("env",): "Set the variables in the environment that the gateway is started with.",
    ("gateway", "controlUi"): "There are no pages here but /docs.",
    ("gateway", "mode"): "zero gateway serves, and gateway.remote says where commands go.",
    ("gateway", "reload"): "The file is always watched.",
    ("gateway", "tls"): "A proxy in front of the gateway speaks TLS.",
    ("logging",): "zero gateway --log-level says how much is logged.",
    ("messages",): _NO_CHANNELS,
    ("meta",): _ITSELF,
    ("models", "providers"): "What it says is left to the provider.",
    ("session", "dmScope"): _SESSION,
    ("session", "scope"): _SESSION,
    ("tools",): "An agent's own tools are agents.defaults.tools: which ones requests may bring along.",
    ("wizard",): _ITSELF,
}
_NOTHING_LIKE_IT: Final = "There is nothing like it here."


class Carried(NamedTuple):
    """One key of the other configuration: whether it holds here, and if not what to do."""

    verdict: Literal["holds", "changes", "stays"]
    path: KeyPath
    text: str


def carry_over(file: Path, engines: Collection[str] = ()) -> list[Carried]:
    """Say key by key what of a configuration holds here.

    Args:
        file: The other program's file, JSON5 with or without includes.
        engines: Names of providers that need no entry here.

    Returns:
        Those that stay behind and those that need a change, then those that hold, each in the file's order.

    Raises:
        ConfigError: The file can't be read.
    """
    main = file.absolute()
    if not main.is_file():
        raise ConfigError("does not exist, or is no file", "Name the other configuration's file.", file=main)
    composition = Composition(main)
    composition.read()
    said: list[Carried] = []
    tree = _translated(composition.tree, said)
    kept = _sifted(tree, inspect.type_info(Config), (), said)
    assert isinstance(kept, dict)
    said += _refused(kept, engines)
    told = {each.path for each in said}
    return [*said, *(Carried("holds", path, "") for path in _leaves(kept, ()) if path not in told)]


def _translated(tree: JsonObject, said: list[Carried]) -> JsonObject:
    """Spell what only is spelled otherwise as it is here: agents by name, and references to variables."""
    agents = tree.get("agents")
    if isinstance(agents, dict) and isinstance(entries := agents.get("entries"), dict):
        said.append(Carried("changes", ("agents", "entries"), "Each becomes an entry of agents.list, its name the id."))
        listed: list[JsonValue] = [
            {"id": name, **entry} if isinstance(entry, dict) else entry for name, entry in entries.items()
        ]
        others = agents.get("list")
        rest = {key: value for key, value in agents.items() if key != "entries"}
        tree = {**tree, "agents": {**rest, "list": [*(others if isinstance(others, list) else []), *listed]}}
    spelled = _variables(tree, (), said)
    assert isinstance(spelled, dict)
    return spelled


def _variables(value: JsonValue, path: KeyPath, said: list[Carried]) -> JsonValue:
    if isinstance(value, list):
        return [_variables(item, (*path, index), said) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    name = value.get("id")
    if value.get("source") == "env" and isinstance(name, str) and value.keys() <= {"source", "provider", "id"}:
        said.append(Carried("changes", path, f'Write "${{{name}}}".'))
        return f"${{{name}}}"
    return {key: _variables(item, (*path, key), said) for key, item in value.items()}


def _sifted(value: JsonValue, expected: inspect.Type, path: KeyPath, said: list[Carried]) -> JsonValue:
    """Return a value without the keys that there are not; each is told of."""
    options = expected.types if isinstance(expected, inspect.UnionType) else (expected,)
    for option in options:
        if isinstance(value, list) and isinstance(option, inspect.VarTupleType):
            return [_sifted(item, option.item_type, (*path, index), said) for index, item in enumerate(value)]
        if isinstance(value, dict) and isinstance(option, inspect.DictType):
            return {key: _sifted(item, option.value_type, (*path, key), said) for key, item in value.items()}
        if isinstance(value, dict) and isinstance(option, inspect.StructType):
            fields = {field.encode_name: field.type for field in option.fields}
            kept: JsonObject = {}
            for key, item in value.items():
                if key in fields:
                    kept[key] = _sifted(item, fields[key], (*path, key), said)
                else:
                    said.append(Carried("stays", (*path, key), _why((*path, key), fields)))
            return kept
    return value


def _why(path: KeyPath, fields: Collection[str]) -> str:
    names = tuple(str(step) for step in path)
    for length in range(len(names), 0, -1):
        if names[:length] in _LEFT:
            return _LEFT[names[:length]]
    return suggestion(str(path[-1]), fields) if len(path) > 1 else _NOTHING_LIKE_IT


def _refused(tree: JsonObject, engines: Collection[str]) -> Iterator[Carried]:
    """Take out what the gateway would refuse to start with, one by one, and say why."""
    gone: set[KeyPath] = set()
    while True:
        try:
            check(decode(_filled(tree)), engines)
        except RuleError as fault:
            taken = _taken_out(tree, fault.path)
            if taken and fault.path in gone:  # missing since it was taken out: then so is what can't do without it
                continue
            gone.add(fault.path)
            # A variable's value isn't known here, so its rule can't be judged.
            if taken and isinstance(taken[0], str) and _VARIABLE.search(taken[0]):
                yield Carried("holds", fault.path, "")
            else:
                yield Carried("changes", fault.path, f"{fault.problem}. {fault.advice}")
            if taken:
                continue
        return


def _filled(value: JsonValue) -> JsonObject:
    def fill(part: JsonValue) -> JsonValue:
        if isinstance(part, dict):
            return {key: fill(item) for key, item in part.items()}
        if isinstance(part, list):
            return [fill(item) for item in part]
        return _VARIABLE.sub(_STAND_IN, part) if isinstance(part, str) else part

    filled = fill(value)
    assert isinstance(filled, dict)
    return filled


def _taken_out(tree: JsonObject, path: KeyPath) -> list[JsonValue]:
    """Remove what stands at a path, or the nearest thing around it; return it, or nothing when nothing is left."""
    for length in range(len(path), 0, -1):
        place: JsonValue = tree
        for step in path[: length - 1]:
            place = _inside(place, step)
        last = path[length - 1]
        if isinstance(place, dict) and isinstance(last, str) and last in place:
            return [place.pop(last)]
        if isinstance(place, list) and isinstance(last, int) and last < len(place):
            return [place.pop(last)]
    return []


def _inside(place: JsonValue, step: str | int) -> JsonValue:
    if isinstance(place, dict) and isinstance(step, str):
        return place.get(step)
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    return None


def _leaves(value: JsonValue, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):  # an empty one says nothing
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif path:
        yield path
