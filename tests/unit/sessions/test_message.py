"""The digest of a message: which spellings are one message, and which differences make another."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.message import Message, chained, digest
from tests.unit.conversation import said, user

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1, "b": [2]}'}}


def fields(**values: object) -> dict[str, object]:
    """Return a message's fields as they are, absent ones absent."""
    return values


def call(**changes: object) -> dict[str, object]:
    """Return a message with a tool call, changed."""
    return fields(role="assistant", tool_calls=[{**CALL, **changes}])


def function(arguments: object, name: str = "f") -> dict[str, object]:
    """Return a message with a tool call of given arguments."""
    return call(function={"name": name, "arguments": arguments})


def digest_of(message: dict[str, object]) -> str:
    """Digest a message given by its fields."""
    return digest(Message.of(str(message["role"]), message))


SAME = {
    "null is absent": (
        fields(role="assistant", content="a"),
        fields(role="assistant", content="a", refusal=None, name=None, tool_calls=None, function_call=None, audio=None),
    ),
    "no calls are no calls": (
        fields(role="assistant", content="a"),
        fields(role="assistant", content="a", tool_calls=[]),
    ),
    "empty content is no content": (fields(role="assistant", content=""), fields(role="assistant", content=None)),
    "no content": (fields(role="assistant"), fields(role="assistant", content=None)),
    "no parts": (fields(role="assistant"), fields(role="assistant", content=[])),
    "fields nobody reads back": (
        fields(role="assistant", content="a"),
        fields(role="assistant", content="a", annotations=[], reasoning_content="hm", reasoning="hm", vendor={"x": 1}),
    ),
    "text and text part": (
        fields(role="user", content="a"),
        fields(role="user", content=[{"type": "text", "text": "a"}]),
    ),
    "part with marks": (
        fields(role="user", content="a"),
        fields(role="user", content=[{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]),
    ),
    "part with another's marks": (
        fields(role="user", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        fields(
            role="user",
            content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "x"}}],
        ),
    ),
    "null in a part": (
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "u"}, "x": None}]),
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "u"}}]),
    ),
    "blanks around": (fields(role="user", content="a b"), fields(role="user", content="\n a b \t")),
    "blanks around a part's text": (
        fields(role="user", content="a"),
        fields(role="user", content=[{"type": "text", "text": " a\n"}]),
    ),
    "order of fields": (fields(role="user", content="a", name="n"), fields(name="n", content="a", role="user")),
    "order in parts": (
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]),
        fields(role="user", content=[{"image_url": {"detail": "low", "url": "u"}, "type": "image_url"}]),
    ),
    "formatting of arguments": (function('{"a": 1, "b": [2]}'), function('{\n "b":[2],"a":1}')),
    "arguments that are no JSON": (function("{not json"), function("{not json")),
    "call without type": (call(), fields(role="assistant", tool_calls=[{k: CALL[k] for k in ("id", "function")}])),
    "formatting of a function call's arguments": (
        fields(role="assistant", function_call={"name": "f", "arguments": '{"a":1}'}),
        fields(role="assistant", function_call={"arguments": '{ "a": 1 }', "name": "f"}, content=None),
    ),
    "audio by its id": (
        fields(role="assistant", audio={"id": "audio_1"}),
        fields(role="assistant", audio={"id": "audio_1", "data": "AA==", "expires_at": 1, "transcript": "a"}),
    ),
}

