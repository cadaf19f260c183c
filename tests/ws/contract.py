"""The WebSocket contract as tests use it: validators by schema name, methods and events by their own names.

Reads the document that the gateway ships. Knows no connection.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from jsonschema_rs import Draft7Validator

from app.contract import frame_document
from tests.official import Json

DOCUMENT: Final[dict[str, Json]] = json.loads(frame_document.load().json)
SCHEMAS: Final[dict[str, dict[str, Json]]] = DOCUMENT["components"]["schemas"]
METHODS: Final[dict[str, dict[str, Json]]] = {
    operation["x-zero-method"]: operation
    for operation in DOCUMENT["operations"].values()
    if "x-zero-method" in operation
}
EVENTS: Final[dict[str, str]] = {
    operation["x-zero-event"]: operation["x-zero-payload"]
    for operation in DOCUMENT["operations"].values()
    if "x-zero-event" in operation
}
"""The schema of each event's payload."""
CLOSE_CODES: Final = {int(code) for code in DOCUMENT["channels"]["gateway"]["x-zero-close-codes"]}


@cache
def validator(name: str) -> Draft7Validator:
    """Make a validator of one of the contract's schemas."""
    root = {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "components": {"schemas": SCHEMAS}}
    return Draft7Validator(root)


def results(method: str) -> list[str]:
    """Return the schemas that an answer of a method may have, an earlier one (``x-zero-accepted``) included."""
    operation = METHODS[method]
    found = operation["x-zero-result"]
    accepted = operation.get("x-zero-accepted")
    return [*([found] if isinstance(found, str) else found), *([accepted] if accepted else [])]
