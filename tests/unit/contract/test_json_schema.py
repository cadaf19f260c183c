"""Which JSON Schemas are taken, and that judging one costs little whatever it says."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from app.contract.json_schema import MAX_STRICT_PARTS, check_schema
from app.errors import InvalidRequest

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
SECONDS = 2.0
"""Processor time that no schema below may take; each takes a hundredth of it."""


def fault(schema: dict[str, Any], *, strict: bool = False) -> str | None:
    """Return what is said against a schema, or ``None`` if it is taken."""
    found: InvalidRequest | None = None
    try:
        check_schema(schema, "it", "place", strict=strict)
    except InvalidRequest as error:
        found = error
    assert found is None or ("invalid_json_schema", "place") == (found.code, found.param)
    return None if found is None else found.message


@pytest.mark.parametrize(
    "schema",
    [
        {},
        CLOSED,
        {"type": ["string", "null"], "x-unknown": 1},
        {"items": [{"type": "string"}]},
        {"definitions": {"a": {}}, "$ref": "#/definitions/a"},
        {"$ref": "http://127.0.0.1:9/never-fetched"},
        {"$schema": "http://127.0.0.1:9/never-fetched", "type": "object"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
        {"pattern": "(a+)+$"},
        {"minimum": 10**400},
    ],
)
def test_schemas(schema: dict[str, Any]) -> None:
    """A schema of any usual draft is taken, and nothing that it names is fetched or run."""
    assert fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "objekt"}, "at 'type'"),
        ({"properties": {"a": {"properties": {"b": {"minimum": "x"}}}}}, "at 'properties.a.properties.b.minimum'"),
        ({"required": "a"}, "at 'required'"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": 5}, "at 'type'"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "items": [{}]}, "at 'items'"),
        ({"enum": "x" * 1_000_000}, "at 'enum'"),
    ],
)
def test_no_schemas(schema: dict[str, Any], place: str) -> None:
    """What is none is refused with the place, in few words however large it is."""
    message = fault(schema)
    assert message is not None
    assert place in message
    assert len(message) < 1_000


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        {**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}},
        {**CLOSED, "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}}}, "$defs": {"b": CLOSED}},
        {**CLOSED, "properties": {"a": {"$ref": "#"}}},
        {**CLOSED, "properties": {"a": True}},
        {**CLOSED, "properties": {"a": {"$ref": "#/$defs/x~1y"}}, "$defs": {"x/y": {"type": "string"}}},
    ],
)
def test_strict_schemas(schema: dict[str, Any]) -> None:
    """A closed schema is taken, whatever it is made of."""
    assert fault(schema, strict=True) is None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({}, "the outermost schema"),
        ({"type": "array", "items": CLOSED}, "the outermost schema"),
        ({**CLOSED, "anyOf": [CLOSED]}, "the outermost schema"),
        ({**CLOSED, "additionalProperties": True}, "'additionalProperties': false"),
        ({**CLOSED, "required": []}, "'a' is missing"),
        ({**CLOSED, "properties": {"a": {"type": ["object", "null"]}}}, "at 'properties.a': with strict, an object"),
        ({**CLOSED, "properties": {"a": {"properties": {"b": {}}}}}, "at 'properties.a': with strict, an object"),
        ({**CLOSED, "$defs": {"b": {"type": "object"}}}, "at '$defs.b': with strict, an object"),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "object"}]}}}, "at 'properties.a.anyOf.0'"),
        ({**CLOSED, "properties": {"a": {"items": {"type": "object"}}}}, "at 'properties.a.items'"),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({**CLOSED, "properties": {"a": {"$ref": "https://example.com/a"}}}, "leads nowhere"),
    ],
)
def test_schemas_that_are_not_strict(schema: dict[str, Any], said: str) -> None:
    """A schema that leaves something open is fine, but not with `strict`, and the message says where and why."""
    assert fault(schema) is None
    assert said in (fault(schema, strict=True) or "")


def deep(levels: int) -> dict[str, Any]:
    """Return a closed schema inside a closed schema, and so on."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {**CLOSED, "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(deep(90), id="deep"),
        pytest.param(
            {**CLOSED, "properties": {f"p{i}": {"type": "string"} for i in range(50_000)}, "required": []}, id="wide"
        ),
        pytest.param({**CLOSED, "properties": {"a": {"enum": [{"a": i} for i in range(50_000)]}}}, id="many values"),
        pytest.param({**CLOSED, "properties": {"a": {"pattern": "(" * 100_000}}}, id="a monstrous pattern"),
        pytest.param(
            {**CLOSED, "properties": {"a": {"allOf": [{"anyOf": [{"type": "x"}] * 50}] * 50}}}, id="many faults"
        ),
    ],
)
def test_no_schema_is_expensive(schema: dict[str, Any]) -> None:
    """However large, deep or wrong a schema is, judging it takes no time to speak of."""
    fault(CLOSED, strict=True)
    began = process_time()
    fault(schema, strict=True)
    assert process_time() - began < SECONDS


def test_too_many_parts_for_strict() -> None:
    """A strict schema is walked through, which has an end."""
    properties = {f"p{i}": {"type": "string"} for i in range(MAX_STRICT_PARTS)}
    schema = {**CLOSED, "properties": properties, "required": list(properties)}
    assert f"more than {MAX_STRICT_PARTS} parts" in (fault(schema, strict=True) or "")
