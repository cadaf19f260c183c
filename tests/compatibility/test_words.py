"""Each cell about requests says what happens: forwarded, ignored and refused are tried here, the rest by name.

A cell of a field that is new in the contract has no sample, and so fails until it has one.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.compatibility.proofs import PROVEN
from tests.compatibility.samples import HI, SAMPLES, Sample
from tests.compatibility.statements import Cell, cells, statements
from tests.engines.caller import Caller
from tests.fakes.script import chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.unit.contract.bodies import bodies

GREEDY = {"temperature": 0, "seed": 1, "max_tokens": 6}
OURS = {"model", "messages", "stream", "stream_options"}


def slices(data: bytes) -> dict[str, bytes]:
    """Return a body's fields as the bytes they are."""
    return {name: bytes(value) for name, value in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items()}


def sent(fields: dict[str, Any]) -> dict[str, bytes]:
    """Return the bytes of fields as ``Caller`` sends them."""
    return {name: json.dumps(value).encode() for name, value in fields.items()}


def compact(messages: bytes) -> list[bytes]:
    """Return a list of messages as the bytes of each."""
    return [bytes(message) for message in msgspec.json.decode(messages, type=list[msgspec.Raw])]


def arrived(upstream: FakeUpstream, sample: Sample) -> None:
    """Check that the latest request to the upstream has each field of a sample's, byte for byte; a null is none."""
    fields = {name: value for name, value in sent(sample.fields).items() if value != b"null"}
    got = slices(upstream.last.body)
    assert {name: value for name, value in fields.items() if name not in OURS} == {
        name: value for name, value in got.items() if name not in OURS
    }
    # A session, which `user` makes, puts what was said before in front.
    kept = compact(got["messages"])[-len(sample.fields["messages"]) :] if "user" in fields else compact(got["messages"])
    assert compact(fields["messages"]) == kept
    if sample.fields.get("stream"):
        options = sample.fields.get("stream_options") or {}
        assert {**options, "include_usage": True} == upstream.last.json["stream_options"]
    else:
        assert not {"stream", "stream_options"} & got.keys(), "what wasn't asked for as a stream comes in one piece"


def test_every_statement_has_a_sample() -> None:
    """A statement about something new needs a request that uses it."""
    assert set(statements()) - {"CreateChatCompletionRequest.model"} == set(SAMPLES)


def test_every_other_word_is_proven() -> None:
    """Where the tables say honoured or emulated, a test shows that it is so; where they don't, none claims it."""
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.compatibility.{module.stem}")
    said = {(cell.id, cell.engine) for cell in cells("honoured", "emulated")}
    said |= {(cell.id, cell.engine) for cell in cells("forwarded") if cell.engine == "local"}
    assert (set(), set()) == (said - PROVEN.keys(), PROVEN.keys() - said)


@pytest.mark.parametrize("cell", [cell for cell in cells("forwarded") if cell.engine == "openai-completions"], ids=str)
def test_forwarded_to_a_provider(cell: Cell, caller: Caller, upstream: FakeUpstream) -> None:
    """What is forwarded arrives as the very bytes that the client sent."""
    sample = SAMPLES[cell.id]
    upstream.play(stream(*finished(sample.fields.get("n", 1))))
    if sample.fields.get("stream"):
        caller.stream(cell.engine, **sample.fields)
    else:
        answer = caller.ask(cell.engine, **sample.fields)
        assert 200 == answer.status, answer.body
    assert 1 == len(upstream.exchanges)
    arrived(upstream, sample)


@pytest.mark.parametrize("cell", [cell for cell in cells("forwarded") if cell.engine == "entry-point"], ids=str)
def test_forwarded_to_an_entry_point(cell: Cell, caller: Caller) -> None:
    """What is forwarded is in the turn that the engine is given."""
    sample = SAMPLES[cell.id]
    if sample.fields.get("stream"):
        given = json.loads(caller.stream(cell.engine, **sample.fields).text())
    else:
        answer = caller.ask(cell.engine, **sample.fields)
        assert 200 == answer.status, answer.body
        given = json.loads(answer.body["choices"][0]["message"]["content"])
    assert sample.fields == {**given["parameters"], "messages": given["messages"]}


@pytest.mark.parametrize("cell", cells("refused"), ids=str)
def test_refused(cell: Cell, caller: Caller, upstream: FakeUpstream) -> None:
    """What is refused is 400 `unsupported_parameter` with its name, and fine as soon as it is gone."""
    sample = SAMPLES[cell.id]
    answer = caller.ask(cell.engine, **sample.fields)
    assert (400, "unsupported_parameter", sample.param) == (
        answer.status,
        answer.error["code"],
        answer.error["param"],
    )
    assert [] == upstream.exchanges
    if cell.engine == "echo" and sample.base.keys() != {"tools"} and sample.param != "logprobs":
        assert 200 == caller.ask(cell.engine, **{"messages": [HI], **sample.base}).status


@pytest.mark.parametrize("cell", [cell for cell in cells("ignored") if cell.engine == "echo"], ids=str)
def test_ignored_by_echo(cell: Cell, caller: Caller) -> None:
    """What is ignored is accepted, and the answer is the same without it."""
    sample = SAMPLES[cell.id]
    assert told(caller, cell.engine, sample.fields) == told(caller, cell.engine, {"messages": [HI], **sample.base})


@pytest.mark.parametrize("cell", [cell for cell in cells("ignored") if cell.engine == "local"], ids=str)
def test_ignored_by_the_local_model(cell: Cell, caller: Caller) -> None:
    """The same, where the likeliest words are asked for."""
    sample = SAMPLES[cell.id]
    assert told(caller, cell.engine, {**sample.fields, **GREEDY}) == told(
        caller, cell.engine, {"messages": [HI], **sample.base, **GREEDY}
    )


@pytest.mark.parametrize("name", bodies())
def test_every_place_travels(name: str, caller: Caller, upstream: FakeUpstream) -> None:
    """No place of the contract is left out on the way to a provider, however deep it lies."""
    fields = {key: value for key, value in bodies()[name].items() if key != "model"}
    companions = BESIDE_BODIES.get(name.rpartition(" ")[0], {})
    sample = Sample(fields, companions)
    upstream.play(stream(*finished(sample.fields.get("n") or 1)))
    if fields.get("stream"):
        caller.stream("openai-completions", **sample.fields)
    else:
        answer = caller.ask("openai-completions", **sample.fields)
        if answer.status == 400:
            assert name in REFUSED, answer.body
            return
    assert name not in REFUSED
    if not any(word in json.dumps(sample.fields) for word in REWRITTEN):
        arrived(upstream, sample)


BESIDE_BODIES: dict[str, dict[str, Any]] = {
    "top_logprobs": {"logprobs": True},
    "tool_choice": {
        "tools": [
            {"type": "function", "function": {"name": "f"}},
            {"type": "custom", "custom": {"name": "c"}},
        ]
    },
    "function_call": {"functions": [{"name": "f"}]},
}
REFUSED = {"assistant message 3", "tool message 0", "tool message 1"}
"""Bodies that break a rule about the conversation (tests/doors/test_request_rules.py)."""
REWRITTEN = ('"functions"', '"input_text"', '"input_image"', '"tool_calls": null')
"""What is emulated arrives in other words, and what is null not at all, which other tests look at."""


def finished(choices: int) -> list[bytes]:
    """Return an answer of so many choices."""
    indices = range(choices)
    parts = [event(chunk({"role": "assistant", "content": "a"}, index=index)) for index in indices]
    return [*parts, *(event(chunk({}, index=index, finish_reason="stop")) for index in indices), b"data: [DONE]\n\n"]


def told(caller: Caller, engine: str, fields: dict[str, Any]) -> object:
    """Return what an engine answers, whole or streamed."""
    if fields.get("stream"):
        streamed = caller.stream(engine, **fields)
        return streamed.text(), streamed.finish()
    answer = caller.ask(engine, **fields)
    assert 200 == answer.status, answer.body
    return [{**choice, "message": without_ids(choice["message"])} for choice in answer.body["choices"]]


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message whose tool calls have no ids, which differ from run to run."""
    calls = [{**call, "id": ""} for call in message.get("tool_calls", ())]
    return {**message, "tool_calls": calls}
