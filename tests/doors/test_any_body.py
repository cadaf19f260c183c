"""design.md, "Answer" (errors): bodies that nobody thought of, made from a valid one, are never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors.client import Reply, chat, post, user
from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.usefixtures("nothing_failed")


VALID: dict[str, Any] = {
    "model": "zero",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "t"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "r"},
        {"role": "user", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stream_options": {"include_usage": True},
    "stream": True,
    "stop": ["a"],
    "metadata": {"k": "v"},
    "temperature": 1,
    "n": 1,
    "max_tokens": 5,
    "user": "u",
    "logit_bias": {"1": 1},
}

LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "user", "function", "text", "\x00", "image_url", "zero:beta", "json_object", "custom"])
)
ANY = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


KNOWN = (
    "tool_calls",
    "function_call",
    "audio",
    "name",
    "refusal",
    "tool_call_id",
    "function",
    "custom",
    "type",
    "text",
)
"""Names that mean something in one place, to be put into others where they are unknown and may hold anything."""


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) pair inside a JSON value."""
    found: list[tuple[Any, Any]] = []
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        found.append((node, key))
        found.extend(places(child))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Return the valid body with up to three things in it replaced, removed, renamed or doubled."""
    body = json.loads(json.dumps(VALID))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(body)))
        action = draw(st.sampled_from(["replace", "replace", "remove", "rename", "double", "borrow"]))
        if isinstance(container, list) and key >= len(container):
            continue
        if action == "remove":
            del container[key]
        elif action == "rename" and isinstance(container, dict):
            container[draw(st.text(max_size=8))] = container.pop(key)
        elif action == "borrow" and isinstance(container, dict):
            container[draw(st.sampled_from(KNOWN))] = draw(ANY)
        elif action == "double":
            container[key] = [container[key], container[key]]
        else:
            container[key] = draw(ANY)
        if not places(body):
            break
    return body


def well_behaved(reply: Reply) -> bool:
    """Tell whether an answer is a completion, a stream, or a refusal in OpenAI's shape."""
    if reply.status == 200:
        return reply.header("content-type") in ("application/json", "text/event-stream")
    return reply.status in (400, 404, 413, 415) and bool(reply.error["message"])


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=mutated() | ANY)
def test_no_body_whatever_makes_the_gateway_fail(gateway: LiveGateway, body: Any) -> None:
    """Bodies nobody thought of are answered or refused, in shape, and never with a 5xx."""
    assert well_behaved(post(gateway, json.dumps(body).encode()))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "audio": "x"},
        {"role": "user", "content": "x", "tool_calls": ["a"]},
        {"role": "user", "content": "x", "tool_calls": 5},
        {"role": "user", "content": "x", "function_call": "x"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": ""}, "function": "x"}],
        },
    ],
)
def test_a_known_name_in_a_place_where_it_means_nothing(gateway: LiveGateway, message: dict[str, Any]) -> None:
    """Unknown fields may hold anything, in a session too, whose messages are read and compared."""
    result = {"role": "tool", "content": "x", "tool_call_id": "c", "tool_calls": [1]}
    conversation = [message, *([result] if message["role"] == "assistant" else []), user("y")]
    for _ in range(2):
        assert chat(gateway, conversation, user="borrowed").status == 200


@pytest.mark.parametrize("part", [{"text": 1.0}, {"text": None}, {"type": "file", "content": []}])
def test_a_parts_unknown_fields_hold_anything(gateway: LiveGateway, part: dict[str, Any]) -> None:
    """In a session, where messages are looked through for commands, too: the engine refuses the file, by its place."""
    content = [{"type": "file", "file": {"filename": "a"}, **part}]
    reply = chat(gateway, [{"role": "user", "content": content}], user="parts")
    assert reply.summary == (400, "unsupported_parameter", "messages[0].content[0]")


def test_the_unchanged_body_is_valid(gateway: LiveGateway) -> None:
    """What the mutations start from is a request that works, so that they test more than one refusal."""
    assert post(gateway, json.dumps(VALID).encode()).status == 200
    assert chat(gateway, [user("x")]).status == 200
