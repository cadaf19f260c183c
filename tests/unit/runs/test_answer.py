"""The fold: however an engine cuts its answer, the stream is clean, and the whole answer is what was streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import EngineFailed
from app.runs.answer import Answer
from app.runs.event import Event, finish_event, text_event
from tests.unit.runs.deltas import chunk, event, part, usage

STOP = chunk(finish="stop")


def plain(value: object) -> Any:
    """Return a value as JSON sees it."""
    return json.loads(msgspec.json.encode(value))


def fed(answer: Answer, events: Iterable[Event]) -> list[dict[str, Any]]:
    """Feed a whole answer and return every chunk that a client gets, in order."""
    passed = [out for out in (answer.feed(event) for event in events) if out is not None]
    return [choice for out in (*passed, *answer.complete()) for choice in plain(out)["choices"]]


def messages(answer: Answer) -> list[dict[str, Any]]:
    """Return the messages of a complete answer, one per choice."""
    return [plain(choice.message) for choice in answer.choices()]


def test_text() -> None:
    """Pieces of text become one text; the first piece carries the role, and the end its reason."""
    answer = Answer(1)
    chunks = fed(answer, [text_event("Hel"), text_event("lo"), finish_event("length")])
    assert [{"role": "assistant", "content": "Hel"}, {"content": "lo"}, {}] == [c["delta"] for c in chunks]
    assert [None, None, "length"] == [c["finish_reason"] for c in chunks]
    assert [{"role": "assistant", "content": "Hello", "refusal": None}] == messages(answer)
    assert ["length"] == [choice.finish_reason for choice in answer.choices()]
    assert {"role": "assistant", "content": "Hello"} == plain(answer.transcript().raw)
    assert ["Hello"] == answer.texts()


def test_last_event_is_held_back() -> None:
    """What ends the last choice comes out of complete() only, and announces nothing behind it."""
    answer = Answer(2)
    assert answer.feed(event(chunk(0, content="a"), chunk(1, content="b"), more=True)) is not None
    assert answer.feed(event(chunk(1, "stop"))) is not None
    last = event(chunk(0, "stop", content="!"), more=True)
    assert answer.feed(last) is None
    assert [last] == answer.complete()
    assert not last.more
    assert [chunk(0, "stop", content="!")["delta"]] == [c["delta"] for c in plain(last)["choices"]]


def test_one_event_answer() -> None:
    """An answer may come in one piece, role, text and end together."""
    answer = Answer(1)
    chunks = fed(answer, [event(chunk(content="all", finish="stop"))])
    assert [({"role": "assistant", "content": "all"}, "stop")] == [(c["delta"], c["finish_reason"]) for c in chunks]


def test_role_is_ours() -> None:
    """Whatever role an engine writes, or repeats, the first delta says assistant and no other says any."""
    roles = ["user", "assistant", "tool", None]
    answer = Answer(1)
    pieces = [chunk(content="x", role=role) if role else chunk(content="x") for role in roles]
    chunks = fed(answer, [event(piece) for piece in pieces] + [event(chunk(finish="stop", role="assistant"))])
    assert ["assistant", None, None, None, None] == [c["delta"].get("role") for c in chunks]


def test_empty_deltas_are_not_passed_on() -> None:
    """Chunks that say nothing are dropped, once the role is out."""
    nothings = [chunk(), chunk(content=""), chunk(content=None), chunk(refusal=None), chunk(role="assistant")]
    answer = Answer(1)
    chunks = fed(answer, [*(event(nothing) for nothing in nothings), text_event("a"), event(*nothings), event(STOP)])
    assert [{"role": "assistant"}, {"content": "a"}, {}] == [c["delta"] for c in chunks]


def test_one_finish_reason() -> None:
    """What comes behind a choice's end, another end included, is dropped."""
    answer = Answer(2)
    events = [
        event(chunk(0, content="a"), chunk(1, content="b")),
        event(chunk(0, "stop"), chunk(0, "length"), chunk(0, content="late")),
        event(chunk(0, "length"), chunk(1, "content_filter")),
        text_event("later"),
    ]
    chunks = fed(answer, events)
    ends = [(c["index"], c["finish_reason"]) for c in chunks if c["finish_reason"]]
    assert [(0, "stop"), (1, "content_filter")] == ends
    assert ["a", "b"] == [message["content"] for message in messages(answer)]


def test_choices_in_order() -> None:
    """Choices may come in any order and mixed; the whole answer has them by index."""
    answer = Answer(3)
    events = [event(chunk(2, content="c")), event(chunk(0, content="a"), chunk(1, "stop", content="b"))]
    fed(answer, [*events, event(chunk(2, "stop")), event(chunk(0, "stop"))])
    assert [(0, "a"), (1, "b"), (2, "c")] == [(choice.index, choice.message.content) for choice in answer.choices()]
    assert {"role": "assistant", "content": "a"} == plain(answer.transcript().raw)


