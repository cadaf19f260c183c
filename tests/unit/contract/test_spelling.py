"""The contract keeps to the spellings that the generator and the decoder understand (contracts/README.md)."""

import json
import re
from collections.abc import Iterator

from tests.official import Json
from tests.unit.contract import schemas

Found = Iterator[tuple[str, dict[str, Json]]]


def nodes(node: Json, path: str = "") -> Found:
    """Walk every object of a part of the document, with its path."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}/{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from nodes(value, f"{path}/{i}")


def in_schemas() -> Found:
    """Walk every object inside the component schemas."""
    for name, schema in schemas.components().items():
        yield from nodes(schema, name)


def reachable(name: str, seen: set[str] | None = None) -> set[str]:
    """Name the component schemas that one of them needs, itself included."""
    seen = set() if seen is None else seen
    if name not in seen:
        seen.add(name)
        for inner in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schemas.components()[name])):
            reachable(inner, seen)
    return seen


def variants() -> set[str]:
    """Name the component schemas that are told apart by a discriminator, which makes them tagged structs."""
    mappings = [node["mapping"] for _, node in in_schemas() if "mapping" in node]
    return {ref.rsplit("/", 1)[1] for mapping in mappings for ref in mapping.values()}


def test_no_default_in_a_request() -> None:
    """A default in a request would be written into the struct, and sent upstream as if the client had said it."""
    request = reachable("CreateChatCompletionRequest")
    assert [] == [path for path, node in in_schemas() if "default" in node and path.split("/")[0] in request]


def test_no_pattern_lets_a_newline_through() -> None:
    """Python's `$` also matches before a last newline, so a pattern ends in `$(?!\\n)`, which ECMA 262 also has."""
    patterns = [str(node["pattern"]) for _, node in nodes(schemas.document()) if "pattern" in node]
    assert (True, []) == (bool(patterns), [p for p in patterns if not (p.startswith("^") and p.endswith(r"$(?!\n)"))])


def test_no_format() -> None:
    """Decoders do not check formats, so the contract does not promise them."""
    formats = [p for p, node in in_schemas() if "format" in node and not p.endswith("/properties")]
    assert [] == formats


def test_no_keyword_the_generator_drops() -> None:
    """What would be lost on the way into the structs is not used."""
    lost = {"patternProperties", "not", "if", "dependentRequired", "unevaluatedProperties", "minProperties"}
    lost |= {"uniqueItems", "multipleOf", "prefixItems", "minContains", "allOf"}
    assert [] == [f"{path}: {sorted(lost & node.keys())}" for path, node in in_schemas() if lost & node.keys()]


def test_tagged_structs_are_used_only_in_their_union() -> None:
    """A tagged struct by itself does not insist on its tag, so nothing refers to one outside of its union."""
    tagged = variants()
    alone = [
        path
        for path, node in nodes(schemas.document())
        if str(node.get("$ref")).rsplit("/", 1)[-1] in tagged and not re.search(r"/oneOf/\d+$", path)
    ]
    assert [] == alone


def test_every_union_of_objects_has_a_discriminator() -> None:
    """Objects are told apart by a tag, and a union of them is a component of its own."""
    objects = {name for name, schema in schemas.components().items() if "properties" in schema}
    untold = []
    for path, node in in_schemas():
        for keyword in ("oneOf", "anyOf"):
            parts = node.get(keyword)
            if not isinstance(parts, list):
                continue
            refs = [str(p.get("$ref")).rsplit("/", 1)[-1] for p in parts if isinstance(p, dict)]
            if len([ref for ref in refs if ref in objects]) > 1 and ("discriminator" not in node or "/" in path):
                untold.append(path)
    assert [] == untold


def test_discriminators_name_their_variants() -> None:
    """A union's mapping, its variants and their constants say the same."""
    for path, node in in_schemas():
        if "discriminator" not in node:
            continue
        mapping, tag = node["discriminator"]["mapping"], node["discriminator"]["propertyName"]
        assert node["oneOf"] == [{"$ref": ref} for ref in mapping.values()], path
        for value, ref in mapping.items():
            variant = schemas.components()[ref.rsplit("/", 1)[1]]
            expected = {"type": "string", "const": value}
            assert (expected, True) == (variant["properties"][tag], tag in variant["required"]), ref


def test_closed_objects_are_components() -> None:
    """`additionalProperties: false` is enforced by a base class, which only a component of its own can be given."""
    assert [] == [p for p, node in in_schemas() if node.get("additionalProperties") is False and "/" in p]


def test_every_object_has_a_name() -> None:
    """Objects with properties are components, so that their structs have names that mean something."""
    inline = [p for p, node in in_schemas() if isinstance(node.get("properties"), dict) and "/" in p]
    assert ["CreateChatCompletionRequest/properties/messages/contains"] == inline


def responses() -> Iterator[tuple[str, str, dict[str, Json]]]:
    """Walk every response of every operation, references resolved: operation, status, response."""
    shared = schemas.document()["components"]["responses"]
    for item in schemas.document()["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                found = shared[answer["$ref"].rsplit("/", 1)[1]] if "$ref" in answer else answer
                yield operation["operationId"], status, found


def test_statuses() -> None:
    """No status that OpenAI's SDKs misunderstand: 422 is never used, 409 would be retried (design.md, section 3)."""
    allowed = {"200", "400", "401", "403", "404", "405", "413", "415", "429", "500", "502", "503", "504"}
    assert allowed == {status for _, status, _ in responses()}


def test_every_error_is_an_error_response() -> None:
    """Every failure has OpenAI's error object, as JSON and nothing else."""
    expected = {"application/json": {"$ref": "#/components/schemas/ErrorResponse"}}
    for operation, status, response in responses():
        shapes = {name: media["schema"] for name, media in response["content"].items()}
        assert status == "200" or expected == shapes, (operation, status)


def test_promised_headers() -> None:
    """The headers that are always there are required, so that contract tests look for them."""
    shared = schemas.document()["components"]["headers"]
    under = {
        operation["operationId"]: path
        for path, methods in schemas.document()["paths"].items()
        for operation in methods.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    promised = {
        "200": {"x-zero-agent-id", "x-zero-session-key", "x-zero-run-id"},
        "401": {"WWW-Authenticate"},
        "405": {"Allow"},
        "429": {"Retry-After"},
    }
    for operation, status, response in responses():
        headers = {name: shared[header["$ref"].rsplit("/", 1)[1]] for name, header in response["headers"].items()}
        required = {name for name, header in headers.items() if header.get("required")}
        wanted = promised.get(status, set()) if status != "200" or operation == "createChatCompletion" else set()
        if status == "200" and under[operation].startswith("/v1/"):
            wanted = wanted | {"x-zero-config-revision"}
        assert {"x-request-id"} | wanted == required, (operation, status)
