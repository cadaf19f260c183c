"""Names of agents: what is an id, and what a model name says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import agent_id
from app.routing.agent_name import Unnamed, normalized_id, parse_model

# Not ASCII, but made of it by lower(), upper(), casefold() or NFKC.
LOOKALIKES = ["\u212a", "\u0130", "\u017f", "\uff41", "\u0430", "\u00e9", "\u2170", "\u0661", "\u00b2", "\ufb00"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main", "main"),
        ("Main", "main"),
        ("BETA-2_x", "beta-2_x"),
        ("0", "0"),
        ("a" * 64, "a" * 64),
        ("a" * 65, None),
        ("", None),
        ("_a", None),
        ("-a", None),
        ("a b", None),
        ("a.b", None),
        ("a:b", None),
        ("a\n", None),
        ("\na", None),
        (" a", None),
        ("a\x00", None),
    ],
)
def test_id(text: str, expected: str | None) -> None:
    """An id is [a-z0-9][a-z0-9_-]{0,63} in any case, and comes out in lower case."""
    assert expected == normalized_id(text)


@pytest.mark.parametrize("lookalike", LOOKALIKES)
@pytest.mark.parametrize("spelling", ["{}", "a{}", "{}a", "bac{}up"])
def test_lookalikes_are_no_ids(lookalike: str, spelling: str) -> None:
    """A character that some operation on Unicode turns into an ASCII letter never names an agent."""
    assert normalized_id(spelling.format(lookalike)) is None


@given(st.text())
def test_an_id_is_always_of_the_pattern(text: str) -> None:
    """Whatever is an id has the pattern's form, and differs from the text in the case of ASCII letters only."""
    found = normalized_id(text)
    if found is not None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", found)
        assert text.isascii()
        assert found == text.lower()


@given(st.one_of(st.text(), st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}", fullmatch=True)))
def test_configuration_and_requests_mean_the_same_ids(text: str) -> None:
    """What the configuration allows as an id is what requests can name, spelled alike."""
    assert agent_id(text) == normalized_id(text)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("zero", Unnamed.DEFAULT),
        ("ZERO", Unnamed.DEFAULT),
        ("zero/default", Unnamed.DEFAULT),
        ("zero:default", Unnamed.DEFAULT),
        ("agent:default", Unnamed.DEFAULT),
        ("Zero:Default", Unnamed.DEFAULT),
        ("zero:beta", "beta"),
        ("zero/beta", "beta"),
        ("agent:beta", "beta"),
        ("AGENT:beta", "beta"),
        ("zero:", ""),
        ("zero:not an id", "not an id"),
        ("zero:\u212ai", "\u212ai"),
        ("ZERO:\u212ai", "\u212ai"),
        ("gpt-4o", Unnamed.FOREIGN),
        ("", Unnamed.FOREIGN),
        ("zerox", Unnamed.FOREIGN),
        ("agent/beta", Unnamed.FOREIGN),
        ("agent", Unnamed.FOREIGN),
        (" zero", Unnamed.FOREIGN),
        ("beta", Unnamed.FOREIGN),
        ("openai/zero", Unnamed.FOREIGN),
        ("zero\u0000", Unnamed.FOREIGN),
    ],
)
def test_model(model: str, expected: str | Unnamed) -> None:
    """The forms zero, zero:<id>, zero/<id> and agent:<id> are ours, in any case; every other name is foreign."""
    assert expected == parse_model(model)


@given(st.sampled_from(["zero:", "zero/", "agent:", "Zero:", "ZERO/", "aGENT:"]), st.text())
def test_what_stands_behind_a_prefix_is_kept(prefix: str, name: str) -> None:
    """A prefix gives back what stands behind it to the letter, unless that is the alias of the default agent."""
    expected = Unnamed.DEFAULT if name.lower() == "default" else name
    assert expected == parse_model(prefix + name)
