"""What upstreams say reaches the client in OpenAI's own shapes, however they say it. ``Caller`` checks every shape."""

from __future__ import annotations

from typing import Final

import pytest

from tests.engines.caller import Caller
from tests.fakes.script import DONE, USAGE, Close, Json, Script, chunk, completion, event, stream, whole, words
from tests.fakes.upstream import FakeUpstream

TEXT: Final = "Hello, wörld"
EVENTS: Final = words("Hello,", " wörld")
ROLE, HELLO, WORLD, FINISH, USED, _ = EVENTS
ALL: Final = b"".join(EVENTS)
CUSTOM: Final = "x_custom"
ZERO: Final = dict.fromkeys(USAGE, 0)


def with_usage(text: str, completion_tokens: int) -> bytes:
    """Return a chunk that tells the usage so far, as some upstreams do in every chunk."""
    usage = {"prompt_tokens": 11, "completion_tokens": completion_tokens, "total_tokens": 11 + completion_tokens}
    return event({**chunk({"content": text}), "usage": usage})


def with_role(role: Json) -> list[bytes]:
    """Return an answer that names a role in every chunk."""
    return [event(chunk({"role": role, "content": text})) for text in ("Hello,", " wörld")]


def unknown_everywhere() -> list[bytes]:
    """Return an answer with fields nobody knows on every level."""
    chunks = [
        {**chunk({"content": text, CUSTOM: {"a": 1}, "reasoning": None}, x_custom=[1]), CUSTOM: 1}
        for text in ("Hello,", " wörld")
    ]
    return [event({"object": "x", "choices": [], "prompt_filter_results": []}), *map(event, chunks), FINISH, USED, DONE]


TOLERATED: Final[dict[str, Script]] = {
    "as OpenAI does": stream(*EVENTS),
    "all in one packet": stream(ALL),
    "cut at every byte": stream(*(ALL[at : at + 1] for at in range(len(ALL)))),
    "CRLF": stream(ALL.replace(b"\n", b"\r\n")),
    "CRLF cut at every byte": stream(*(bytes([byte]) for byte in ALL.replace(b"\n", b"\r\n"))),
    "no blank behind data:": stream(ALL.replace(b"data: ", b"data:")),
    "an event on several data lines": stream(ALL.replace(b', "choices"', b',\ndata: "choices"')),
    "comments": stream(b": one\n\n", ROLE, b":\n\n", HELLO, b": two\n", WORLD, FINISH, b":\n\n:\n\n", USED, DONE),
    "event, id and retry lines": stream(*(b"event: message\nid: 7\nretry: 10\n" + item for item in EVENTS)),
    "another content type": stream(*EVENTS, content_type="text/plain; charset=utf-8"),
    "role missing": stream(HELLO, WORLD, FINISH, USED, DONE),
    "role null": stream(*with_role(None), FINISH, USED, DONE),
    "role empty": stream(*with_role(""), FINISH, USED, DONE),
    "role always": stream(*with_role("assistant"), FINISH, USED, DONE),
    "a role of its own": stream(*with_role("model"), FINISH, USED, DONE),
    "finish reason empty, and late": stream(
        event(chunk({"content": "Hello,"}, finish_reason="")),
        event(chunk({"content": " wörld"}, finish_reason="")),
        event(chunk({"content": None}, finish_reason="")),
        event(chunk({"content": ""})),
        FINISH,
        USED,
        DONE,
    ),
    "finish reason with the last word": stream(
        HELLO, event(chunk({"content": " wörld"}, finish_reason="stop")), USED, DONE
    ),
    "finish reason twice, and words behind it": stream(ROLE, HELLO, WORLD, FINISH, FINISH, HELLO, USED, DONE),
    "a finish reason of its own": stream(HELLO, WORLD, event(chunk({}, finish_reason="eos")), USED, DONE),
    "usage in every chunk": stream(with_usage("Hello,", 3), with_usage(" wörld", 7), FINISH, DONE),
    "usage with the finish reason": stream(
        HELLO, WORLD, event({**chunk({}, finish_reason="stop"), "usage": USAGE}), DONE
    ),
    "usage with details that are null": stream(
        HELLO,
        WORLD,
        FINISH,
        event({"choices": [], "usage": {**USAGE, "prompt_tokens_details": None, "completion_tokens_details": None}}),
        DONE,
    ),
    "usage without choices": stream(HELLO, WORLD, FINISH, event({"usage": USAGE}), DONE),
    "choices null": stream(HELLO, WORLD, FINISH, event({"choices": None, "usage": USAGE}), DONE),
    "unknown fields": stream(*unknown_everywhere()),
    "error null": stream(event({**chunk({"content": "Hello,"}), "error": None}), WORLD, FINISH, USED, DONE),
    "delta null": stream(HELLO, event({**chunk({}), "choices": [{"index": 0, "delta": None}]}), WORLD, FINISH, USED),
    "content in parts": stream(
        event(chunk({"content": [{"type": "text", "text": "Hello,"}, {"type": "text", "text": " wörld"}]})),
        FINISH,
        USED,
        DONE,
    ),
    "no [DONE]": stream(*EVENTS[:-1]),
    "no blank line at the end": stream(*EVENTS[:-1], DONE.rstrip()),
    "cut off behind [DONE]": stream(*EVENTS, Close()),
    "more behind [DONE]": stream(*EVENTS, HELLO, b"data: {nonsense\n\n"),
    "unstreamed": whole(200, completion(TEXT)),
    "unstreamed, with unknown fields": whole(200, completion(TEXT, **{CUSTOM: 1, "id": None, "created": 1.5})),
}


