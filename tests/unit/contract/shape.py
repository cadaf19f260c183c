"""What a schema says, flattened: every place in the JSON it describes, and what is allowed there.

Two documents that spell the same rule differently (references, `allOf`, unions, `const` or `enum`) have the same shape.
Variants of a union share their places: `tools[].type` is one place, whatever the kind of tool.
"""

from dataclasses import dataclass, field

from tests.official import Json

BOUNDS = (
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("pattern", "contains", "propertyNames"),
)

Schemas = dict[str, dict[str, Json]]


@dataclass
class Place:
    """Collect what is allowed at one place."""

    types: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    any_text: bool = False
    required: set[tuple[str, ...]] = field(default_factory=set)
    bounds: set[str] = field(default_factory=set)
    closed: set[bool] = field(default_factory=set)

    def facts(self) -> set[str]:
        """Say the same as sentences, for comparison and for reading."""
        said = {f"type {name}" for name in self.types} | self.bounds
        said |= set() if self.any_text else {f"value {value}" for value in self.values}
        said |= {f"required {', '.join(names) or 'nothing'}" for names in self.required}
        return said | ({"closed"} if True in self.closed else set())


def shape(name: str, schemas: Schemas) -> dict[str, Place]:
    """Flatten one component schema.

    Args:
        name: The component to start from.
        schemas: All components of its document.

    Returns:
        The places by path, as in `messages[].content[].text` and `metadata{}`; the root is the empty path.
    """
    places: dict[str, Place] = {}
    _walk(schemas[name], schemas, "", places)
    return places


def _walk(schema: dict[str, Json], schemas: Schemas, path: str, places: dict[str, Place]) -> None:
    schema = _flat(schema, schemas)
    variants = [v for key in ("anyOf", "oneOf") for v in _list(schema.get(key))]
    for variant in variants:
        _walk(variant, schemas, path, places)
    properties = schema.get("properties", {})
    types = {str(t) for t in _list(schema.get("type"))} or ({"object"} if properties else set())
    values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    types |= {"string" for value in values if isinstance(value, str)}
    if variants and not types:
        return
    place = places.setdefault(path, Place())
    place.types |= types
    place.values |= {str(value) for value in values if value is not None}
    place.any_text |= "string" in types and not values
    place.bounds |= {f"{key} {schema[key]}" for key in BOUNDS if key in schema}
    if "object" in types:
        place.required.add(tuple(sorted(str(n) for n in _list(schema.get("required")))))
        place.closed.add(schema.get("additionalProperties") is False)
    for name, inner in properties.items():
        _walk(inner, schemas, f"{path}.{name}".removeprefix("."), places)
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        inner = schema.get(key)
        if isinstance(inner, dict) and inner:
            _walk(inner, schemas, path + suffix, places)


def _flat(schema: dict[str, Json], schemas: Schemas) -> dict[str, Json]:
    """Resolve a reference and merge `allOf`; where parts disagree, the last one wins."""
    if "$ref" in schema:
        return _flat(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    merged: dict[str, Json] = {}
    for part in [_flat(p, schemas) for p in _list(schema.get("allOf"))] + [schema]:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*_list(merged.get("required")), *_list(part.get("required"))]
        merged = {**merged, **part}
        merged |= {"properties": properties} if properties else {}
        merged |= {"required": required} if required else {}
    return merged


def _list(node: Json) -> list[Json]:
    return node if isinstance(node, list) else [] if node is None else [node]
