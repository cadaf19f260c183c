"""The JSON Schema of zero.json, and the page that lists every key of it.

Types, bounds and defaults are the configuration's structs' own, the words are those of docs/configuration.md. What the
schema lets pass, the gateway may still refuse: the rules between keys are in app/config/checks.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from app.config.structs import Config

Json: TypeAlias = Any  # a JSON Schema, which is whatever it is

_ROW: Final = re.compile(r"^\| (?P<keys>`.*?) \| (?P<type>.*) \| (?P<default>.*) \| (?P<meaning>.*) \|$", re.MULTILINE)
_KEY: Final = re.compile(r"`([A-Za-z]+(?:\.[A-Za-z<>\[\]]+)+)`")
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ROOT: Final = "Config"
_DEFS: Final = "#/$defs/"

_SCHEMA: Final = {"description": "Where an editor finds this schema. The gateway doesn't look at it.", "type": "string"}
_INCLUDE: Final = {
    "description": "Files whose objects are put here, relative to this one. Later ones win, and these keys over both.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ],
}
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{[A-Z_][A-Z0-9_]*\}"}

_INTRODUCTION: Final = """\
# Every key

All keys of `zero.json` by name, written by `python -m contracts.generate` from the JSON Schema of the configuration,
[`contracts/zero.schema.json`](../contracts/zero.schema.json). [Configuration](configuration.md) explains how they work
together, where the file is, and what variables and includes do.

`zero config schema` prints the schema. For an editor that completes and checks `zero.json`, put it beside that file and
name it there:

```bash
zero config schema > ~/.zero/zero.schema.json
```

```json5
{ $schema: "./zero.schema.json" }
```

| Key | Type | Default | Meaning |
| --- | --- | --- | --- |
"""


class Key(NamedTuple):
    """A key of the configuration: its path as the documents write it, its own schema, and whether it must be there."""

    path: str
    schema: Json
    required: bool


def schema(reference: Path) -> Json:
    """Derive the JSON Schema.

    Args:
        reference: docs/configuration.md, whose tables have the meaning of each key.

    Raises:
        ValueError: They lack one.
    """
    _, components = msgspec.json.schema_components([Config], ref_template=_DEFS + "{name}")
    words = dict(_meanings(reference.read_text(encoding="utf-8")))
    for path, place in _places(components):
        if path not in words:
            raise ValueError(f"{reference.name} has no row for {path}")
        place["description"] = words[path]
    root = _widened(components.pop(_ROOT))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "zero.json",
        "description": "The configuration of a ZERO Gateway.",
        **{key: value for key, value in root.items() if key not in ("title", "description")},
        "properties": {"$schema": _SCHEMA, **root["properties"]},
        "$defs": {"Include": _INCLUDE, **{name: _widened(each) for name, each in sorted(components.items())}},
    }


def schema_text(reference: Path) -> str:
    """Write the schema out, as the file has it."""
    return json.dumps(schema(reference), ensure_ascii=False, indent=2) + "\n"


def page(document: Json, reference: Path) -> str:
    """Write docs/configuration-keys.md.

    Args:
        document: The schema.
        reference: docs/configuration.md, for the links in its words, which a schema can't have.
    """
    words = dict(_meanings(reference.read_text(encoding="utf-8"), links=True))
    lines = [
        f"| `{key.path}` | {_type(document, key.schema)} | {_default(key)} | {words[key.path]} |"
        for key in sorted(keys(document), key=lambda key: key.path)
    ]
    return _INTRODUCTION + "\n".join(lines) + "\n"


def keys(document: Json, at: Json = None, path: str = "") -> Iterator[Key]:
    """Yield every key that holds a value, by its path; objects that only hold other keys are none themselves.

    Args:
        document: The schema.
        at: Where to begin, or None for all of it.
        path: What leads there.
    """
    here = document if at is None else at
    for name, place in here["properties"].items():
        if name.startswith("$"):
            continue
        if "$ref" in place:
            yield from keys(document, _resolved(document, place), f"{path}{name}.")
            continue
        yield Key(f"{path}{name}", place, name in _required(here))
        for inner, inside in _inner(place, f"{path}{name}"):
            yield from keys(document, _resolved(document, inner), f"{inside}.")


def _meanings(text: str, *, links: bool = False) -> Iterator[tuple[str, str]]:
    for row in _ROW.finditer(text):
        meaning = row["meaning"].strip()
        for key in _KEY.findall(row["keys"]):
            yield key, meaning if links else _LINK.sub(r"\1", meaning).replace("`", "")


def _places(components: Json) -> Iterator[tuple[str, Json]]:
    """Yield each property of every component, under each path that it has."""
    yield from _walk(components, components[_ROOT], "")


def _walk(components: Json, at: Json, path: str) -> Iterator[tuple[str, Json]]:
    for name, place in at["properties"].items():
        if "$ref" in place:
            place.pop("default", None)
            yield from _walk(components, components[place["$ref"].removeprefix(_DEFS)], f"{path}{name}.")
            continue
        yield f"{path}{name}", place
        for inner, inside in _inner(place, f"{path}{name}"):
            yield from _walk(components, components[inner["$ref"].removeprefix(_DEFS)], f"{inside}.")


def _inner(place: Json, path: str) -> Iterator[tuple[Json, str]]:
    """Yield the references inside a value's schema, each with the path that it stands at."""
    for option in place.get("anyOf", [place]):
        if "$ref" in option:
            yield option, path
        if isinstance(option.get("items"), dict):
            yield from _inner(option["items"], f"{path}[]")
        if isinstance(option.get("additionalProperties"), dict):
            yield from _inner(option["additionalProperties"], f"{path}.<name>")


