"""The tables have every field that OpenAI's published schemas and its official Python SDK know."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic
import pytest
import typing_extensions
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams

from contracts.support import ANSWERS, REQUEST
from tests import official
from tests.compatibility.statements import is_covered
from tests.unit.contract.shape import shape

SDK: dict[str, Any] = {
    REQUEST: CompletionCreateParams,
    ANSWERS[0]: ChatCompletion,
    ANSWERS[1]: ChatCompletionChunk,
}


def sdk_places(hint: Any, path: str = "") -> Iterator[str]:
    """Name the places that a type of the SDK's describes, as the tables name them."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    fields = sdk_fields(hint)
    if fields is not None:
        for name, inner in fields.items():
            here = f"{path}.{name}".lstrip(".")
            yield here
            yield from sdk_places(inner, here)
    elif origin in (typing.Union, types.UnionType, typing.Annotated, typing.Required, typing.NotRequired):
        for argument in arguments if origin is not typing.Annotated else arguments[:1]:
            yield from sdk_places(argument, path)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if arguments[1] is not object and arguments[1] is not Any:
            yield f"{path}{{}}"
            yield from sdk_places(arguments[1], f"{path}{{}}")
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        yield f"{path}[]"
        yield from sdk_places(arguments[0], f"{path}[]")
    elif getattr(hint, "__name__", "") == "SequenceNotStr":
        yield f"{path}[]"


def sdk_fields(hint: Any) -> Mapping[str, Any] | None:
    """Return the fields of one of the SDK's objects with their types, or ``None`` for anything else."""
    if typing_extensions.is_typeddict(hint):
        return typing_extensions.get_type_hints(hint)
    if isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return {name: field.annotation for name, field in hint.model_fields.items()}
    return None


def leaves(found: Iterable[str]) -> set[str]:
    """Leave out lists and maps as such: the tables name what is in them."""
    return {place for place in found if place and not place.endswith(("[]", "{}"))}


@pytest.mark.parametrize("root", [REQUEST, *ANSWERS])
def test_every_field_of_the_sdk(root: str) -> None:
    """A field that the installed SDK knows is in the tables: top-level, of messages, parts, tools, choices."""
    known = leaves(sdk_places(SDK[root]))
    assert [] == sorted(place for place in known if not is_covered(place, root))
    assert len(known) > 25, "the SDK's types were read"


@pytest.mark.parametrize("root", [REQUEST, *ANSWERS])
def test_every_field_of_the_official_schema(root: str) -> None:
    """A field of OpenAI's published schema is in the tables."""
    known = leaves(shape(root, official.schemas()))
    assert [] == sorted(place for place in known if not is_covered(place, root))


def test_a_field_that_is_missing_is_noticed() -> None:
    """The walk through the SDK's types reaches the bottom: fields of all depths are among what it finds."""
    known = leaves(sdk_places(CompletionCreateParams))
    deep = {
        "temperature",
        "messages[].content[].image_url.url",
        "messages[].tool_calls[].function.arguments",
        "tools[].custom.format.grammar.syntax",
        "web_search_options.user_location.approximate.city",
        "response_format.json_schema.strict",
        "moderation.policy.input.mode",
    }
    assert deep <= known
