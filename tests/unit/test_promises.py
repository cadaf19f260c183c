"""docs/hard-to-break.md names a test for each promise, and that test is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.documents import ROOT, rows

PAGE = ROOT / "docs" / "hard-to-break.md"
NAMED = [(promise, test) for promise, test in rows(PAGE.read_text()) if promise != "---" and test != "Test"]
_TEST = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")


def collected(path: str) -> set[str]:
    """Return what pytest collects of a file: ``::function`` and ``::Class::method``."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(f"::{node.name}")
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            methods = (one.name for one in node.body if isinstance(one, ast.FunctionDef))
            found |= {f"::{node.name}::{name}" for name in methods if name.startswith("test_")}
    return found


@pytest.mark.parametrize(("promise", "test"), NAMED, ids=[promise for promise, _ in NAMED])
def test_each_promise_has_its_test(promise: str, test: str) -> None:
    """The file has a test of that name; where a whole file is named, it has some."""
    match = _TEST.fullmatch(test)
    assert match is not None, f"{promise}: {test}"
    found = collected(match[1])
    assert (match[2] in found) if match[2] else found, f"{promise}: {test}"


def test_all_of_the_page_is_looked_at() -> None:
    """The tables are read, and every test that the page names stands in one of them."""
    assert len(NAMED) > 80
    assert len(NAMED) == PAGE.read_text().count("`tests/")
