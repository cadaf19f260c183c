"""What upstreams say beyond OpenAI's schema reaches the client, streamed and whole. ``Caller`` checks every shape."""

from __future__ import annotations

import base64
from typing import Final

import pytest

from tests.engines.caller import Caller, Streamed
from tests.fakes.script import DONE, USAGE, Json, Script, chunk, completion, event, stream, whole, words
from tests.fakes.upstream import FakeUpstream

FINISH: Final = event(chunk({}, finish_reason="stop"))
USED: Final = event({**chunk(), "choices": [], "usage": USAGE})
CITATION: Final[Json] = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 2, "url": "https://example.org/a", "title": "A", "content": "x"},
}
IMAGE: Final[Json] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALL: Final[Json] = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def answering(*deltas: Json) -> Script:
    """Return an answer of these deltas and "Hi"."""
    return stream(*(event(chunk(delta)) for delta in deltas), event(chunk({"content": "Hi"})), FINISH, USED, DONE)


def said(answer: Streamed, name: str) -> list[Json]:
    """Return what the deltas of a stream say under a name."""
    return [choice["delta"][name] for choice in answer.choices if name in choice["delta"]]


class TestReasoning:
    """What a model thinks comes under the name that its server gives it."""

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_text(self, upstream: FakeUpstream, quiet: Caller, name: str) -> None:
        """DeepSeek, vLLM and llama.cpp say ``reasoning_content``, OpenRouter and newer vLLM ``reasoning``."""
        upstream.play(answering({"role": "assistant", "content": None, name: "Let me "}, {name: "see."}))
        streamed = quiet.stream()
        assert ["Let me ", "see."] == said(streamed, name)
        assert "Hi" == streamed.text()
        message = quiet.ask().body["choices"][0]["message"]
        assert {"role": "assistant", "content": "Hi", "refusal": None, name: "Let me see."} == message

    def test_details(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """OpenRouter's details: pieces of one text become one, what is whole stays apart, each is named once."""
        kind = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "id": "r_1"}
        pieces: list[Json] = [
            {**kind, "text": "Let me ", "signature": None},
            {**kind, "text": "see."},
            {**kind, "signature": "sig"},
            {"type": "reasoning.encrypted", "data": "xx", "index": 0},
        ]
        upstream.play(answering(*({"reasoning_details": [piece]} for piece in pieces)))
        assert [[piece] for piece in pieces] == said(quiet.stream(), "reasoning_details")
        message = quiet.ask().body["choices"][0]["message"]
        assert [{**kind, "text": "Let me see.", "signature": "sig"}, pieces[3]] == message["reasoning_details"]

    def test_mistral(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Mistral's models think in parts of the content."""
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
        upstream.play(answering({"content": [thought]}, {"content": [{"type": "text", "text": "Oh. "}]}))
        message = quiet.ask().body["choices"][0]["message"]
        assert ("Hm.", "Oh. Hi") == (message["reasoning_content"], message["content"])
        assert ["Hm."] == said(quiet.stream(), "reasoning_content")

    def test_whole(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """From an upstream that doesn't stream, too."""
        body = completion("Hi")
        body["choices"][0]["message"] |= {"reasoning_content": "Hm.", "reasoning_details": [{"type": "x"}]}
        upstream.play(whole(200, body))
        message = quiet.ask().body["choices"][0]["message"]
        assert ("Hm.", [{"type": "x"}]) == (message["reasoning_content"], message["reasoning_details"])
        streamed = quiet.stream()
        assert (["Hm."], [[{"index": 0, "type": "x"}]]) == (
            said(streamed, "reasoning_content"),
            said(streamed, "reasoning_details"),
        )

    def test_thoughts_are_counted(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Where the gateway has to count, thoughts are counted, once even if they come under two names."""
        delta = {"reasoning": "one two", "reasoning_content": "one two"}
        upstream.play(stream(event(chunk(delta)), event(chunk({"content": " three"})), FINISH, DONE))
        assert 3 == quiet.ask().body["usage"]["completion_tokens"]

    def test_nonsense_is_left_out(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """What bears a name of the contract's and isn't what the contract says costs itself, not the answer."""
        upstream.play(answering({"reasoning": {"a": 1}, "reasoning_content": 5}))
        assert {"role", "content", "refusal"} == quiet.ask().body["choices"][0]["message"].keys()


class TestOtherFields:
    """So does everything else that nobody here knows."""

    def test_annotations(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Citations come in pieces and whole; an annotation that OpenAI's schema has no room for is in the pieces."""
        other = {"type": "file", "file": {"hash": "x"}}
        upstream.play(answering({"annotations": [CITATION]}, {"annotations": [CITATION, other]}))
        # Each has an index, without which openai-python's accumulator raises at the second one.
        expected = [[{"index": 0, **CITATION}], [{"index": 1, **CITATION}, {"index": 2, **other}]]
        assert expected == said(quiet.stream(), "annotations")
        assert [CITATION, CITATION] == quiet.ask().body["choices"][0]["message"]["annotations"]

    def test_images(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Pictures that a model makes."""
        upstream.play(answering({"images": [IMAGE]}, {"images": [IMAGE]}))
        assert [[{"index": 0, **IMAGE}], [{"index": 1, **IMAGE}]] == said(quiet.stream(), "images")
        assert [IMAGE, IMAGE] == quiet.ask().body["choices"][0]["message"]["images"]

    def test_any_shape(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Texts are put together, lists grow, objects merge, of anything else the latest counts; null says nothing."""
        upstream.play(
            answering(
                {"x": "a", "l": [1], "o": {"t": "a", "n": 1, "id": "same"}, "n": 1, "b": True, "z": None, "s": "a"},
                {"x": "b", "l": [2, 3], "o": {"t": "b", "n": 2, "id": "same", "z": None}, "n": 2, "s": 5},
            )
        )
        message = quiet.ask().body["choices"][0]["message"]
        expected = {"x": "ab", "l": [1, 2, 3], "o": {"t": "ab", "n": 2, "id": "same"}, "n": 2, "b": True, "s": 5}
        assert {"role": "assistant", "content": "Hi", "refusal": None, **expected} == message

    def test_of_the_choice(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Those of the choice: the latest of states and reasons, the whole of texts and lists."""
        first: dict[str, Json] = {
            "content_filter_results": {"hate": {"severity": "safe"}},
            "token_ids": [1, 2],
            "stop_reason": None,
        }
        last: dict[str, Json] = {
            "content_filter_results": {"hate": {"severity": "low"}},
            "token_ids": [3],
            "native_finish_reason": "eos",
        }
        upstream.play(
            stream(event(chunk({"content": "Hi"}, **first)), event(chunk({}, finish_reason="stop", **last)), USED, DONE)
        )
        [choice] = quiet.ask().body["choices"]
        assert {**last, "token_ids": [1, 2, 3]} == {name: choice[name] for name in last}
        assert "stop_reason" not in choice
        start, end = quiet.stream().choices
        assert ([1, 2], [3], "eos") == (start["token_ids"], end["token_ids"], end["native_finish_reason"])

    def test_of_the_body(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Those of the body around, the latest of each; what stands in a chunk without choices comes with the next."""
        upstream.play(
            stream(
                event({"choices": [], "prompt_filter_results": [1]}),
                event({**chunk({"content": "Hi"}), "provider": "P", "citations": ["a"]}),
                event({**chunk({}, finish_reason="stop"), "citations": ["a", "b"]}),
                event({"choices": [], "usage": USAGE, "x_groq": {"id": "r"}}),
                DONE,
            )
        )
        body = quiet.ask().body
        assert ("P", ["a", "b"], [1], {"id": "r"}) == (
            body["provider"],
            body["citations"],
            body["prompt_filter_results"],
            body["x_groq"],
        )
        first, last = quiet.stream().chunks
        assert ("P", ["a"], [1]) == (first["provider"], first["citations"], first["prompt_filter_results"])
        assert (["a", "b"], {"id": "r"}) == (last["citations"], last["x_groq"])

    def test_identity_is_ours(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Nothing of the upstream's identity gets through beside them, nor what we say about usage."""
        upstream.play(
            stream(
                event({**chunk({"content": "Hi"}), "provider": "P", "x_zero_usage": "estimated", "zero more": 1}),
                FINISH,
                USED,
                DONE,
            )
        )
        answer = quiet.stream(stream_options={"include_usage": True})
        assert {"zero:main"} == {item["model"] for item in answer.chunks}
        assert not any("x_zero_usage" in item or "chatcmpl-upstream" == item["id"] for item in answer.chunks)

    def test_moderation_and_metadata(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Fields of OpenAI's that no event has are passed on if they are what the schema says."""
        wrong = {"type": "error", "code": "c", "message": "m"}
        moderation = {"input": wrong, "output": wrong}
        upstream.play(
            whole(200, completion("Hi", moderation=moderation, metadata={"a": "b"})),
            whole(200, completion("Hi", moderation={"input": 1}, metadata=[1])),
        )
        body = quiet.ask().body
        assert (moderation, {"a": "b"}) == (body["moderation"], body["metadata"])
        assert not {"moderation", "metadata"} & quiet.ask().body.keys()

    def test_obfuscation(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Padding stays with its chunk."""
        upstream.play(stream(*(event({**chunk({"content": t}), "obfuscation": t * 3}) for t in "ab"), FINISH, DONE))
        assert ["aaa", "bbb", None] == [item.get("obfuscation") for item in quiet.stream().chunks]
        assert "obfuscation" not in quiet.ask().body

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_of_usage(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """Usage is kept whole: costs, caches, and details that nobody here knows."""
        usage = {
            **USAGE,
            "cost": 0.5,
            "prompt_cache_hit_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 3, "video_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "image_tokens": 1},
        }
        upstream.play(stream(*words("Hi", usage=usage)))
        found = quiet.stream(stream_options={"include_usage": True}).usage if streamed else quiet.ask().body["usage"]
        assert usage == found

    def test_nothing_behind_the_end(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """What comes for a choice behind its end is dropped with the rest of it."""
        upstream.play(stream(event(chunk({"content": "Hi"})), FINISH, event(chunk({"x": "late"}, y=1)), USED, DONE))
        [choice] = quiet.ask().body["choices"]
        assert ("x" in choice["message"], "y" in choice) == (False, False)


class TestAudio:
    """Sound travels back as it came."""

    PIECES: Final[list[Json]] = [
        {"id": "audio_1", "transcript": "Hel"},
        {"data": base64.b64encode(b"ab").decode()},
        {"data": base64.b64encode(b"cde").decode(), "transcript": "lo"},
        {"expires_at": 1_700_000_000},
    ]

    def test_streamed(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Piece by piece, each by itself."""
        upstream.play(stream(*(event(chunk({"audio": piece})) for piece in self.PIECES), FINISH, USED, DONE))
        answer = quiet.stream(modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
        assert self.PIECES == said(answer, "audio")
        assert {"voice": "alloy", "format": "pcm16"} == upstream.last.json["audio"]
        assert upstream.last.json["stream"] is True

    def test_folded(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Whole, when an upstream streams to a client that doesn't; padded pieces make one proper base64."""
        upstream.play(stream(*(event(chunk({"audio": piece})) for piece in self.PIECES), FINISH, USED, DONE))
        message = quiet.ask().body["choices"][0]["message"]
        expected = {
            "id": "audio_1",
            "expires_at": 1_700_000_000,
            "data": base64.b64encode(b"abcde").decode(),
            "transcript": "Hello",
        }
        assert (None, expected) == (message["content"], message["audio"])

    def test_whole(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A file can't be streamed: the upstream isn't asked for a stream when the client doesn't ask for one."""
        audio = {"id": "audio_2", "expires_at": 5, "data": "AA==", "transcript": "Hello"}
        body = completion("")
        body["choices"][0]["message"] |= {"content": None, "audio": audio}
        upstream.play(whole(200, body))
        answer = quiet.ask(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        assert audio == answer.body["choices"][0]["message"]["audio"]
        assert not {"stream", "stream_options"} & upstream.last.json.keys()

    def test_session(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The session refers to it as a client would: by its id, or by its words where it has none."""
        for number, piece in enumerate((self.PIECES[0], {"transcript": "Hello"})):
            headers = {"x-zero-session-key": f"audio-{number}"}
            upstream.play(stream(event(chunk({"audio": piece})), FINISH, USED, DONE), stream(*words("Hi")))
            quiet.ask(headers=headers)
            quiet.ask(headers=headers, messages=[{"role": "user", "content": "again"}])
            remembered = upstream.last.json["messages"][1]
            expected = {"content": None, "audio": {"id": "audio_1"}} if number == 0 else {"content": "Hello"}
            assert {"role": "assistant", **expected} == remembered


class TestSession:
    """A session remembers of the thoughts what a client would send back."""

    THOUGHTS: Final[Json] = {
        "reasoning_content": "Hm.",
        "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}],
    }

    def remembered(self, upstream: FakeUpstream, quiet: Caller, key: str, *deltas: Json) -> Json:
        """Return what the upstream is told of an answer in the turn behind it."""
        events = [event(chunk(delta)) for delta in deltas]
        upstream.play(stream(*events, FINISH, USED, DONE), stream(*words("Hi")))
        quiet.ask(headers={"x-zero-session-key": key})
        result = {"role": "tool", "tool_call_id": "call_a", "content": "red"}
        turn = result if "tool_calls" in deltas[-1] else {"role": "user", "content": "and?"}
        quiet.ask(headers={"x-zero-session-key": key}, messages=[turn])
        return upstream.last.json["messages"][1]

    def test_beside_a_call(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Beside a call they are kept, as is what the call has beside: some services refuse its result without."""
        signed = {**CALL, "extra_content": {"google": {"thought_signature": "sig"}}}
        found = self.remembered(upstream, quiet, "thought-call", self.THOUGHTS, {"tool_calls": [signed]})
        call = {name: value for name, value in signed.items() if name != "index"}
        assert {"role": "assistant", "content": None, "tool_calls": [call], **self.THOUGHTS} == found

    def test_beside_words(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Beside words they are dropped: no service needs them there, and several refuse them."""
        found = self.remembered(upstream, quiet, "thought-words", self.THOUGHTS, {"content": "Hi"})
        assert {"role": "assistant", "content": "Hi"} == found


def test_fields_of_a_tool_call(upstream: FakeUpstream, quiet: Caller) -> None:
    """A call keeps what it has beside: Gemini's signatures must come back with it."""
    beside = {"extra_content": {"google": {"thought_signature": "sig"}}}
    upstream.play(stream(event(chunk({"tool_calls": [{**CALL, **beside}]})), FINISH, USED, DONE))
    [[part]] = said(quiet.stream(), "tool_calls")
    assert {**CALL, **beside} == part
    [call] = quiet.ask().body["choices"][0]["message"]["tool_calls"]
    assert beside["extra_content"] == call["extra_content"]
