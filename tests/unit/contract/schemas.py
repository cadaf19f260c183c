"""The contract's own schemas, as the tests of this folder need them."""

import json
from functools import cache
from pathlib import Path

from jsonschema_rs import Draft202012Validator

from app import contract
from tests.official import Json

FILE = Path(contract.__file__).with_name("openapi.json")


@cache
def document() -> dict[str, Json]:
    """Read the contract."""
    found: dict[str, Json] = json.loads(FILE.read_bytes())
    return found


@cache
def components() -> dict[str, dict[str, Json]]:
    """Read the contract's component schemas."""
    found: dict[str, dict[str, Json]] = document()["components"]["schemas"]
    return found


def validator(schema: dict[str, Json]) -> Draft202012Validator:
    """Make a validator of a schema that may refer to the contract's components."""
    return Draft202012Validator({"allOf": [schema], "components": {"schemas": components()}})


def of(name: str) -> Draft202012Validator:
    """Make a validator of a component schema."""
    return validator({"$ref": f"#/components/schemas/{name}"})
