"""The generated structs accept what the contract accepts, refuse what it refuses, and lose nothing."""

import copy
import json
from collections.abc import Iterator

import msgspec
import pytest

from app.contract.models import CreateChatCompletionRequest
from tests.official import Json
from tests.unit.contract import schemas
from tests.unit.contract.bodies import TEXT, USER, bodies
from tests.unit.contract.shape import shape

BODIES = bodies()
DECODER = msgspec.json.Decoder(CreateChatCompletionRequest)
ENCODER = msgspec.json.Encoder()
CONTRACT = schemas.of("CreateChatCompletionRequest")

# What is put, one after the other, in every place of every body. Whole floats are absent: JSON Schema takes 1.0 for an
# integer and the bare decoder does not, which is made good where requests are decoded.
STRANGERS: list[Json] = [
    *(None, True, False, 0, 1, -1, 1.5, -2.5, 2.5, 19, 21, 101, -101, 129, 2**63, -(2**63) - 1, 10**30),
    *("", "x", "text", "none", "auto", "function", "a\n", "a b", "é", "x" * 65, "x" * 513),
    *([], [None], ["x"], ["x"] * 5, [{}], [TEXT], [{"text": "a"}], [{"type": "refusal", "refusal": "no"}]),
    *({}, {"type": "text"}, {"type": "nonsense"}, {"text": "a"}, {"name": "a b"}, {"id": "a", "unexpected": 1}),
    *({"type": "text", "unexpected": 1}, {"x" * 65: "v"}, {str(i): "v" for i in range(17)}),
    *({"role": "user"}, {"content": "a"}, {"role": "nonsense", "content": "a"}),
]


def accepts(body: Json) -> bool:
    """Ask the decoder."""
    try:
        DECODER.decode(json.dumps(body))
    except msgspec.ValidationError:
        return False
    return True


def places(node: Json, path: str = "") -> Iterator[str]:
    """Name every place in a JSON value the way `shape` does, map members as if they were fields."""
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, f"{path}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for value in node:
            yield from places(value, f"{path}[]")


def variations(node: Json) -> Iterator[Json]:
    """Change one thing at a time: put a stranger in a place, leave a member out, add one."""
    yield from STRANGERS
    if isinstance(node, dict):
        yield {**node, "unexpected": 1}
        for key, value in node.items():
            yield {k: v for k, v in node.items() if k != key}
            for other in variations(value):
                yield {**node, key: other}
    elif isinstance(node, list):
        for i, value in enumerate(node[:6]):
            yield node[:i] + node[i + 1 :]
            for other in variations(value):
                yield [*node[:i], other, *node[i + 1 :]]


def test_bodies_use_the_whole_contract() -> None:
    """The bodies below have every place that the request schema describes, so no field goes untested."""
    used = {path for body in BODIES.values() for path in places(body)}
    free = ("metadata{}", "logit_bias{}")
    described = {path for path in shape("CreateChatCompletionRequest", schemas.components()) if path not in free}
    assert set() == described - used


@pytest.mark.parametrize("name", BODIES)
def test_valid_body(name: str) -> None:
    """A valid body is accepted by contract and structs, and encodes to itself: nothing is lost, nothing invented."""
    body = BODIES[name]
    CONTRACT.validate(body)
    assert body == json.loads(ENCODER.encode(DECODER.decode(json.dumps(body))))