@pytest.mark.parametrize("script", TOLERATED.values(), ids=TOLERATED)
class TestTolerated:
    """Upstreams that are a little off are understood."""

    def test_whole(self, upstream: FakeUpstream, quiet: Caller, script: Script) -> None:
        """The answer in one piece is the same as from a perfect upstream."""
        upstream.play(script)
        answer = quiet.ask()
        assert (TEXT, "stop") == (answer.text, answer.body["choices"][0]["finish_reason"])
        assert USAGE == answer.body["usage"]
        assert "zero:main" == answer.body["model"]

    def test_streamed(self, upstream: FakeUpstream, quiet: Caller, script: Script) -> None:
        """The stream says the same as from a perfect upstream."""
        upstream.play(script)
        answer = quiet.stream(stream_options={"include_usage": True})
        assert (None, TEXT, "stop", USAGE) == (answer.error, answer.text(), answer.finish(), answer.usage)
        assert "zero:main" == answer.chunks[0]["model"]


class TestUsage:
    """Tokens are counted by the upstream, or estimated, but never zero."""

    @pytest.mark.parametrize("usage", [None, ZERO, {}, {"prompt_tokens": None}], ids=["none", "zero", "empty", "null"])
    @pytest.mark.parametrize("n", [1, 2])
    def test_estimated(self, upstream: FakeUpstream, quiet: Caller, usage: Json, n: int) -> None:
        """An upstream that doesn't count is counted for, the same streamed and not, every choice included."""
        texts = [event(chunk({"content": "one two three four"}, index=index)) for index in range(n)]
        ends = [event(chunk({}, index=index, finish_reason="stop")) for index in range(n)]
        upstream.play(stream(*texts, *ends, event({"choices": [], "usage": usage}), DONE))
        counted = {"prompt_tokens": 7, "completion_tokens": 4 * n, "total_tokens": 7 + 4 * n}
        messages = [{"role": "user", "content": "a b c"}]
        whole_ = quiet.ask(n=n, messages=messages)
        assert (counted, "estimated") == (whole_.body["usage"], whole_.headers["x-zero-usage"])
        streamed = quiet.stream(n=n, messages=messages, stream_options={"include_usage": True})
        assert (counted, "estimated") == (streamed.usage, streamed.chunks[-1]["x_zero_usage"])
        assert not any("x_zero_usage" in item for item in streamed.chunks[:-1])

    @pytest.mark.parametrize("zero", ["prompt_tokens", "completion_tokens"])
    def test_estimated_in_part(self, upstream: FakeUpstream, quiet: Caller, zero: str) -> None:
        """A count that is only half there is completed, and marked as well."""
        upstream.play(stream(*words("one two three four", usage={**USAGE, zero: 0})))
        answer = quiet.ask()
        assert {**USAGE, zero: 0}[zero] < answer.body["usage"][zero]
        assert sum(list(answer.body["usage"].values())[:2]) == answer.body["usage"]["total_tokens"]
        assert "estimated" == answer.headers["x-zero-usage"]

    def test_not_estimated(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """What the upstream counted isn't marked."""
        answer = quiet.stream(stream_options={"include_usage": True})
        assert (USAGE, None) == (answer.usage, answer.chunks[-1].get("x_zero_usage"))
        assert quiet.ask().headers["x-zero-usage"] is None

    def test_sum_over_fallbacks(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A model that failed after it had counted has cost something: that is added."""
        details = {"prompt_tokens_details": {"cached_tokens": 1}}
        upstream.play(stream(event({"choices": [], "usage": {**USAGE, **details}}), DONE), model="first")
        upstream.play(stream(*words("Hi")), model="third")
        twice = {name: 2 * count for name, count in USAGE.items()}
        assert {**twice, **details} == quiet.ask("chained").body["usage"]

    def test_details_are_passed_on(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Cached and reasoning tokens reach the client."""
        usage = {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }
        upstream.play(stream(*words("Hi", usage=usage)))
        assert usage == quiet.ask().body["usage"]

    @pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
    def test_only_for_those_who_ask(self, upstream: FakeUpstream, quiet: Caller, options: Json) -> None:
        """A stream whose client didn't ask for the usage has no usage field at all, though the upstream was asked."""
        answer = quiet.stream(**options)
        assert [False] == list({"usage" in chunk for chunk in answer.chunks})
        assert upstream.last.json["stream_options"]["include_usage"] is True

    def test_null_on_every_other_chunk(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """With include_usage the last chunk has the usage and no choices; the others say null."""
        *others, last = quiet.stream(stream_options={"include_usage": True}).chunks
        assert ([], USAGE) == (last["choices"], last["usage"])
        assert [None] * len(others) == [chunk["usage"] for chunk in others]


class TestFields:
    """Everything that OpenAI's shapes have room for is passed on."""

    def test_choices_interleaved(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Several choices that grow at the same time stay apart, and each ends for its own reason."""
        events = [
            event(chunk({"role": "assistant", "content": "b"}, index=1)),
            event(chunk({"role": "assistant", "content": "a"}, index=0)),
            event(
                {
                    **chunk(),
                    "choices": [*chunk({"content": "A"})["choices"], *chunk({"content": "B"}, index=1)["choices"]],
                }
            ),
            event(chunk({}, index=1, finish_reason="length")),
            event(chunk({"content": "!"}, index=0)),
            event(chunk({}, index=0, finish_reason="stop")),
        ]
        upstream.play(stream(*events, USED, DONE))
        streamed = quiet.stream(n=2)
        assert [("aA!", "stop"), ("bB", "length")] == [(streamed.text(i), streamed.finish(i)) for i in (0, 1)]
        choices = quiet.ask(n=2).body["choices"]
        assert [(0, "aA!", "stop"), (1, "bB", "length")] == [
            (choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in choices
        ]

    @pytest.mark.parametrize("repeated", [False, True], ids=["id once", "id in every part"])
    def test_tool_calls(self, upstream: FakeUpstream, quiet: Caller, repeated: bool) -> None:
        """Calls come in parts as the upstream sends them, the id only once, and whole when not streamed."""
        again: Json = {"id": "call_a", "type": "function"} if repeated else {}
        parts: list[Json] = [
            {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": ""}},
            {"index": 0, **again, "function": {"arguments": '{"at":'}},
            {"index": 1, "id": "call_b", "type": "function", "function": {"name": "go", "arguments": "{}"}},
            {"index": 0, **again, "function": {"arguments": '"é"}'}},
        ]
        upstream.play(
            stream(
                *(event(chunk({"tool_calls": [part]})) for part in parts),
                event(chunk({}, finish_reason="tool_calls")),
                DONE,
            )
        )
        streamed = quiet.stream()
        assert "tool_calls" == streamed.finish()
        got = [part for choice in streamed.choices for part in choice["delta"].get("tool_calls", ())]
        assert [part["function"] for part in parts] == [part["function"] for part in got]
        assert ["call_a", None, "call_b", None] == [part.get("id") for part in got]
        [choice] = quiet.ask().body["choices"]
        assert (None, "tool_calls") == (choice["message"]["content"], choice["finish_reason"])
        assert [
            {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{"at":"é"}'}},
            {"id": "call_b", "type": "function", "function": {"name": "go", "arguments": "{}"}},
        ] == choice["message"]["tool_calls"]

    def test_tool_calls_of_the_sloppy(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A call without index or type, with arguments that aren't text, is put in order."""
        call = {"id": "call_a", "function": {"name": "look", "arguments": {"at": "é"}}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        upstream.play(whole(200, {**completion(""), "choices": [choice]}))
        expected = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{"at":"é"}'}}
        assert [expected] == quiet.ask().body["choices"][0]["message"]["tool_calls"]
        [part] = quiet.stream().choices[0]["delta"]["tool_calls"]
        assert {"index": 0, **expected} == part

    def test_tool_calls_with_one_index(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Different calls under the same index, as some upstreams number them, stay different calls."""
        parts: list[Json] = [
            {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{"}},
            {"index": 0, "function": {"arguments": "}"}},
            {"index": 0, "id": "call_b", "type": "function", "function": {"name": "go", "arguments": "["}},
            {"index": 0, "function": {"arguments": "]"}},
        ]
        upstream.play(
            stream(
                event(chunk({"tool_calls": parts[:1]})),
                event(chunk({"tool_calls": parts[1:]})),
                event(chunk({}, finish_reason="tool_calls")),
                DONE,
            )
        )
        got = [part for choice in quiet.stream().choices for part in choice["delta"].get("tool_calls", ())]
        assert [(0, "call_a"), (0, None), (1, "call_b"), (1, None)] == [(part["index"], part.get("id")) for part in got]
        calls = quiet.ask().body["choices"][0]["message"]["tool_calls"]
        assert [("call_a", "{}"), ("call_b", "[]")] == [(call["id"], call["function"]["arguments"]) for call in calls]

    def test_old_function_call(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The deprecated function_call works as it did."""
        upstream.play(
            stream(
                event(chunk({"function_call": {"name": "look", "arguments": '{"a"'}})),
                event(chunk({"function_call": {"arguments": ":1}"}})),
                event(chunk({}, finish_reason="function_call")),
                DONE,
            )
        )
        assert {"name": "look", "arguments": '{"a":1}'} == quiet.ask().body["choices"][0]["message"]["function_call"]
        assert "function_call" == quiet.stream().finish()

    def test_logprobs(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Log probabilities are passed on chunk by chunk, and joined when not streamed."""
        tokens = [
            {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []} for text in ("Hi", "!")
        ]
        events = [
            event(chunk({"content": token["token"]}, logprobs={"content": [token], "refusal": None}))
            for token in tokens
        ]
        upstream.play(stream(*events, FINISH, USED, DONE))
        assert {"content": tokens, "refusal": None} == quiet.ask(logprobs=True).body["choices"][0]["logprobs"]
        streamed = [choice["logprobs"]["content"] for choice in quiet.stream().choices if choice.get("logprobs")]
        assert [[token] for token in tokens] == streamed

    def test_logprobs_of_a_further_choice(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """They come behind the choice's role: in one chunk with it openai-python's helper counts them twice."""
        token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
        said: Json = {"logprobs": {"content": [token], "refusal": None}, "finish_reason": "stop"}
        upstream.play(stream(*(event(chunk({"content": "Hi"}, index=at, **said)) for at in (0, 1)), USED, DONE))
        [role, words] = [choice for choice in quiet.stream(n=2, logprobs=True).choices if choice["index"] == 1]
        assert ({"role": "assistant"}, None) == (role["delta"], role.get("logprobs"))
        assert ("Hi", [token]) == (words["delta"]["content"], words["logprobs"]["content"])

    def test_an_empty_function_call_is_none(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Some upstreams send one with every word; the answer is text all the same."""
        empty = event(chunk({"content": "Hi", "function_call": {}}))
        upstream.play(stream(empty, FINISH, USED, DONE))
        tools = [{"type": "function", "function": {"name": "look"}}]
        [choice] = quiet.ask(tools=tools).body["choices"]
        assert ("Hi", "stop") == (choice["message"]["content"], choice["finish_reason"])
        assert not choice["message"].get("tool_calls")
        streamed = quiet.stream(tools=tools)
        assert ("Hi", "stop") == (streamed.text(), streamed.finish())

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_tier_and_fingerprint_by_themselves(self, upstream: FakeUpstream, quiet: Caller, at: int) -> None:
        """A chunk that says them and nothing else isn't passed on; the next, or the last one, says them then."""
        said = {"service_tier": "flex", "system_fingerprint": "fp_1"}
        events = [event(chunk({"content": "Hi"})), FINISH, USED, DONE]
        events.insert(at, event({**chunk(), "choices": [], **said}))
        upstream.play(stream(*events))
        streamed = quiet.stream()
        assert said == {name: streamed.chunks[-1].get(name) for name in said}

    def test_refusal(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A refusal is not content."""
        upstream.play(
            stream(event(chunk({"refusal": "I'd "})), event(chunk({"refusal": "rather not."})), FINISH, USED, DONE)
        )
        message = quiet.ask().body["choices"][0]["message"]
        assert (None, "I'd rather not.") == (message["content"], message["refusal"])
        streamed = quiet.stream()
        assert "I'd rather not." == "".join(choice["delta"].get("refusal") or "" for choice in streamed.choices)
        assert "" == streamed.text()

    @pytest.mark.parametrize("form", ["strict", "sloppy", "whole"])
    def test_tier_and_fingerprint(self, upstream: FakeUpstream, quiet: Caller, form: str) -> None:
        """service_tier and system_fingerprint reach the client, from sloppy upstreams too."""
        said = {"service_tier": "flex", "system_fingerprint": "fp_1"}
        role = "" if form == "sloppy" else "assistant"
        upstream.play(
            whole(200, completion(TEXT, **said))
            if form == "whole"
            else stream(event({**chunk({"role": role, "content": "Hi"}), **said}), FINISH, USED, DONE)
        )
        body = quiet.ask().body
        assert said == {name: body.get(name) for name in said}
        first = quiet.stream().chunks[0]
        assert said == {name: first.get(name) for name in said}

    def test_unknown_tier_is_left_out(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A value that OpenAI's schema doesn't know costs the value, not the answer."""
        upstream.play(stream(event({**chunk({"content": "Hi"}), "service_tier": "on_demand"}), FINISH, USED, DONE))
        body = quiet.ask().body
        assert "Hi" == body["choices"][0]["message"]["content"]
        assert "service_tier" not in body

    def test_length(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """An answer that was cut off by its limit says so."""
        upstream.play(stream(HELLO, event(chunk({}, finish_reason="length")), USED, DONE))
        assert "length" == quiet.ask().body["choices"][0]["finish_reason"]
        assert "length" == quiet.stream().finish()

    def test_nothing_said_is_an_answer(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """An answer that ends properly without a word is empty, and neither null nor an error."""
        upstream.play(stream(ROLE, FINISH, USED, DONE))
        assert "" == quiet.ask().text
        assert ("", "stop") == ((answer := quiet.stream()).text(), answer.finish())

    def test_the_word_error_is_no_error(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A model may write about errors, in JSON too."""
        text = '{"error": {"message": "just a story"}}'
        upstream.play(stream(*words(text)))
        assert text == quiet.ask().text