@pytest.mark.parametrize(("choices", "index"), [(1, 1), (1, -1), (2, 2), (128, 128)])
def test_unexpected_choice(choices: int, index: int) -> None:
    """A choice that nobody asked for is the engine's failure."""
    with pytest.raises(EngineFailed) as caught:
        Answer(choices).feed(event(chunk(index, content="a")))
    assert 502 == caught.value.status


@pytest.mark.parametrize(
    ("choices", "events", "words"),
    [
        (1, [], "gave no answer"),
        (1, [event(usage=usage(1, 1))], "gave no answer"),
        (1, [text_event("a")], "ended before its finish_reason"),
        (2, [event(STOP)], "ended after 1 of 2 choices"),
        (2, [text_event("a")], "ended before 0 of 2 choices"),
    ],
)
def test_truncated(choices: int, events: list[Event], words: str) -> None:
    """An answer whose choices haven't all come to their end is a failure, however much of it there is."""
    answer = Answer(choices)
    for piece in events:
        answer.feed(piece)
    with pytest.raises(EngineFailed) as caught:
        answer.complete()
    assert (502, "upstream_truncated") == (caught.value.status, caught.value.code)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("events", "expected"),
    [([], False), ([event()], False), ([event(usage=usage(1, 0))], False), ([text_event("")], True)],
)
def test_begun(events: list[Event], expected: bool) -> None:
    """An answer has begun with the first chunk of a choice: from then on no other engine can start over."""
    answer = Answer(1)
    for piece in events:
        answer.feed(piece)
    assert expected == answer.begun


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], None),
        ([usage(0, 0)], None),
        ([usage(5, 7)], usage(5, 7)),
        ([usage(5, 1), usage(5, 7)], usage(5, 7)),
        ([usage(5, 7), usage(0, 0)], usage(5, 7)),
        ([usage(5, 0)], usage(5, 0)),
        ([{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 3}], (0, 0, 3)),
    ],
)
def test_usage(reports: list[dict[str, object]], expected: object) -> None:
    """The engine's last count is taken, a report of nothing but zeros is none, and no event carries it on."""
    answer = Answer(1)
    events = [event(chunk(content="a"), usage=report) for report in reports]
    assert [None] * len(events) == [out.usage for out in map(answer.feed, events) if out is not None]
    wanted = dict(zip(usage(0, 0), expected, strict=True)) if isinstance(expected, tuple) else expected
    assert wanted == plain(answer.usage)


def test_usage_behind_the_end() -> None:
    """The count that comes as an event of its own, behind the last choice's end, is taken."""
    answer = Answer(1)
    fed(answer, [text_event("a"), finish_event("stop"), event(usage=usage(5, 7))])
    assert usage(5, 7) == plain(answer.usage)


def test_fingerprint_and_tier() -> None:
    """Fingerprint and service tier are remembered from whichever event had them."""
    answer = Answer(1)
    events = [event(chunk(content="a"), system_fingerprint="fp_1"), event(service_tier="flex"), event(STOP)]
    fed(answer, events)
    assert ("fp_1", "flex") == (answer.system_fingerprint, answer.service_tier)


def test_tool_calls() -> None:
    """The parts of calls, mixed and out of order, become whole calls in the order they began; no text is null."""
    answer = Answer(1)
    calls = [
        [part(1, "call_b", "g", ""), part(0, "call_a", "f", '{"ci')],
        [part(0, arguments='ty": ')],
        [part(1, arguments="{}"), part(0, arguments='"X"}')],
    ]
    fed(answer, [*(event(chunk(tool_calls=parts)) for parts in calls), event(chunk(finish="tool_calls"))])
    expected = [
        {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"city": "X"}'}},
    ]
    [message] = messages(answer)
    assert (None, expected) == (message["content"], message["tool_calls"])
    remembered = {"role": "assistant", "content": None, "tool_calls": expected}
    assert remembered == plain(answer.transcript().raw)
    assert ['g{}f{"city": "X"}'] == answer.texts()


def test_text_and_tool_calls() -> None:
    """Words beside a call stay."""
    answer = Answer(1)
    fed(answer, [text_event("Let me see."), event(chunk(0, "tool_calls", tool_calls=[part(0, "c", "f", "")]))])
    [message] = messages(answer)
    assert ("Let me see.", "f") == (message["content"], message["tool_calls"][0]["function"]["name"])