def _widened(at: Json) -> Json:
    """Allow what stands in a file and is gone before the structs are made: includes, and variables instead of words."""
    if isinstance(at, list):
        return [_widened(each) for each in at]
    if not isinstance(at, dict):
        return at
    if "enum" in at:
        return {
            "anyOf": [{"enum": at["enum"]}, _VARIABLE],
            **{key: value for key, value in at.items() if key != "enum"},
        }
    inside = {key: value if key in ("default", "required") else _widened(value) for key, value in at.items()}
    if at.get("type") != "object":
        return inside
    # Properties are names of their own: one that is called `enum`, say, would be no keyword.
    inside["properties"] = {"$include": {"$ref": f"{_DEFS}Include"}, **inside.get("properties", {})}
    if required := inside.pop("required", []):
        inside["anyOf"] = [{"required": required}, {"required": ["$include"]}]
    if "description" in inside:
        inside["description"] = " ".join(inside["description"].replace("``", "").split())
    return inside


def _required(at: Json) -> list[str]:
    found: list[str] = at["anyOf"][0]["required"] if "anyOf" in at and "required" in at["anyOf"][0] else []
    return found


def _resolved(document: Json, place: Json) -> Json:
    return document["$defs"][place["$ref"].removeprefix(_DEFS)]


def _default(key: Key) -> str:
    if key.required:
        return "required"
    value = key.schema.get("default")
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}`"


def _type(document: Json, place: Json) -> str:
    """Say in words what a value's schema asks for."""
    options = [each for each in place.get("anyOf", [place]) if each.get("type") != "null" and each != _VARIABLE]
    return " or ".join(_word(document, option) for option in options)


def _word(document: Json, option: Json) -> str:
    if "anyOf" in option:
        return _type(document, option)
    if "$ref" in option:
        return "object with the keys below"
    if "enum" in option:
        return ", ".join(f'`"{word}"`' for word in option["enum"])
    kind = option.get("type")
    if kind == "array":
        inside = option["items"]
        return "list of objects" if "$ref" in inside else f"list: {_type(document, inside)}"
    if kind == "object":
        inside = option.get("additionalProperties")
        return f"object by name: {_type(document, inside)}" if isinstance(inside, dict) and inside else "object"
    words = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number"}
    return words.get(str(kind), "any value") + _bounds(option)


def _bounds(option: Json) -> str:
    if "maximum" in option:
        return f", {option['minimum']} to {option['maximum']}"
    if "exclusiveMinimum" in option:
        return f" above {option['exclusiveMinimum']}"
    if "minimum" in option:
        return f", {option['minimum']} or more"
    return ", not empty" if option.get("minLength") else ""
