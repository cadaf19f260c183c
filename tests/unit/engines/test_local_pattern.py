"""Regular expressions for llama.cpp: what comes out matches no more than the original, and breaks no JSON string."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engines.local.pattern import grammar_pattern

KEPT = [
    r"^\d{3}-\d{4}$",
    r"\w+",
    r"^\+?[0-9 ]{5,9}",
    "a|b",
    r'^(foo|bar)-[^x"]+$',
    r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$",
    "^.{3,6}$",
    r"^https?://\S+$",
    r"^[^\s@]+$",
    r"^(?:a|b){2}\.\-x$",
    "^[A-Z]{3}\\$$",
    "[!-/]{3}",
    r"^[\]\-a]{3}$",
    "^[ -~]{5}$",
    r"^\D\W\S$",
    "^$",
    "",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^[a-c]x$", "^[abc]x$"),
        ("x", "^x$"),
        ("a|b", "^(a|b)$"),
        (r"^\d{2,}$", "^[0123456789]{2,}$"),
        (r"^a\.b\-c$", r"^a\.b-c$"),
        ("^(?:a)$", "^(a)$"),
        (r"^[\\\"a]$", "^[a]$"),
        (r"^\\$", None),
    ],
)
def test_in_the_grammars_words(pattern: str, expected: str | None) -> None:
    """Classes are spelled out, both ends anchored, escapes that the grammar doesn't know resolved."""
    assert expected == grammar_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "^(?=a)b$",
        r"^(a)\1$",
        r"^\p{L}+$",
        r"^\bword\b$",
        "^a{5,2}$",
        "^a{501}$",
        "^a*?$",
        "^a++$",
        "^*a$",
        "^(|*)$",
        "^(a$",
        "^a)$",
        "^a^b$",
        "^a|b$",
        "^ü$",
        "^[ü]$",
        '^"$',
        '^["]$',
        "^[z-a]$",
        "^[$",
        "^a\n$",
    ],
)
def test_what_cant_be_kept_to(pattern: str) -> None:
    """What the grammar has no words for, or would run away with, is None rather than half of it."""
    assert grammar_pattern(pattern) is None


@pytest.mark.parametrize("pattern", KEPT)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_it_never_matches_more(pattern: str, data: st.DataObject) -> None:
    """A text between a JSON string's quotes that the result matches is itself in JSON, and fits the original."""
    written = grammar_pattern(pattern)
    assert written is not None

    text = data.draw(st.from_regex(written.removesuffix("$") + r"\Z"))

    assert text == json.loads(f'"{text}"')
    assert re.search(pattern, text, re.ASCII)  # classes are ASCII, as in JavaScript
