"""From the local model's JSON to tool calls: piece by piece, however the text is cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.models import ChatCompletionChunkChoice
from app.engines.local.call import CallReader, JsonReader
from app.engines.local.json_value import JsonValue
from tests.unit.runs.deltas import chunk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def cut(data: st.DataObject, text: str) -> list[str]:
    """Cut a text into pieces."""
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)) | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


def read(reader: CallReader | JsonReader, pieces: list[str], finish: str) -> list[dict[str, Any]]:
    """Return the deltas, and in the end the finish reason, that a client gets of an answer in pieces."""
    told: list[dict[str, Any]] = []
    for piece, reason in [*((piece, None) for piece in pieces), (None, finish)]:
        fields = chunk(content=piece) if reason is None else chunk(finish=reason)
        one = msgspec.convert(fields, ChatCompletionChunkChoice)
        events = reader.read(one)
        told += [msgspec.to_builtins(choice.delta) for event in events for choice in event.choices]
        told.append(msgspec.to_builtins(one.delta))
        if one.finish_reason is not None:
            told.append({"finish_reason": one.finish_reason})
    return [delta for delta in told if delta]


def first(name: str) -> dict[str, Any]:
    """Return the delta that a call begins with."""
    function = {"name": name, "arguments": ""}
    return {"content": None, "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


def fragment(arguments: str) -> dict[str, Any]:
    """Return a delta with a piece of a call's arguments."""
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


@given(data=st.data(), value=st.dictionaries(st.text(), JSON, max_size=3), name=st.text(min_size=1))
def test_a_call_among_several(data: st.DataObject, value: object, name: str) -> None:
    """Wherever the text is cut: the name comes first, then exactly the arguments, without what stands around them."""
    arguments = json.dumps(value, indent=data.draw(st.none() | st.integers(0, 2)))
    text = f'\n{{ "name" : {json.dumps(name)} , "arguments": {arguments} \n}}\n'

    told = read(CallReader("call_1", None), cut(data, text), "stop")

    assert [first(name), {"finish_reason": "tool_calls"}] == [told[0], told[-1]]
    assert arguments == "".join(delta["tool_calls"][0]["function"]["arguments"] for delta in told[1:-1])


def test_a_call_of_the_only_tool() -> None:
    """The model writes the arguments alone; the name comes before its first word."""
    told = read(CallReader("call_1", "f"), ["", '{"a"', ":1}", "\n\n"], "length")

    assert [first("f"), fragment('{"a"'), fragment(":1}"), {"finish_reason": "tool_calls"}] == told


def test_a_call_that_was_cut_off() -> None:
    """Incomplete arguments end with the engine's own reason, and so does a call whose name isn't known yet."""
    assert [first("f"), fragment('{"a'), {"finish_reason": "length"}] == read(
        CallReader("call_1", "f"), ['{"a'], "length"
    )
    assert [{"finish_reason": "length"}] == read(CallReader("call_1", None), ['{"name": "f'], "length")


def test_a_document_ends_with_its_last_bracket() -> None:
    """Blanks behind it are left out, and a limit that cut off nothing but them is none."""
    assert [{"content": '{"a":'}, {"content": "1}"}, {"finish_reason": "stop"}] == read(
        JsonReader(), ["\n", '{"a":', "1}\n", "\t\t"], "length"
    )
    assert [{"content": '{"a"'}, {"finish_reason": "length"}] == read(JsonReader(), ['{"a"'], "length")
    assert [{"content": "12"}, {"finish_reason": "stop"}] == read(JsonReader(), ["12"], "stop")


@given(data=st.data(), value=JSON)
def test_a_json_value_is_found_whatever_follows(data: st.DataObject, value: object) -> None:
    """Its text is what comes out, and it is known to be complete once something stands behind it."""
    text = json.dumps(value)
    scanner = JsonValue()

    assert text == "".join(scanner.feed(piece) for piece in cut(data, f" {text}\n}}"))
    assert scanner.done


@pytest.mark.parametrize("text", ['{"a": "}', "[[1]", '"\\"', "", " "])
def test_an_incomplete_value_is_not_done(text: str) -> None:
    """Brackets inside strings and escaped quotes end nothing."""
    scanner = JsonValue()
    scanner.feed(text)

    assert not scanner.done
