"""The contract is a valid OpenAPI document, and its examples are what its schemas say."""

from collections.abc import Iterator

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.official import Json
from tests.unit.contract import schemas


def examples(node: Json, path: str = "") -> Iterator[tuple[str, Json, Json]]:
    """Find every example: where it is, its schema, its value."""
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from examples(item, f"{path}/{i}")
    if not isinstance(node, dict):
        return
    if "schema" in node and "example" in node:
        yield path, node["schema"], node["example"]
    named = node.get("examples")
    if "schema" in node and isinstance(named, dict):
        for name, example in named.items():
            yield f"{path}/{name}", node["schema"], example["value"]
    for key, value in node.items():
        yield from examples(value, f"{path}/{key}")


EXAMPLES = list(examples(schemas.document()))


def test_document_is_openapi() -> None:
    """The document is valid OpenAPI 3.1."""
    OPENAPI_31_VALIDATOR.validate(schemas.document())


@pytest.mark.parametrize("name", schemas.components())
def test_schema_is_json_schema(name: str) -> None:
    """Every component schema is valid JSON Schema 2020-12."""
    jsonschema_rs.meta.validate(schemas.components()[name])
    assert jsonschema_rs.meta.is_valid(schemas.components()[name])


@pytest.mark.parametrize(("schema", "value"), [pytest.param(s, v, id=p) for p, s, v in EXAMPLES])
def test_example(schema: dict[str, Json], value: Json) -> None:
    """An example is valid."""
    schemas.validator(schema).validate(value)
    assert schemas.validator(schema).is_valid(value)


def test_everything_with_a_body_has_an_example() -> None:
    """Every body that the contract describes is shown, except the stream and the contract itself."""
    shown = {path for path, _, _ in EXAMPLES}
    missing = {
        path for path in contents(schemas.document()) if not any(p == path or p.startswith(f"{path}/") for p in shown)
    }
    assert {
        "/paths//v1/chat/completions/post/responses/200/content/text/event-stream",
        "/paths//openapi.json/get/responses/200/content/application/json",
        "/paths//openapi.yaml/get/responses/200/content/application/yaml",
        "/paths//docs/get/responses/200/content/text/html",
    } == missing


def contents(node: Json, path: str = "") -> Iterator[str]:
    """Find every media type of every body."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}/{key}"
            if key == "content" and isinstance(value, dict) and any("/" in name for name in value):
                yield from (f"{here}/{name}" for name in value)
            yield from contents(value, here)
