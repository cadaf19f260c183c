"""The notation of paths, in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.key_path import KeyPath, dotted, key_path

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("gateway", ("gateway",)),
        ("agents.list[0].model", ("agents", "list", 0, "model")),
        ('headers["x.y"]', ("headers", "x.y")),
        ('providers["a\\u0022b"][1]', ("providers", 'a"b', 1)),
        ("[0][1]", (0, 1)),
    ],
)
def test_a_path_is_read(text: str, path: KeyPath) -> None:
    """Names, indexes, and quoted names."""
    assert path == key_path(text)


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a[x]", "a[-1]", "a[0", "a b", 'a["x', "a.0", "a[0]b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    """Rather than taken for something near it."""
    with pytest.raises(ValueError, match="not a path"):
        key_path(text)


@given(st.lists(KEYS, min_size=1, max_size=6).map(tuple))
def test_what_messages_show_can_be_typed(path: KeyPath) -> None:
    """Every path that is ever written can be read."""
    assert path == key_path(dotted(path))