@pytest.mark.parametrize("name", BODIES)
def test_decoder_agrees_with_the_contract(name: str) -> None:
    """Whatever one changes in a valid body, the decoder accepts it exactly when the contract does."""
    decidable = copy.deepcopy(schemas.components()["CreateChatCompletionRequest"])
    # Which message is the turn is decided after decoding.
    del decidable["properties"]["messages"]["contains"]
    validator = schemas.validator(decidable)
    changed = list(variations(BODIES[name]))
    wrong = [body for body in changed if validator.is_valid(body) != accepts(body)]
    assert [] == wrong


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"tools": [{"type": "function", "function": {"name": "f\n"}}]}, id="tool name ends in a newline"),
        pytest.param({"functions": [{"name": "f\n"}]}, id="function name ends in a newline"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "f\n"}}},
            id="schema name ends in a newline",
        ),
        pytest.param({"tools": [{"type": "function", "function": {"name": ""}}]}, id="tool name is empty"),
        pytest.param({"tools": [{"type": "function", "function": {"name": "a.b"}}]}, id="tool name has a dot"),
        pytest.param({"tools": [{"function": {"name": "f"}}]}, id="tool without type"),
        pytest.param({"tool_choice": {"function": {"name": "f"}}}, id="tool choice without type"),
        pytest.param({"tool_choice": "sometimes"}, id="tool choice of another word"),
        pytest.param({"response_format": {"json_schema": {"name": "f"}}}, id="response format without type"),
        pytest.param({"prediction": {"content": "a"}}, id="prediction without type"),
        pytest.param(
            {"prediction": {"type": "content", "content": [{"text": "a"}]}}, id="prediction part without type"
        ),
        pytest.param({"metadata": {"k" * 65: "v"}}, id="metadata key too long"),
        pytest.param({"metadata": {"k": "v" * 513}}, id="metadata value too long"),
        pytest.param({"metadata": {"k": 1}}, id="metadata value not a text"),
        pytest.param({"metadata": {str(i): "" for i in range(17)}}, id="too many metadata"),
        pytest.param({"logit_bias": {"1": "a"}}, id="bias not a number"),
        pytest.param({"audio": {"voice": {"id": "v", "name": "n"}, "format": "mp3"}}, id="custom voice with more"),
        pytest.param(
            {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text", "x": 1}}}]},
            id="custom format with more",
        ),
        pytest.param({"messages": []}, id="no messages"),
        pytest.param({"messages": [{"content": "hi"}]}, id="message without role"),
        pytest.param({"messages": [{"role": "system", "content": [{"text": "a"}]}, USER]}, id="part without type"),
        pytest.param({"messages": [{"role": "tool", "content": "a"}, USER]}, id="tool message without call id"),
        pytest.param({"messages": [{"role": "user", "content": []}]}, id="no parts"),
        pytest.param({"messages": [{"role": "user", "content": None}]}, id="user without content"),
        pytest.param({"model": ""}, id="empty model"),
        pytest.param({"model": None}, id="null model"),
        pytest.param({"stop": []}, id="no stops"),
        pytest.param({"stop": ["a"] * 5}, id="too many stops"),
        pytest.param({"max_tokens": 0}, id="no tokens"),
        pytest.param({"n": 129}, id="too many answers"),
        pytest.param({"temperature": 2.01}, id="too hot"),
    ],
)
def test_invalid_body(field: dict[str, Json]) -> None:
    """A body that is wrong in one place is refused, by the contract and by the structs."""
    body = {**BODIES["smallest"], **field}
    assert (False, False) == (CONTRACT.is_valid(body), accepts(body))


@pytest.mark.parametrize("roles", [["system"], ["developer"], ["assistant"], ["system", "assistant"]])
def test_no_turn(roles: list[str]) -> None:
    """The contract says that messages without a turn are invalid, and leaves saying so to what runs after decoding."""
    body: Json = {"model": "zero", "messages": [{"role": role, "content": "a"} for role in roles]}
    assert (False, True) == (CONTRACT.is_valid(body), accepts(body))


def test_unknown_fields_are_accepted() -> None:
    """Fields that upstreams know and we do not are no error, at the top or inside."""
    message: Json = {"role": "user", "content": [{"type": "text", "text": "a", "vendor": 1}], "vendor": {"a": []}}
    body: Json = {"model": "zero", "messages": [message], "vendor": True, "stream_options": {"vendor": 1}}
    assert (True, True) == (CONTRACT.is_valid(body), accepts(body))