DIFFERENT = {
    "role": (fields(role="user", content="a"), fields(role="assistant", content="a")),
    "text": (fields(role="user", content="a"), fields(role="user", content="b")),
    "case": (fields(role="user", content="a"), fields(role="user", content="A")),
    "blanks within": (fields(role="user", content="a b"), fields(role="user", content="a  b")),
    "Unicode form": (fields(role="user", content="\u00e9"), fields(role="user", content="e\u0301")),
    "name": (fields(role="user", content="a"), fields(role="user", content="a", name="n")),
    "refusal": (fields(role="assistant"), fields(role="assistant", refusal="no")),
    "refusal is no content": (fields(role="assistant", content="no"), fields(role="assistant", refusal="no")),
    "call id of a result": (
        fields(role="tool", content="1", tool_call_id="call_1"),
        fields(role="tool", content="1", tool_call_id="call_2"),
    ),
    "call id": (call(), call(id="call_2")),
    "function": (function("{}"), function("{}", name="g")),
    "arguments": (function('{"a":1}'), function('{"a":2}')),
    "order in arguments' lists": (function('{"a":[1,2]}'), function('{"a":[2,1]}')),
    "arguments that are no JSON": (function("{not json"), function("{no json")),
    "null arguments and none": (function("null"), function("")),
    "order of calls": (
        fields(role="assistant", tool_calls=[CALL, {**CALL, "id": "call_2"}]),
        fields(role="assistant", tool_calls=[{**CALL, "id": "call_2"}, CALL]),
    ),
    "input of a custom call": (
        fields(role="assistant", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "c", "input": "1"}}]),
        fields(role="assistant", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "c", "input": "2"}}]),
    ),
    "tool call and function call": (
        fields(role="assistant", tool_calls=[CALL]),
        fields(role="assistant", function_call=CALL["function"]),
    ),
    "number of parts": (
        fields(role="user", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        fields(role="user", content="ab"),
    ),
    "order of parts": (
        fields(role="user", content=[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]),
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "a"}]),
    ),
    "image": (
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "u"}}]),
        fields(role="user", content=[{"type": "image_url", "image_url": {"url": "v"}}]),
    ),
    "audio": (fields(role="assistant", audio={"id": "a"}), fields(role="assistant", audio={"id": "b"})),
}


@pytest.mark.parametrize("case", SAME)
def test_spellings_of_one_message(case: str) -> None:
    """Clients resend a message in other words of JSON; it is recognised all the same."""
    one, other = SAME[case]
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_messages(case: str) -> None:
    """What an engine could answer differently is another message."""
    one, other = DIFFERENT[case]
    assert digest_of(one) != digest_of(other)


def test_digest_is_stable() -> None:
    """The digest is part of what is stored: sha256 over the canonical JSON, its keys sorted."""
    # sha256 of {"content":"olá","role":"user"}, computed outside of this program.
    assert "sha256:fc807b0f52255a90d1d14f001d3158fceef94a6486bd158d0b03d1f08c5ecfcb" == digest(user(" olá "))


@pytest.mark.parametrize("nested", ["[" * 100_000 + "]" * 100_000, "1" * 5000, "1e999", "\x00", ""])
def test_odd_arguments(nested: str) -> None:
    """Arguments that are too deep, too long or broken identify the call by their text."""
    assert digest_of(function(nested)) == digest_of(function(nested))
    assert digest_of(function(nested)) != digest_of(function(nested + "x"))


@given(st.text(), st.text())
def test_texts(one: str, other: str) -> None:
    """Two texts are one message exactly when they differ in the blanks around them at most."""
    assert (one.strip() == other.strip()) == (digest(user(one)) == digest(user(other)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, st.sampled_from([None, 1, 4]), st.booleans(), st.booleans())
def test_formatting_of_arguments(value: object, indent: int | None, sort_keys: bool, ensure_ascii: bool) -> None:
    """However a client's JSON library formats a call's arguments, it is the same call."""
    plain = msgspec.json.encode(value).decode()
    other = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii)
    assert digest_of(function(plain)) == digest_of(function(other))


def test_message_keeps_its_text() -> None:
    """A message's JSON is kept to the letter, unknown fields and formatting included."""
    raw = b'{"content" : "a", "vendor":1.0, "role":"user"}'
    message = Message("user", msgspec.Raw(raw))
    assert digest(message) == digest(user("a"))
    assert raw == bytes(message.raw)


def test_chain() -> None:
    """A message's id depends on its content and on everything before it, and on nothing else."""
    a, b = digest(said("user", "a")), digest(said("user", "b"))
    assert chained(None, a) == chained(None, a)
    ids = [chained(None, a), chained(None, b), chained(chained(None, a), b), chained(chained(None, b), b), a, b]
    assert len(set(ids)) == len(ids)
    assert {("sha256:", 71)} == {(name[:7], len(name)) for name in ids}
