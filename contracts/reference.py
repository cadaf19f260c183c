"""The API reference, rendered from openapi.yaml: docs/api.md, and the same as the page that a gateway serves at /docs.

Says nothing that the contract doesn't say. The page needs no script, no other file and no other address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

Json: TypeAlias = Any  # a part of the contract, whatever it is

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NOT_IN_SLUG: Final = re.compile(r"[^\w\- ]")
_INTRODUCTION: Final = """\
# API reference

Written by `python -m contracts.generate` from the contract, `openapi.yaml`. A running gateway serves this page at
`/docs`, and the contract itself at `/openapi.yaml` and `/openapi.json`.

"""

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API reference</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }}
h2 {{ border-bottom: 1px solid; margin-top: 3rem; }}
h3 {{ margin-top: 2.5rem; }}
code, pre {{ font: 0.875em/1.45 ui-monospace, monospace; }}
pre {{ border: 1px solid #8886; overflow-x: auto; padding: 0.75rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #8886; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def reference(contract: Json) -> str:
    """Write docs/api.md.

    Args:
        contract: The contract, parsed.
    """
    pieces = [_INTRODUCTION, f"{contract['info']['description'].strip()}\n"]
    pieces += [
        f"\n## {tag['name']}\n\n{tag['description']}\n" + _tag(contract, tag["name"]) for tag in contract["tags"]
    ]
    pieces.append("\n## Authentication\n\n")
    pieces.append(contract["components"]["securitySchemes"]["bearerAuth"]["description"].strip() + "\n")
    pieces.append("\n## Headers of answers\n\n| Header | Meaning |\n| --- | --- |\n")
    pieces += [f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in dict.fromkeys(_headers(contract))]
    pieces.append("\n## Schemas\n")
    pieces += [_schema(name, schema) for name, schema in contract["components"]["schemas"].items()]
    return "".join(pieces)


def reference_page(contract: Json) -> str:
    """Write the page of /docs.

    Args:
        contract: The contract, parsed.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("heading_open", _heading)
    # The page stands alone: what the documents link to beside it isn't there.
    body = markdown.render(reference(contract))
    return _PAGE.format(title=contract["info"]["title"], body=body)


def _heading(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, _environment: Any) -> str:
    tokens[index].attrSet("id", _anchor(tokens[index + 1].content))
    return renderer.renderToken(tokens, index, options, _environment)


def _anchor(heading: str) -> str:
    """Name a heading as the repository's view and the site do."""
    return _NOT_IN_SLUG.sub("", heading.lower()).replace(" ", "-")


def _tag(contract: Json, tag: str) -> str:
    return "".join(
        _operation(contract, method.upper(), path, item[method])
        for path, item in contract["paths"].items()
        for method in _METHODS
        if method in item and tag in item[method]["tags"]
    )


def _operation(contract: Json, method: str, path: str, operation: Json) -> str:
    pieces = [f"\n### {method} {path}\n\n{operation['summary']}. {_who(operation)}\n"]
    if "description" in operation:
        pieces.append(f"\n{operation['description'].strip()}\n")
    if operation.get("parameters"):
        pieces.append("\n| Parameter | In | Type | Meaning |\n| --- | --- | --- | --- |\n")
        pieces += [_parameter(_resolved(contract, each)) for each in operation["parameters"]]
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        pieces.append(f"\nThe body is `{kind}`{_of(media)}.\n")
        pieces += [
            f"\n{example['summary']}:\n\n```json\n{_pretty(example['value'])}\n```\n"
            for example in media.get("examples", {}).values()
            if not isinstance(example["value"], str)
        ]
    pieces.append("\n| Status | Body | Headers | When |\n| --- | --- | --- | --- |\n")
    pieces += [_response(status, _resolved(contract, response)) for status, response in operation["responses"].items()]
    return "".join(pieces)


def _who(operation: Json) -> str:
    if operation.get("security") == []:
        return "Open to everybody."
    return (
        "With the operator's secret or an API key." if operation.get("x-zero-keys") else "With the operator's secret."
    )


def _parameter(parameter: Json) -> str:
    name = f"`{parameter['name']}`" + (" (required)" if parameter.get("required") else "")
    return f"| {name} | {parameter['in']} | {_type(parameter['schema'])} | {_cell(parameter.get('description'))} |\n"


def _response(status: str, response: Json) -> str:
    bodies = [f"`{kind}`{_of(media)}" for kind, media in response.get("content", {}).items()]
    headers = ", ".join(f"`{name}`" for name in response.get("headers", {}))
    return f"| {status} | {' or '.join(bodies)} | {headers} | {_cell(response['description'])} |\n"


def _headers(contract: Json) -> Iterator[tuple[str, str]]:
    """Yield every header of every answer with its meaning, as often as it comes."""
    for item in contract["paths"].values():
        for method in (method for method in _METHODS if method in item):
            for response in item[method]["responses"].values():
                for name, header in _resolved(contract, response).get("headers", {}).items():
                    yield name, _resolved(contract, header)["description"]


def _of(media: Json) -> str:
    schema = media.get("schema", {})
    return f", {_type(schema)}" if "$ref" in schema or "oneOf" in schema else ""


def _schema(name: str, schema: Json) -> str:
    pieces = [f"\n### {name}\n\n"]
    pieces.append(f"{schema['description'].strip()}\n\n" if "description" in schema else "")
    if "properties" not in schema:
        return "".join([*pieces, _type(schema)[:1].upper(), _type(schema)[1:], ".\n"])
    pieces.append("| Member | Type | Meaning |\n| --- | --- | --- |\n")
    required = schema.get("required", ())
    for member, place in schema["properties"].items():
        marks = [mark for mark, there in (("required", member in required), ("deprecated", _old(place))) if there]
        label = f"`{member}`" + (f" ({', '.join(marks)})" if marks else "")
        pieces.append(f"| {label} | {_type(place)} | {_cell(place.get('description'))} |\n")
    return "".join(pieces)


def _old(place: Json) -> bool:
    return bool(place.get("deprecated"))


def _type(schema: Json) -> str:
    """Say in words what a schema asks for."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(word)}`" for word in schema["enum"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(option) for option in schema[key]))
    kinds = schema.get("type", "any value")
    names = [_kind(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds])]
    return " or ".join(names) + "".join(_bounds(schema))


def _kind(kind: str, schema: Json) -> str:
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict) and values:
        return f"object of {_type(values)}"
    return {"string": "text", "boolean": "true or false", "integer": "whole number"}.get(kind, kind)


def _bounds(schema: Json) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        yield f", {low} to {high}" if high is not None else f", {low} or more"
    if schema.get("maxLength"):
        yield f", at most {schema['maxLength']} characters"
    if schema.get("maxItems"):
        yield f", at most {schema['maxItems']}"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _pretty(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _resolved(contract: Json, place: Json) -> Json:
    if "$ref" not in place:
        return place
    kind, _, name = place["$ref"].removeprefix("#/components/").partition("/")
    return contract["components"][kind][name]
