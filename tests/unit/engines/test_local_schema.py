"""JSON schemas for llama.cpp: the same or narrower, and nothing of what it passes over, crashes on or can't end."""

from __future__ import annotations

from typing import Any

import pytest

from app.engines.local.schema import MAX_DEPTH, GrammarSchemas
from app.errors import InvalidRequest, UnsupportedParameter

LIST = {"type": "object", "properties": {"v": {"type": "null"}, "next": {"$ref": "#/$defs/L"}}, "required": ["v"]}


def written(schema: Any, *, strict: bool = False) -> Any:
    """Return what becomes of a schema, its definitions included."""
    schemas = GrammarSchemas()
    result = schemas.add(schema, "here", strict=strict)
    return {**result, "$defs": schemas.definitions} if schemas.definitions else result


def nested(depth: int) -> dict[str, Any]:
    """Return a schema of lists in lists."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def multiplying(levels: int) -> dict[str, Any]:
    """Return a schema with four to the power of ``levels`` alternatives."""
    definitions: dict[str, Any] = {"d0": {"const": 1}}
    for level in range(1, levels):
        definitions[f"d{level}"] = {"anyOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 4}
    return {"$defs": definitions, "$ref": f"#/$defs/d{levels - 1}"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, {}),
        ({"description": "anything", "title": "T", "default": 1}, {}),
        ({"const": None}, {"enum": [None]}),
        ({"type": "string", "enum": ["a", 1, "b"]}, {"enum": ["a", "b"]}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "string", "minLength": 2, "maxLength": 5}, {"type": "string", "minLength": 2, "maxLength": 5}),
        ({"type": "string", "maxLength": 5000}, {"type": "string", "maxLength": 1000}),
        ({"type": "string", "maxLength": 2**40}, {"type": "string"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "pattern": "^[ab]$", "minLength": 1}, {"type": "string", "pattern": "^[ab]$"}),
        ({"type": "integer"}, {"type": "integer"}),
        ({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 4}, {"type": "integer", "minimum": 1, "maximum": 3}),
        ({"type": "number", "minimum": 0, "maximum": 1}, {"type": "integer", "minimum": 0, "maximum": 1}),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"type": "number"}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"type": "integer", "minimum": 2}),
        ({"type": "integer", "maximum": 10**30}, {"type": "integer"}),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "object", "properties": {}}, {"const": {}}),
        ({"type": "object", "additionalProperties": False}, {"const": {}}),
        (
            {"additionalProperties": {"type": "null"}},
            {"type": "object", "additionalProperties": {"type": "null"}},
        ),
        (
            {"properties": {"a": {}, "no": False}, "required": ["a", "b"], "additionalProperties": True},
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        ),
        ({"items": {"type": "null"}, "maxItems": 9999}, {"type": "array", "items": {"type": "null"}, "maxItems": 1000}),
        ({"type": "array", "items": False}, {"type": "array", "maxItems": 0}),
        (
            {"type": "array", "prefixItems": [True], "items": {"type": "null"}, "minItems": 2},
            {"type": "array", "prefixItems": [{}, {"type": "null"}]},
        ),
        ({"oneOf": [{"const": 1}, False]}, {"anyOf": [{"enum": [1]}]}),
        (
            {"properties": {"a": {"const": 1}}, "anyOf": [{"required": ["a"]}, {"type": "null"}]},
            {
                "anyOf": [
                    {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]},
                    {"type": "null"},
                ]
            },
        ),
        (
            {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}, "required": ["b"]}]},
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]},
        ),
        (
            {"allOf": [{"properties": {"a": {"type": "number"}}}, {"properties": {"a": {"type": "integer"}}}]},
            {"type": "object", "properties": {"a": {"type": "integer"}}},
        ),
        ({"allOf": [{"enum": [1, 2, True]}, {"enum": [2, 3, 1]}]}, {"enum": [1, 2]}),
        (
            {"allOf": [{"minLength": 2}, {"minLength": 3}], "maxLength": 4},
            {"type": "string", "minLength": 3, "maxLength": 4},
        ),
        (
            {"$defs": {"x/y z": {"const": 7}}, "$ref": "#/$defs/x~1y%20z", "description": "seven"},
            {"$ref": "#/$defs/d0", "$defs": {"d0": {"enum": [7]}}},
        ),
        (
            {"$defs": {"L": LIST}, "$ref": "#/$defs/L"},
            {
                "$ref": "#/$defs/d0",
                "$defs": {
                    "d0": {
                        "type": "object",
                        "properties": {"v": {"type": "null"}, "next": {"$ref": "#/$defs/d0"}},
                        "required": ["v"],
                    }
                },
            },
        ),
        (
            {"type": "array", "items": {"$ref": "#"}},
            {
                "type": "array",
                "items": {"$ref": "#/$defs/d0"},
                "$defs": {"d0": {"type": "array", "items": {"$ref": "#/$defs/d0"}}},
            },
        ),
    ],
)
def test_in_the_grammars_words(schema: Any, expected: Any) -> None:
    """Each keyword comes out as one that llama.cpp enforces."""
    assert expected == written(schema)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "string", "const": 1},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "array", "minItems": 5, "maxItems": 2},
        {"type": "integer", "minimum": 9, "maximum": 3},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
        {"type": "number", "minimum": 2.5, "maximum": 2.4},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"allOf": [{"additionalProperties": False}, {"properties": {"a": {}}, "required": ["a"]}]},
        {"anyOf": [False, {"enum": []}]},
        {"properties": {"a": False}, "required": ["a"]},
        {"required": ["a"], "additionalProperties": False},
        {"type": "array", "items": False, "minItems": 1},
    ],
)
def test_schemas_that_nothing_fits(schema: Any) -> None:
    """They make llama.cpp take all memory or fail with a 500; here they are the client's error."""
    with pytest.raises(InvalidRequest) as refusal:
        written(schema)

    assert ("here", "invalid_json_schema") == (refusal.value.param, refusal.value.code)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/x.json"},
        {"$ref": "#anchor"},
        {"$ref": "#/$defs/nowhere"},
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
        {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
        {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"const": 1}]}}, "$ref": "#/$defs/A"},
        {"allOf": [{"$ref": "#/allOf/0"}]},
        multiplying(14),
        nested(MAX_DEPTH + 1),
        {"enum": list(range(3000))},
        {"type": "object", "properties": {f"p{at}": {} for at in range(3000)}},
        {"type": "string", "minLength": 1001},
        {"type": "array", "minItems": 5_000_000},
        {"type": "integer", "minimum": 10**30},
        {"allOf": [{"pattern": "^a$"}, {"pattern": "^b$"}]},
    ],
)
def test_schemas_that_the_model_cant_keep_to(schema: Any) -> None:
    """References without an end or a place, what multiplies, and what is too large are refused by name."""
    with pytest.raises(UnsupportedParameter) as refusal:
        written(schema)

    assert "here" == refusal.value.param


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"const": 1}},
        {"type": "array", "uniqueItems": True},
        {"type": "integer", "multipleOf": 5},
        {"type": "object", "patternProperties": {"^x": {}}},
        {"type": "string", "pattern": "^(?=a)b$"},
        {"type": "string", "pattern": "^a$", "maxLength": 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ],
)
def test_what_a_grammar_cant_express(schema: dict[str, Any]) -> None:
    """A strict schema promises all of itself, so it is refused; of any other the rest is enforced."""
    with pytest.raises(UnsupportedParameter) as refusal:
        written({"type": "object", "properties": {"a": schema}}, strict=True)

    assert "here" == refusal.value.param
    assert "a" in written({"type": "object", "properties": {"a": schema}})["properties"]


def test_schemas_of_one_request_share_their_definitions() -> None:
    """Two schemas whose definitions are called alike keep their own."""
    schemas = GrammarSchemas()
    one, other = (
        schemas.add({"$defs": {"X": {"const": value}}, "$ref": "#/$defs/X"}, "p", strict=False) for value in (1, 2)
    )

    assert [{"enum": [1]}, {"enum": [2]}] == [schemas.definitions[each["$ref"][8:]] for each in (one, other)]


def test_nonsense_in_an_agents_params_is_a_refusal() -> None:
    """What nobody has checked before is no failure of the gateway."""
    with pytest.raises(InvalidRequest) as refusal:
        written({"properties": ["a"]})

    assert "here" == refusal.value.param
