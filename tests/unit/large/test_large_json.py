"""Large JSON is read and written in steps, to the same result as in one."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from app.contract.decoding import MAX_VALUES, shortened
from app.errors import InvalidRequest
from app.large import shortened as shortening
from app.large import structure
from app.large.shortened import Shortened, read
from app.large.structure import structure_of
from app.large.written import written
from app.sessions import message
from app.sessions.message import Message, digest

CHARACTERS = ("a", " ", '"', "\\", "\n", "é", "中", "😀", "{", "[", ",", "/", "\x01", "\u2028")


@pytest.fixture(params=[2_000_000, 200])
def small_steps(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make texts of 160 bytes long ones, or of 32 where there is much besides, and pieces of 16 bytes."""
    monkeypatch.setattr(structure, "MUCH", request.param)
    monkeypatch.setattr(structure, "LONG_OF_MANY", 32)
    for module in (structure, shortening):
        monkeypatch.setattr(module, "PIECE", 16)
    monkeypatch.setattr(structure, "LONG", 160)
    monkeypatch.setattr(shortening, "KEPT", 11)


def any_value(dice: random.Random, depth: int = 0) -> Any:
    """Return something that JSON can say."""
    kind = dice.random()
    if depth > 3 or kind < 0.4:
        return "".join(dice.choices(CHARACTERS, k=dice.choice((0, 1, 5, 30, 300))))
    if kind < 0.5:
        return dice.choice([1, 1.5, None, True, -3e9])
    inner = [any_value(dice, depth + 1) for _ in range(dice.randint(0, 4))]
    return inner if kind < 0.75 else {f"{place}{any_value(dice, 4)}": one for place, one in enumerate(inner)}


def values_in(value: Any) -> int:
    """Return how many values there are, by the limit's rule."""
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(map(values_in, inner))


def outcome(decode: Any) -> str:
    """Return what was read, or that nothing could be."""
    try:
        return repr(decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "unreadable"


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(20))
def test_steps_make_no_difference(seed: int) -> None:
    """Whatever a document says, and wherever it is broken: it is read, counted and told as it is in one step."""
    dice = random.Random(seed)
    for _ in range(100):
        value = any_value(dice)
        whole = json.dumps(value, ensure_ascii=dice.random() < 0.5).encode()
        assert structure_of(whole).values == values_in(value)
        short = Shortened(whole)
        assert bytes(short.whole_raw(msgspec.Raw(short.json))) == whole
        remains = msgspec.json.decode(short.json)
        assert b"".join(short.pieces(msgspec.json.encode(remains))) == msgspec.json.encode(value)
        assert read(whole) == value
        broken = bytearray(whole)
        broken[dice.randrange(len(broken))] = dice.randrange(256)
        assert outcome(lambda b=bytes(broken): read(b)) == outcome(lambda b=bytes(broken): msgspec.json.decode(b))


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(20))
def test_a_digest_is_the_same_in_steps(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message has one digest, however large messages have to be to be read in steps."""
    dice = random.Random(seed)
    for _ in range(50):
        text = " " * dice.choice((0, 1, 30)) + str(any_value(dice, 4)) + "\n" * dice.choice((0, 1, 400))
        content = dice.choice((text, [{"type": "text", "text": text}], [{"type": "text", "text": text}] * 2))
        said = Message.of("user", {"role": "user", "content": content})
        monkeypatch.setattr(message, "LARGE", 10**9)
        expected = digest(said)
        monkeypatch.setattr(message, "LARGE", 0)
        assert expected == digest(said)


@pytest.mark.parametrize("text", ["x" * 300_000, '😀é\n"\\' * 60_000, "\x01\u2028" * 100_000])
def test_what_is_written_in_steps(text: str) -> None:
    """Long texts are written as msgspec writes them, wherever they are."""
    value = {"a": [text, {"b": text, "c": None}], "d": 1.5, "e": "short"}
    assert written(value) == msgspec.json.encode(value)


def test_the_most_values() -> None:
    """As many values as allowed are read, one more is refused with a code of its own."""
    most = b"[%b]" % b",".join([b"1"] * MAX_VALUES)
    assert len(msgspec.json.decode(shortened(most).json)) == MAX_VALUES
    with pytest.raises(InvalidRequest) as refused:
        shortened(b"[%b]" % b",".join([b"1"] * (MAX_VALUES + 1)))
    assert (refused.value.code, refused.value.param) == ("too_many_values", None)


def test_json_within_a_text_counts_as_one_value() -> None:
    """A text may hold as much JSON or code as it likes, also behind escapes that look like its end."""
    inner = json.dumps([{"a": '\\"[,', "b": [1, 2, 3]}] * 50_000)
    assert structure_of(json.dumps({"content": inner}).encode()).values == 1