def test_function_call() -> None:
    """The older function call is folded in the same way."""
    answer = Answer(1)
    pieces: list[dict[str, object]] = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    fed(answer, [*(event(chunk(function_call=piece)) for piece in pieces), event(chunk(finish="function_call"))])
    expected = {"name": "f", "arguments": '{"a":1}'}
    [message] = messages(answer)
    assert (None, expected) == (message["content"], message["function_call"])
    assert {"role": "assistant", "content": None, "function_call": expected} == plain(answer.transcript().raw)
    assert ['f{"a":1}'] == answer.texts()


def test_refusal() -> None:
    """A refusal is folded like a text, and the text beside it is null."""
    answer = Answer(1)
    fed(answer, [event(chunk(refusal="I ca")), event(chunk(refusal="n't.")), event(STOP)])
    assert [{"role": "assistant", "content": None, "refusal": "I can't."}] == messages(answer)
    assert {"role": "assistant", "content": None, "refusal": "I can't."} == plain(answer.transcript().raw)
    assert ["I can't."] == answer.texts()


def test_no_words_at_all() -> None:
    """An answer that says nothing is an empty text."""
    answer = Answer(1)
    fed(answer, [event(STOP)])
    assert [{"role": "assistant", "content": "", "refusal": None}] == messages(answer)
    assert [""] == answer.texts()


def token(text: str) -> dict[str, object]:
    """Return a token with its probability."""
    return {"token": text, "logprob": -0.5, "top_logprobs": [], "bytes": list(text.encode())}


def test_logprobs() -> None:
    """Probabilities are joined per choice; what is passed on stays as it was; a chunk with only them is kept."""
    answer = Answer(1)
    pieces: list[tuple[str, object]] = [
        ("a", {"content": [token("a")], "refusal": None}),
        ("", {"content": [token("b")], "refusal": [token("r")]}),
        ("c", None),
        ("d", {"content": None, "refusal": [token("s")]}),
    ]
    chunks = fed(answer, [*(event(chunk(content=c, logprobs=p)) for c, p in pieces), event(STOP)])
    assert [[token("a")], [token("b")], None, None, None] == [(c["logprobs"] or {}).get("content") for c in chunks]
    [choice] = answer.choices()
    assert {"content": [token("a"), token("b")], "refusal": [token("r"), token("s")]} == plain(choice.logprobs)


SPLITS = st.lists(st.text(max_size=6), max_size=12)


@given(st.lists(SPLITS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_any_split_folds_to_the_text(splits: list[list[str]], random: Any) -> None:
    """However each choice's text is cut and the pieces are mixed, the whole text comes out, streamed and folded."""
    answer = Answer(len(splits))
    queues = [[chunk(n, content=text) for text in texts] + [chunk(n, "stop")] for n, texts in enumerate(splits)]
    events: list[Event] = []
    while any(queues):
        queue = random.choice([queue for queue in queues if queue])
        events.append(event(*(queue.pop(0) for _ in range(random.randint(1, len(queue))))))
    chunks = fed(answer, events)
    texts = ["".join(split) for split in splits]
    streamed = ["".join(c["delta"].get("content") or "" for c in chunks if c["index"] == n) for n in range(len(splits))]
    assert texts == streamed
    assert texts == [message["content"] for message in messages(answer)]
    assert sorted(texts) == sorted(answer.texts())
    for n in range(len(splits)):
        own = [c for c in chunks if c["index"] == n]
        assert ["assistant"] + [None] * (len(own) - 1) == [c["delta"].get("role") for c in own]
        assert [None] * (len(own) - 1) + ["stop"] == [c["finish_reason"] for c in own]


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=5)), max_size=10))
def test_any_split_of_tool_calls(pieces: list[tuple[int, str]]) -> None:
    """However the arguments of calls are cut and mixed, the streamed parts and the folded calls say the same."""
    answer = Answer(1)
    chunks = fed(
        answer,
        [*(event(chunk(tool_calls=[part(n, f"call_{n}", arguments=text)])) for n, text in pieces), event(STOP)],
    )
    streamed: list[dict[str, str]] = []
    for choice in chunks:
        for call in choice["delta"].get("tool_calls") or ():
            assert call["index"] <= len(streamed), "an index was left out"
            if call["index"] == len(streamed):
                assert ("function", True) == (call["type"], "arguments" in call["function"])
                streamed.append({"id": call["id"], "arguments": ""})
            else:
                assert "id" not in call
            streamed[call["index"]]["arguments"] += call["function"].get("arguments", "")
    [message] = messages(answer)
    folded = [{"id": call["id"], "arguments": call["function"]["arguments"]} for call in message.get("tool_calls", [])]
    assert streamed == folded
    texts = {number: "".join(text for n, text in pieces if n == number) for number, _ in pieces}
    assert {f"call_{number}": text for number, text in texts.items()} == {c["id"]: c["arguments"] for c in folded}
