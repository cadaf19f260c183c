"""What openapi.yaml says of each engine: the statements under `x-zero-support`, and the places they are about.

A statement is about one member of a component schema: a property, a kind of a union (the discriminator's value) or a
word of an enumeration. A component without statements is covered by the member that leads to it. Reads the parsed
contract; knows nothing of how it is shown or tested.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]

ENGINES = ("echo", "openai-completions", "local", "entry-point")
"""The kinds of engine, in the order in which they are shown."""

WORDS = ("honoured", "forwarded", "emulated", "refused", "ignored", "absent")

REQUEST = "CreateChatCompletionRequest"
ANSWERS = ("CreateChatCompletionResponse", "CreateChatCompletionStreamResponse")

OTHERS = "*"
"""Stands for the members that the contract doesn't name."""


class Statement(NamedTuple):
    """What becomes of one member.

    Args:
        component: The schema it belongs to.
        member: Its name there.
        words: What each kind of engine does with it.
        note: What else there is to know; the reason, where one engine ignores it.
        unnamed: Whether the schema itself has no such member, so that all inside it is covered as well.
    """

    component: str
    member: str
    words: dict[str, str]
    note: str
    unnamed: bool

    @property
    def id(self) -> str:
        """A name that no other statement has."""
        return f"{self.component}.{self.member}"


class Support:
    """The statements that the schemas within one of the contract's bodies make.

    Args:
        schemas: The contract's component schemas.
        root: The body's.

    Raises:
        ValueError: If a member that needs a statement has none, a statement has no member or isn't well formed.
    """

    def __init__(self, schemas: dict[str, Json], root: str) -> None:
        self._schemas = schemas
        self.statements: dict[str, Statement] = {}
        """By id, in the order of the places where their members first occur."""
        self.places: dict[str, list[str]] = {}
        """The places of the body, as in `messages[].content[].text`, with the ids of what is said about each."""
        self._component(root, "", [], ())

    def _component(self, name: str, place: str, owners: list[str], path: tuple[str, ...]) -> None:
        if name in path:
            return
        schema = self._schemas[name]
        said = _stated(name, schema)
        for one in said.values():
            self.statements.setdefault(one.id, one)
        self._schema(schema, place, owners, said, (*path, name))

    def _schema(
        self, schema: Json, place: str, owners: list[str], said: dict[str, Statement], path: tuple[str, ...]
    ) -> None:
        if "$ref" in schema:
            self._component(_name(schema), place, owners, path)
            return
        if place:
            known = self.places.setdefault(place, [])
            known += [owner for owner in (*owners, *_words_said(schema, said)) if owner not in known]
        kinds = {ref: kind for kind, ref in schema.get("discriminator", {}).get("mapping", {}).items()}
        for variant in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            kind = kinds.get(variant.get("$ref", ""))
            self._schema(variant, place, [said[kind].id] if said and kind else owners, {}, path)
        for one in said.values():
            if one.unnamed:
                self.places.setdefault(f"{place}.{one.member}".lstrip("."), []).append(one.id)
        for member, inner in schema.get("properties", {}).items():
            self._schema(inner, f"{place}.{member}".lstrip("."), [said[member].id] if said else owners, {}, path)
        for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
            if isinstance(inner := schema.get(keyword), dict) and inner:
                self._schema(inner, place + suffix, owners, {}, path)


def _stated(name: str, schema: Json) -> dict[str, Statement]:
    raw = schema.get("x-zero-support")
    if raw is None:
        return {}
    kinds = schema.get("discriminator", {}).get("mapping", {})
    members = [*schema.get("properties", kinds or schema.get("enum", ()))]
    extra = [member for member in raw if member == OTHERS or raw[member].get("unnamed")]
    if sorted((*members, *extra)) != sorted(raw):
        odd = sorted({*members, *extra} ^ set(raw))
        raise ValueError(f"x-zero-support of {name} has a statement too many, or too few: {', '.join(odd)}")
    return {member: _statement(name, member, raw[member]) for member in (*members, *extra)}


def _statement(name: str, member: str, raw: Json) -> Statement:
    words = {engine: str(raw.get("all", raw.get(engine))) for engine in ENGINES}
    strange = raw.keys() - {"note", "unnamed", *(("all",) if "all" in raw else ENGINES)}
    if strange or not set(words.values()) <= set(WORDS):
        raise ValueError(f"x-zero-support of {name}.{member} is not a word of {WORDS} for each of {ENGINES}")
    if "ignored" in words.values() and not raw.get("note"):
        raise ValueError(f"x-zero-support of {name}.{member} must say in its note why it is ignored")
    return Statement(name, member, words, " ".join(raw.get("note", "").split()), raw.get("unnamed", False))


def _words_said(schema: Json, said: dict[str, Statement]) -> Iterator[str]:
    """Name the statements about the words of an enumeration."""
    if "enum" in schema:
        yield from (one.id for one in said.values())


def _name(reference: Json) -> str:
    name: str = reference["$ref"].rsplit("/", 1)[1]
    return name
