"""A small value of a JSON Schema, with a text in it."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from app.engines.specimen import specimen

TEXT = "hello there"
NODE = {
    "type": "object",
    "properties": {"value": {"type": "string"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
}
LIST = {**NODE, "required": ["value", "next"]}
END: Any = None
for _ in range(4):
    END = {"value": "", "next": END}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, TEXT),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}, {"a": TEXT}),
        (
            {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["n", "a", "b"],
            },
            {"n": 0, "a": TEXT, "b": ""},
        ),
        (
            {"properties": {"unit": {"enum": ["c", "f"]}, "q": {"type": "string"}}, "required": ["unit"]},
            {"unit": "c", "q": TEXT},
        ),
        ({"type": "object", "required": ["a"]}, {"a": TEXT}),
        ({"type": ["null", "string"]}, TEXT),
        ({"type": "string", "maxLength": 5}, "hello"),
        ({"type": "string", "minLength": 13}, f"{TEXT}.."),
        ({"const": 7}, 7),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, [TEXT, ""]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}]}, [1, TEXT]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, TEXT),
        ({"$defs": {"x/y": {"type": "string"}}, "$ref": "#/$defs/x~1y"}, TEXT),
        (
            {
                "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}],
                "properties": {"b": {"const": 1}},
            },
            {"a": TEXT},
        ),
        (LIST, {"value": TEXT, "next": END}),
    ],
)
def test_specimens(schema: dict[str, Any], expected: object) -> None:
    """What is required and no more, and the text where the first text belongs."""
    found = specimen(schema, TEXT)
    assert expected == found
    Draft202012Validator(schema).validate(found)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/a"},
        {"$ref": "#/nowhere"},
        {"enum": {}, "$ref": "#/enum"},
        {"allOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_schemas_without_a_small_value(schema: dict[str, Any]) -> None:
    """A schema that leads nowhere or has no end still gives something, soon and small."""
    began = process_time()
    assert len(json.dumps(specimen(schema, TEXT))) < 100_000
    assert process_time() - began < 2.0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(["object", "#", "#/a", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "items",
                    "anyOf",
                    "allOf",
                    "$ref",
                    "enum",
                    "minItems",
                    "minimum",
                    "a",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_is_taken_for_a_schema(schema: Any) -> None:
    """Nothing that could stand where a schema is expected makes it fail."""
    json.dumps(specimen(schema, TEXT))
