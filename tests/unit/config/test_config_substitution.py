"""Variables in strings."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.config.error import RuleError
from app.config.json_value import JsonObject
from app.config.substitution import escape, substitute

ENVIRON = {"A": "1", "B_2": "two", "_C": "${A}", "EMPTY": "", "lower": "no", "DOLLAR": "$"}
TEXT = st.one_of(st.text(), st.text("$${}AB_2a ", max_size=12))
quick = settings(max_examples=200, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("x${A}y${B_2}z", "x1ytwoz"),
        ("${A}${A}", "11"),
        ("${_C}", "${A}"),
        ("${DOLLAR}{A}", "${A}"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$${A}${A}", "${A}1"),
        ("$${NOT_SET}", "${NOT_SET}"),
        ("$A", "$A"),
        ("${lower}", "${lower}"),
        ("${A", "${A"),
        ("${}", "${}"),
        ("${1A}", "${1A}"),
        ("${A B}", "${A B}"),
        ("${ A}", "${ A}"),
        ("${A\n}", "${A\n}"),
        ("${É}", "${É}"),
        ("${${A}}", "${1}"),
        ("", ""),
        ("$", "$"),
        ("cost: $$5", "cost: $$5"),
    ],
)
def test_text_is_substituted(text: str, expected: str) -> None:
    """A variable is replaced once, an escaped one loses its extra dollar, anything else stays."""
    assert {"k": expected} == substitute({"k": text}, ENVIRON)


def test_values_anywhere_and_keys_nowhere() -> None:
    """Strings in objects and lists are substituted; keys and other values are not."""
    tree: JsonObject = {"${A}": {"x": ["${A}", {"y": "${B_2}"}]}, "n": 1, "f": 0.5, "t": True, "z": None}
    assert substitute(tree, ENVIRON) == {
        "${A}": {"x": ["1", {"y": "two"}]},
        "n": 1,
        "f": 0.5,
        "t": True,
        "z": None,
    }
    assert tree["${A}"] == {"x": ["${A}", {"y": "${B_2}"}]}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"gateway": {"auth": {"token": "${MISSING}"}}},
            (
                "gateway.auth.token: the environment variable MISSING is not set. "
                "Set MISSING, or write $${MISSING} to mean the text itself."
            ),
        ),
        (
            {"l": ["${A}", "sk-secret-${EMPTY}"]},
            "l[1]: the environment variable EMPTY is empty. Set EMPTY, or write $${EMPTY} to mean the text itself.",
        ),
    ],
)
def test_a_missing_or_empty_variable_is_refused(tree: JsonObject, message: str) -> None:
    """The error names the place and the variable, and nothing of the text around it."""
    with pytest.raises(RuleError) as caught:
        substitute(tree, ENVIRON)
    assert message == str(caught.value)


@quick
@given(TEXT)
def test_an_escaped_text_comes_back(text: str) -> None:
    """Escaping and substituting gives the text itself, whatever it holds."""
    assert {"k": text} == substitute({"k": escape(text)}, {})


@quick
@given(TEXT)
def test_text_without_a_variable_stays(text: str) -> None:
    """Text without a dollar and brace is untouched, however often it is substituted."""
    assume("${" not in text)
    assert {"k": text} == substitute({"k": text}, {}) == substitute(substitute({"k": text}, {}), {})


@quick
@given(TEXT.filter(bool), TEXT.filter(lambda text: not text.endswith("$")), TEXT)
def test_a_value_comes_in_as_it_is(value: str, before: str, after: str) -> None:
    """Nothing in a variable's value is special."""
    assert {"k": before + value + after} == substitute({"k": escape(before) + "${V}" + escape(after)}, {"V": value})
