"""Is a JSON Schema that a client sends one? Of tools' parameters and of structured answers.

Judged against the published meta-schemas, which come with the library: nothing that a schema refers to is fetched, no
pattern in it is run, and the time is linear in its size. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from app.errors import InvalidRequest

if TYPE_CHECKING:
    import jsonschema_rs

Schema: TypeAlias = dict[str, Any]

CODE: Final = "invalid_json_schema"
MAX_STRICT_PARTS: Final = 20_000
"""Objects and lists in a strict schema; OpenAI's own limits are far below."""

_DRAFTS: Final = {
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
}
_UNSAID: Final = ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema")
"""What a schema without a known ``$schema`` may be: tools that write schemas hardly ever say which draft they mean."""

_OF_SCHEMAS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SCHEMA: Final = ("items", "not", "if", "then", "else", "contains", "additionalProperties", "propertyNames")


def check_schema(schema: Schema, what: str, param: str, *, strict: bool) -> None:
    """Refuse what is no JSON Schema, and with ``strict`` also what structured outputs can't follow.

    Args:
        schema: The schema, decoded.
        what: Whose it is, for the message.
        param: Where it stands in the request.
        strict: Whether every object must be closed and have all its properties required, as OpenAI has it.

    Raises:
        InvalidRequest: If it is neither; the message names the place inside.
    """
    said = str(schema.get("$schema", "")).removesuffix("#")
    drafts = (said,) if said in _DRAFTS else _UNSAID
    if not any(_judge(draft).is_valid(schema) for draft in drafts):
        place, why = _fault(schema, drafts[0])
        raise _invalid(what, param, place, why)
    if strict:
        _check_strict(schema, what, param)


@cache
def _judge(draft: str) -> jsonschema_rs.Validator:
    # Imported here: most requests bring no schema, and most gateways start before the first that does.
    import jsonschema_rs

    judge: jsonschema_rs.Validator = getattr(jsonschema_rs, _DRAFTS[draft])({"$ref": draft})
    return judge


def _fault(schema: Schema, draft: str) -> tuple[str, str]:
    import jsonschema_rs

    try:
        _judge(draft).validate(schema)
    except jsonschema_rs.ValidationError as error:
        why = error.message if len(error.message) < 200 else f"{error.message[:200]}..."
        return ".".join(str(step) for step in error.instance_path), why
    raise AssertionError("invalid a moment ago")


def _check_strict(schema: Schema, what: str, param: str) -> None:
    if schema.get("type") != "object" or "anyOf" in schema:
        raise _invalid(what, param, "", "with strict, the outermost schema must be of type 'object', without 'anyOf'")
    for place, inner in _walk(schema, what, param):
        reference = inner.get("$ref")
        if isinstance(reference, str) and not _leads_somewhere(schema, reference):
            raise _invalid(what, param, place, f"its $ref {reference[:100]!r} leads nowhere in this schema")
        kind = inner.get("type")
        if not (kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in inner):
            continue
        if inner.get("additionalProperties") is not False:
            raise _invalid(what, param, place, "with strict, an object must say 'additionalProperties': false")
        missing = sorted(inner.get("properties", {}).keys() - set(inner.get("required", ())))
        if missing:
            raise _invalid(
                what, param, place, f"with strict, 'required' must list every property; {missing[0]!r} is missing"
            )


def _walk(schema: Schema, what: str, param: str) -> Iterator[tuple[str, Schema]]:
    """Yield a schema and all schemas inside, each with the path that leads to it."""
    waiting: list[tuple[str, Any]] = [("", schema)]
    seen = 0
    while waiting:
        place, node = waiting.pop()
        if not isinstance(node, dict):
            continue  # true and false are schemas too
        seen += 1
        if seen > MAX_STRICT_PARTS:
            raise _invalid(what, param, "", f"it has more than {MAX_STRICT_PARTS} parts")
        yield place, node
        inner: list[tuple[str, Any]] = []
        for keyword in _OF_SCHEMAS:
            if isinstance(named := node.get(keyword), dict):
                inner += [(f"{keyword}.{name}", value) for name, value in named.items()]
        for keyword in _SCHEMAS:
            if isinstance(listed := node.get(keyword), list):
                inner += [(f"{keyword}.{at}", value) for at, value in enumerate(listed)]
        inner += [(keyword, node[keyword]) for keyword in _SCHEMA if keyword in node]
        waiting += [(f"{place}.{step}".lstrip("."), value) for step, value in reversed(inner)]


def _leads_somewhere(schema: Schema, reference: str) -> bool:
    """Tell whether a reference leads to a place inside; an anchor's name is believed."""
    if not reference.startswith("#/"):
        return reference.startswith("#")
    node: Any = schema
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return False
    return True


def _invalid(what: str, param: str, place: str, why: str) -> InvalidRequest:
    where = f" at {place[:200]!r}" if place else ""
    return InvalidRequest(f"Invalid schema for {what}{where}: {why}.", param=param, code=CODE)
