"""Changing a text without changing what is around it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.error import RuleError
from app.config.json5_document import read_document
from app.config.json5_editing import set_value, written
from app.config.json5_removal import without_item
from app.config.json_value import JsonValue
from app.config.key_path import KeyPath

NOWHERE = Path("nowhere.json5")
NAMES = st.sampled_from(["a", "b2", "x.y", "é", "if", "a b", "'", '"', "\\", "$include"])
LEAVES = (
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
OBJECTS = st.dictionaries(NAMES, TREES, max_size=4)
GAPS = st.sampled_from(["", " ", "\n", "\r\n  ", "\t", " // c ]},:\"'\n", "/* c ]},:\"' */", "\u2028", "\ufeff"])


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("{}", ("a",), 1, "{ a: 1 }"),
        ("{ }", ("a",), 1, "{ a: 1 }"),
        ("{}", ("a", "b", 0, "c"), "x", '{ a: { b: [{ c: "x" }] } }'),
        ("{a: 1}", ("a",), None, "{a: null}"),
        ("{a: 1}", ("b",), True, "{a: 1, b: true}"),
        ("{ a: 1, }", ("b",), 2, "{ a: 1, b: 2, }"),
        ('{"a": 1}', ("b", "c"), 2, '{"a": 1, "b": { "c": 2 }}'),
        ('{\n  "a": 1\n}\n', ("b",), 2, '{\n  "a": 1,\n  "b": 2\n}\n'),
        ("{\n\ta: 1, // one\n\t// more\n}", ("b",), 2, "{\n\ta: 1, // one\n\t// more\n\tb: 2,\n}"),
        ("{\n  a: 1 // one\n}", ("b",), 2, "{\n  a: 1, // one\n  b: 2\n}"),
        ("{\r\n  a: 1,\r\n}", ("b",), 2, "{\r\n  a: 1,\r\n  b: 2,\r\n}"),
        ("{\n  // nothing yet\n}", ("a",), 1, "{\n  // nothing yet\n  a: 1\n}"),
        ("{ /* c */ }", ("a",), 1, "{ /* c */ a: 1 }"),
        ("{a: [1, 2]}", ("a", 2), 3, "{a: [1, 2, 3]}"),
        ("{a: []}", ("a", 0), "x", '{a: ["x"]}'),
        ("{a: [\n  1,\n]}", ("a", 1), {"b": 2}, "{a: [\n  1,\n  { b: 2 },\n]}"),
        ("{ 'a': 0x1F, /* c */ b: +.5 }", ("b",), 7, "{ 'a': 0x1F, /* c */ b: 7 }"),
        ("{ \\u0061: 'x' }", ("a",), "y", '{ \\u0061: "y" }'),
        ("{ a: 'it\\'s // no comment' }", ("b",), 1, "{ a: 'it\\'s // no comment', b: 1 }"),
        ("// top\n{ a: { b: 1 } } // end", ("a",), {"c": [1]}, "// top\n{ a: { c: [1] } } // end"),
    ],
)
def test_only_what_is_meant_changes(before: str, path: KeyPath, value: JsonValue, after: str) -> None:
    """Comments, quotes, commas, indentation and line ends are those of the file."""
    assert after == set_value(before, path, value)


@pytest.mark.parametrize(
    ("text", "path", "word"),
    [
        ("{ a: { /* c */ b: 1 } }", ("a",), "comments inside"),
        ("{ a: [ 1, // c\n ] }", ("a",), "comments inside"),
        ("{ a: 1 }", ("a", "b"), "not an object"),
        ("{ a: {} }", ("a", 0), "not a list"),
        ("{ a: [1] }", ("a", 2), "1 entries"),
        ("{}", ("a", 1), "no list yet"),
    ],
)
def test_what_would_do_harm_is_refused(text: str, path: KeyPath, word: str) -> None:
    """A comment is never lost, and a wrong path never makes something up."""
    with pytest.raises(RuleError, match=word):
        set_value(text, path, 1)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("{a: [1]}", ("a", 0), "{a: []}"),
        ("{a: [1, 2, 3]}", ("a", 0), "{a: [2, 3]}"),
        ("{a: [1, 2, 3]}", ("a", 1), "{a: [1, 3]}"),
        ("{a: [1, 2, 3]}", ("a", 2), "{a: [1, 2 ]}"),
        ('[{"a": [1]}]', (0, "a", 0), '[{"a": []}]'),
        ("{a: [\n  { b: 1 }, // one\n  { b: 2 }, // two\n]}", ("a", 0), "{a: [\n  // one\n  { b: 2 }, // two\n]}"),
        ("{a: [\n  // one\n  { b: 1 },\n  { b: 2 },\n]}", ("a", 1), "{a: [\n  // one\n  { b: 1 },\n]}"),
        ("{a: [\n  1,\n  2\n]}", ("a", 1), "{a: [\n  1\n]}"),
        ("{a: [\r\n  1,\r\n  2\r\n]}", ("a", 0), "{a: [\r\n  2\r\n]}"),
        ("{a: [1 /* one */, 2 /* two */]}", ("a", 1), "{a: [1 /* one */ /* two */]}"),
        ("{a: [\n  {\n    b: 1, // inside\n  },\n  2,\n]}", ("a", 0), "{a: [\n  2,\n]}"),
    ],
)
def test_an_entry_goes_with_its_comma(before: str, path: KeyPath, after: str) -> None:
    """And with its line; what plain JSON was stays plain JSON, comments around it stay."""
    assert after == without_item(before, path)


@pytest.mark.parametrize(("text", "path"), [("{a: [1]}", ("a", 1)), ("{a: 1}", ("a", 0)), ("{}", ("a", 0))])
def test_what_is_not_there_cannot_go(text: str, path: KeyPath) -> None:
    """A wrong path takes nothing away."""
    with pytest.raises(RuleError):
        without_item(text, path)


@given(st.data(), st.lists(TREES, min_size=1, max_size=4), OBJECTS)
def test_any_entry_of_any_list(data: st.DataObject, entries: list[JsonValue], beside: dict[str, Any]) -> None:
    """The list is without it, all else is as it was, with its comments; strict JSON stays strict."""
    index = data.draw(st.integers(0, len(entries) - 1))
    tree: dict[str, Any] = {**beside, "list": entries}
    expected = {**tree, "list": entries[:index] + entries[index + 1 :]}
    strict = json.dumps(tree, indent=data.draw(st.sampled_from([None, 2])))
    assert expected == json.loads(without_item(strict, ("list", index)))
    text = spread(written(tree, quoted=data.draw(st.booleans())), data)
    after = without_item(text, ("list", index))
    assert expected == read_document(NOWHERE, text=after)


@given(TREES)
def test_a_value_is_written_as_json5(value: JsonValue) -> None:
    """Whatever it is, and in both spellings of keys."""
    for quoted in (False, True):
        assert {"v": value} == read_document(NOWHERE, text=written({"v": value}, quoted=quoted))


@given(st.data(), OBJECTS, TREES)
def test_any_place_of_any_text(data: st.DataObject, tree: dict[str, Any], value: JsonValue) -> None:
    """The new text says what the old one said but for one value, and has all its comments."""
    text = spread(written(tree, quoted=data.draw(st.booleans())), data)
    path, expected = change(tree, value, data)
    after, refusal = attempt(text, path, value)

    if refusal:
        assert "comments inside" in refusal
    else:
        assert expected == read_document(NOWHERE, text=after)
        assert comments(text) == comments(after)


def attempt(text: str, path: KeyPath, value: JsonValue) -> tuple[str, str]:
    """Return the new text, or why there is none."""
    try:
        return set_value(text, path, value), ""
    except RuleError as fault:
        return "", str(fault)


def spread(text: str, data: st.DataObject) -> str:
    """Put blanks, line ends and comments between the tokens of a text."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,]+', text, re.DOTALL)
    return "".join(token + data.draw(GAPS) for token in tokens)


def comments(text: str) -> int:
    """Return how many of the comments of ``spread`` there are."""
    return text.count("// c ]},:\"'") + text.count("/* c ]},:\"' */")


def change(tree: Any, value: JsonValue, data: st.DataObject) -> tuple[KeyPath, Any]:
    """Choose a place, there or one that may be added; return its path, and the tree with the value there."""
    if isinstance(tree, dict):
        key: Any = data.draw(st.sampled_from([*tree, "added"]))
        inside = tree.get(key)
    else:
        key = data.draw(st.integers(0, len(tree)))
        inside = tree[key] if key < len(tree) else None
    rest: KeyPath = ()
    new = value
    if isinstance(inside, dict | list) and data.draw(st.booleans()):
        rest, new = change(inside, value, data)
    if isinstance(tree, dict):
        return (key, *rest), {**tree, key: new}
    return (key, *rest), [*tree[:key], new, *tree[key + 1 :]]
