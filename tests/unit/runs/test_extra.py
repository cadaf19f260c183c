"""What engines say beside the contract's words: whatever it is, the pieces become what a client makes of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.answer import Answer
from app.runs.event import ChoiceExtra, Extra
from app.runs.extra import ExtraFold
from app.runs.recording import Recording
from tests.unit.runs.deltas import chunk, event

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["index", "type", "id", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "audio", "annotations", "stop_reason"]), JSON, max_size=3)


def folded(*deltas: dict[str, Any]) -> Any:
    """Return what becomes of the fields of deltas."""
    fold = ExtraFold()
    for delta in deltas:
        fold.add(Extra(choices={0: ChoiceExtra(delta=delta)}))
    return fold.whole.choices[0].delta


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a", "b", ""], "ab"),
        ([1, 2], 2),
        ([True, False], False),
        (["a", 1], 1),
        ([1, "a", "b"], "ab"),
        ([[1], [2, "x"]], [1, 2, "x"]),
        ([["a"], "b"], "b"),
        ([{"t": "a"}, {"t": "b", "n": None}], {"t": "ab"}),
        ([{"t": {"u": "a"}}, {"t": {"u": "b"}}], {"t": {"u": "ab"}}),
        ([{"type": "t", "id": "i", "name": "n"}] * 2, {"type": "t", "id": "i", "name": "n"}),
        (
            [[{"index": 1, "t": "a"}], [{"index": 0, "t": "b"}, {"index": 1, "t": "c"}]],
            [
                {"index": 1, "t": "ac"},
                {"index": 0, "t": "b"},
            ],
        ),
        (
            [[{"index": 0, "type": "x"}], [{"index": 0, "type": "y"}]],
            [
                {"index": 0, "type": "x"},
                {"index": 0, "type": "y"},
            ],
        ),
        ([[{"index": 0, "type": "x", "t": "a"}], [{"index": 0, "t": "b"}]], [{"index": 0, "type": "x", "t": "ab"}]),
        ([[{"t": "a"}], [{"t": "a"}]], [{"t": "a"}, {"t": "a"}]),
        ([[{"index": "0"}], [{"index": "0"}]], [{"index": "0"}, {"index": "0"}]),
    ],
)
def test_rule(pieces: list[Any], expected: object) -> None:
    """Texts are put together, lists grow, objects merge, of the rest the latest counts, and names aren't texts."""
    assert {"f": expected} == folded(*({"f": piece} for piece in pieces))


def test_events_are_left_alone() -> None:
    """What is on its way to a client doesn't change when more comes in."""
    first: dict[str, Any] = {"l": [{"index": 0, "t": "a", "o": {"u": "a"}}], "o": {"t": "a"}}
    before = json.loads(json.dumps(first))
    more: dict[str, Any] = {"l": [{"index": 0, "t": "b", "o": {"u": "b"}}], "o": {"t": "b"}}
    assert {"l": [{"index": 0, "t": "ab", "o": {"u": "ab"}}], "o": {"t": "ab"}} == folded(first, more)
    assert before == first


@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=4))
def test_anything(said: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]) -> None:
    """Whatever is said in whatever order, an answer comes of it that can be written, streamed, kept and counted."""
    answer = Answer(1)
    for around, beside, within in said:
        piece = event(chunk(content="a"))
        piece.extra = Extra(chunk=around, choices={0: ChoiceExtra(choice=beside, delta=within)})
        msgspec.json.encode(answer.feed(piece))
    answer.feed(event(chunk(finish="stop")))
    answer.complete()
    msgspec.json.encode((answer.choices(), answer.extra, answer.transcript(), answer.texts()))


@given(st.lists(st.binary(max_size=7), max_size=6))
def test_recording(pieces: list[bytes]) -> None:
    """However sound is cut and encoded, the whole of it is proper base64."""
    recording = Recording()
    for piece in pieces:
        recording.add({"data": base64.b64encode(piece).decode()})
    assert b"".join(pieces) == base64.b64decode(recording.data, validate=True)


def test_recording_of_nonsense() -> None:
    """Sound that is no base64 is passed on as it came, and what isn't text is none."""
    recording = Recording()
    for piece in ({"data": "a="}, {"data": "b", "id": 5, "expires_at": "x", "transcript": [1]}, {"id": "audio_1"}):
        recording.add(piece)
    assert ("a=b", "audio_1", 0, "") == (recording.data, recording.id, recording.expires_at, recording.transcript)
