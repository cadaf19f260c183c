"""OpenAI's published schemas, as validators.

Owns the translation from the spelling of contracts/official-chat-completions.json, which still says `nullable: true`,
to plain JSON Schema. Where that file comes from: contracts/README.md.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema_rs import Draft202012Validator

# A JSON value. Tests index freely into documents whose shape they know, which a closed union would forbid.
Json: TypeAlias = Any

FILE = Path(__file__).resolve().parents[1] / "contracts" / "official-chat-completions.json"


@cache
def schemas() -> dict[str, dict[str, Json]]:
    """Read OpenAI's component schemas as JSON Schema 2020-12."""
    document = json.loads(FILE.read_bytes())
    return {name: _translated(schema) for name, schema in document["components"]["schemas"].items()}


@cache
def validator(name: str) -> Draft202012Validator:
    """Make a validator of one of OpenAI's schemas.

    Args:
        name: A component of OpenAI's document, as in `CreateChatCompletionResponse`.

    Raises:
        KeyError: The file has no such component.
    """
    return Draft202012Validator({**schemas()[name], "components": {"schemas": schemas()}})


def _translated(node: Json) -> Json:
    if isinstance(node, list):
        return [_translated(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _translated(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain
