"""Calls reach the client in order, however the upstream makes them. ``Caller`` checks every shape.

What "in order" means is what the SDKs' stream helpers need: indexes from 0 on, an id, a type and arguments in a call's
first piece, and neither id nor name again.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.engines.caller import Caller, Streamed
from tests.fakes.script import DONE, USAGE, Json, Script, chunk, completion, event, stream, whole
from tests.fakes.upstream import FakeUpstream

TOOLS: Final[Json] = [{"type": "function", "function": {"name": "look"}}]
CUSTOM: Final[Json] = [{"type": "custom", "custom": {"name": "sh"}}]
FUNCTIONS: Final[Json] = [{"name": "look"}]
USED: Final = event({**chunk(), "choices": [], "usage": USAGE})


def calling(*deltas: Json, reason: str = "tool_calls") -> Script:
    """Return an answer of these deltas."""
    return stream(*(event(chunk(delta)) for delta in deltas), event(chunk({}, finish_reason=reason)), USED, DONE)


def part(index: int | None, arguments: str | None, name: str | None = None, **fields: Json) -> Json:
    """Return a piece of a call; what is None is absent."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {"function": function, **fields}
    return call if index is None else {"index": index, **call}


def parts(answer: Streamed) -> list[Json]:
    """Return the pieces of calls in a stream, once it is sure that they are in order."""
    found = [part for choice in answer.choices for part in choice["delta"].get("tool_calls", ())]
    begun = 0
    for piece in found:
        if piece["index"] == begun:
            begun += 1
            assert piece["id"]
            if "custom" not in piece:
                assert ("function", str) == (piece["type"], type(piece["function"]["arguments"]))
        else:
            assert piece["index"] < begun, "an index was left out"
            assert not {"id", "type"} & piece.keys()
            assert "custom" in piece or isinstance(piece["function"].get("arguments"), str)
    return found


def put_together(found: list[Json]) -> list[Json]:
    """Return the calls that a client makes of the pieces."""
    calls: list[Json] = []
    for piece in found:
        if piece["index"] == len(calls):
            calls.append({"id": piece["id"], "name": "", "arguments": ""})
        for name, text in piece["function"].items():
            calls[piece["index"]][name] += text
    return calls


def check(upstream: FakeUpstream, quiet: Caller, script: Script, *expected: tuple[str, str]) -> list[Json]:
    """Ask for a script both ways and compare; return the calls. ``expected`` are names and arguments in order."""
    upstream.play(script)
    answer = quiet.stream(tools=TOOLS)
    streamed = put_together(parts(answer))
    assert list(expected) == [(call["name"], call["arguments"]) for call in streamed]
    assert "tool_calls" == answer.finish()
    [choice] = quiet.ask(tools=TOOLS).body["choices"]
    calls: list[Json] = choice["message"]["tool_calls"]
    assert list(expected) == [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    assert "tool_calls" == choice["finish_reason"]
    assert len(expected) == len({call["id"] for call in calls}) == len({call["id"] for call in streamed})
    return calls


class TestIds:
    """Each call has an id of its own."""

    @pytest.mark.parametrize("given", [{}, {"id": ""}, {"id": None}, {"id": "", "type": ""}])
    def test_none(self, upstream: FakeUpstream, quiet: Caller, given: Json) -> None:
        """Where the upstream has none the gateway makes one, once for all pieces."""
        script = calling(
            {"tool_calls": [part(0, '{"a"', "look", **given)]},
            {"tool_calls": [part(0, ":1}", **given)]},
            {"tool_calls": [part(1, "{}", "go", **given)]},
        )
        calls = check(upstream, quiet, script, ("look", '{"a":1}'), ("go", "{}"))
        assert all(call["id"].startswith("call_") and len(call["id"]) == 29 for call in calls)

    def test_new_in_each_run(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Two answers never share a made-up id, nor do two choices."""
        upstream.play(
            stream(
                *(event(chunk({"tool_calls": [part(0, "{}", "look")]}, index=i, finish_reason="stop")) for i in (0, 1))
            )
        )
        answers = [quiet.ask(n=2, tools=TOOLS).body["choices"] for _ in range(2)]
        ids = [choice["message"]["tool_calls"][0]["id"] for choices in answers for choice in choices]
        assert 4 == len(set(ids))

    def test_late(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """One that comes with a later piece comes too late: the client knows the call by another."""
        script = calling({"tool_calls": [part(0, "", "look")]}, {"tool_calls": [part(0, "{}", id="call_late")]})
        [call] = check(upstream, quiet, script, ("look", "{}"))
        assert "call_late" != call["id"]


class TestPlaces:
    """Calls are told apart and numbered from 0."""

    def test_no_index(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Calls without index, one after the other, each with its id."""
        script = calling(
            {"tool_calls": [part(None, '{"a":1}', "look", id="call_a", type="function")]},
            {"tool_calls": [part(None, "{}", "go", id="call_b", type="function")]},
        )
        assert ["call_a", "call_b"] == [
            call["id"] for call in check(upstream, quiet, script, ("look", '{"a":1}'), ("go", "{}"))
        ]

    @pytest.mark.parametrize("index", [None, 0])
    def test_neither_index_nor_id(self, upstream: FakeUpstream, quiet: Caller, index: int | None) -> None:
        """A name behind a complete call begins another one."""
        script = calling(*({"tool_calls": [part(index, '{"a":1}', "look")]} for _ in range(2)))
        check(upstream, quiet, script, ("look", '{"a":1}'), ("look", '{"a":1}'))

    def test_from_one(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Numbers that begin at 1 or have gaps."""
        script = calling(
            {"tool_calls": [part(1, "{", "look", id="call_a")]},
            {"tool_calls": [part(5, "[", "go", id="call_b")]},
            {"tool_calls": [part(1, "}"), part(5, "]")]},
        )
        check(upstream, quiet, script, ("look", "{}"), ("go", "[]"))

    def test_all_at_once(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Several calls in one piece, as upstreams do that don't stream calls."""
        script = calling({"tool_calls": [part(None, "{}", "look"), part(None, "[]", "go")]}, reason="stop")
        check(upstream, quiet, script, ("look", "{}"), ("go", "[]"))

    def test_one_index_interleaved(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Calls under one index, whose pieces alternate, are told apart by their ids."""
        pieces = [("call_a", "{", "look"), ("call_b", "[", "go"), ("call_a", "}", None), ("call_b", "]", None)]
        script = calling(*({"tool_calls": [part(0, text, name, id=id_)]} for id_, text, name in pieces))
        check(upstream, quiet, script, ("look", "{}"), ("go", "[]"))


class TestPieces:
    """Names and arguments come as the upstream sends them, and are there."""

    def test_name_in_every_piece(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A name that is repeated counts once."""
        script = calling(*({"tool_calls": [part(0, text, "look", id="call_a")]} for text in ("{", "}")))
        check(upstream, quiet, script, ("look", "{}"))

    def test_name_in_pieces(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A name may come in pieces."""
        script = calling({"tool_calls": [part(0, None, "lo", id="call_a")]}, {"tool_calls": [part(0, "{}", "ok")]})
        check(upstream, quiet, script, ("look", "{}"))

    @pytest.mark.parametrize(
        "call", [{"function": {"name": "look"}}, {"function": {"name": "look", "arguments": None}}]
    )
    def test_no_arguments(self, upstream: FakeUpstream, quiet: Caller, call: Json) -> None:
        """A call without arguments has empty ones."""
        check(upstream, quiet, calling({"tool_calls": [{"index": 0, "id": "call_a", **call}]}), ("look", ""))

    def test_piece_without_function(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A piece that says nothing of the function."""
        script = calling(
            {"tool_calls": [{"index": 0, "id": "call_a"}]},
            {"tool_calls": [part(0, "{}", "look")]},
            {"tool_calls": [{"index": 0}]},
        )
        check(upstream, quiet, script, ("look", "{}"))


class TestFinish:
    """The reason says whether there is something to call."""

    @pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", "eos", "tool_use"])
    def test_call(self, upstream: FakeUpstream, quiet: Caller, reason: str) -> None:
        """Behind a call it is ``tool_calls``, whatever the upstream says of a good end."""
        check(upstream, quiet, calling({"tool_calls": [part(0, "{}", "look")]}, reason=reason), ("look", "{}"))

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_bad_end(self, upstream: FakeUpstream, quiet: Caller, reason: str) -> None:
        """A call that was cut off is no call to act on."""
        upstream.play(calling({"tool_calls": [part(0, '{"a', "look")]}, reason=reason))
        assert reason == quiet.stream(tools=TOOLS).finish()
        assert reason == quiet.ask(tools=TOOLS).body["choices"][0]["finish_reason"]

    @pytest.mark.parametrize("reason", ["tool_calls", "function_call"])
    def test_no_call(self, upstream: FakeUpstream, quiet: Caller, reason: str) -> None:
        """Without a call it is ``stop``: clients look for calls where they are promised some."""
        upstream.play(calling({"content": "Hi"}, reason=reason))
        assert "stop" == quiet.stream(tools=TOOLS).finish()
        assert "stop" == quiet.ask(tools=TOOLS).body["choices"][0]["finish_reason"]


class TestCustom:
    """Calls of custom tools: their input is free text."""

    SCRIPT: Final = calling(
        {"tool_calls": [{"index": 0, "id": "call_a", "type": "custom", "custom": {"name": "sh", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "ls "}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "-l"}}]},
        {"tool_calls": [part(1, "{}", "look", id="call_b", type="function")]},
    )

    def test_streamed(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Piece by piece. OpenAI's schema of chunks has no ``type`` for them, so they have none."""
        upstream.play(self.SCRIPT)
        answer = quiet.stream(tools=[*CUSTOM, *TOOLS])
        assert [
            {"index": 0, "id": "call_a", "custom": {"name": "sh", "input": ""}},
            {"index": 0, "custom": {"input": "ls "}},
            {"index": 0, "custom": {"input": "-l"}},
            {"index": 1, "id": "call_b", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        ] == parts(answer)
        assert "tool_calls" == answer.finish()
        assert CUSTOM == upstream.last.json["tools"][:1]

    def test_whole(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Whole, in OpenAI's shape."""
        upstream.play(self.SCRIPT)
        [choice] = quiet.ask(tools=[*CUSTOM, *TOOLS]).body["choices"]
        assert [
            {"id": "call_a", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}},
            {"id": "call_b", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        ] == choice["message"]["tool_calls"]

    def test_unstreamed(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """From an upstream that doesn't stream, too, and without an id."""
        body = completion("")
        call = {"type": "custom", "custom": {"name": "sh", "input": "ls"}}
        body["choices"][0] |= {"message": {"role": "assistant", "content": None, "tool_calls": [call]}}
        upstream.play(whole(200, body))
        [found] = quiet.ask(tools=CUSTOM).body["choices"][0]["message"]["tool_calls"]
        assert found.pop("id").startswith("call_")
        assert call == found

    def test_session(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The session remembers it, and its result is taken."""
        upstream.play(self.SCRIPT)
        headers = {"x-zero-session-key": "custom"}
        quiet.ask(headers=headers, tools=[*CUSTOM, *TOOLS])
        results = [{"role": "tool", "tool_call_id": f"call_{letter}", "content": "x"} for letter in "ab"]
        quiet.ask(headers=headers, tools=[*CUSTOM, *TOOLS], messages=results)
        _, remembered, *_ = upstream.last.json["messages"]
        assert {"name": "sh", "input": "ls -l"} == remembered["tool_calls"][0]["custom"]


class TestOldForm:
    """A client gets calls in the form in which it offered its tools."""

    TOOL_CALLS: Final = calling(
        {"tool_calls": [part(0, "", "look", id="call_a", type="function")]},
        {"tool_calls": [part(0, '{"a"'), part(1, "{}", "go", id="call_b")]},
        {"tool_calls": [part(0, ":1}")]},
    )
    FUNCTION_CALL: Final = calling(
        {"function_call": {"name": "look", "arguments": '{"a"'}},
        {"function_call": {"arguments": ":1}"}},
        reason="function_call",
    )

    @pytest.mark.parametrize("script", [TOOL_CALLS, FUNCTION_CALL], ids=["from tool_calls", "as it is"])
    def test_function_call(self, upstream: FakeUpstream, quiet: Caller, script: Script) -> None:
        """Who offers ``functions`` gets ``function_call``, which has room for one call."""
        upstream.play(script)
        answer = quiet.stream(functions=FUNCTIONS)
        pieces = [choice["delta"].get("function_call", {}) for choice in answer.choices]
        assert ("look", '{"a":1}') == (
            "".join(piece.get("name", "") for piece in pieces),
            "".join(piece.get("arguments", "") for piece in pieces),
        )
        assert "function_call" == answer.finish()
        assert not any("tool_calls" in choice["delta"] for choice in answer.choices)
        [choice] = quiet.ask(functions=FUNCTIONS).body["choices"]
        assert ({"name": "look", "arguments": '{"a":1}'}, "function_call") == (
            choice["message"]["function_call"],
            choice["finish_reason"],
        )
        assert "tool_calls" not in choice["message"]

    def test_tool_calls(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Who offers ``tools`` gets ``tool_calls``, also from an upstream that knows the old form only."""
        check(upstream, quiet, self.FUNCTION_CALL, ("look", '{"a":1}'))
