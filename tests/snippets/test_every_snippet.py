"""No block of code stands in a document that nobody tries."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.documents import ROOT
from tests.snippets.snippet import Snippet, Way, all_snippets, found, snippets

REASONS: Final = 13
"""Blocks that may be left untried. Raise it only if there is no way to try one more."""


def named(way: Way) -> list[object]:
    """Return the blocks that are tried in a way, by names that pytest can show."""
    return [pytest.param(each, id=each.name) for each in snippets(way)]


def reader(test: Path) -> str:
    """Return the text of a test and of the modules of the tests that it imports."""
    text = test.read_text(encoding="utf-8")
    modules = re.findall(r"^from (tests\.[\w.]+) import", text, re.MULTILINE)
    files = [ROOT / f"{module.replace('.', '/')}.py" for module in modules]
    return text + "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in all_snippets()])
def test_is_tried_or_says_why_not(snippet: Snippet) -> None:
    """A new block is tried by what it is, or has a comment before it."""
    assert snippet.way is not None, "say before it: <!-- run by tests/... --> or <!-- not run: why -->"


@pytest.mark.parametrize("snippet", named(Way.ELSEWHERE))
def test_the_test_that_it_names_reads_it(snippet: Snippet) -> None:
    """The file is there, and takes the block from the page, or has it word for word."""
    text = reader(ROOT / snippet.mark)
    reads = Path(snippet.page).name in text and "fenced" in text
    assert reads or snippet.text in text


@pytest.mark.parametrize("snippet", named(Way.NEVER))
def test_the_reason_is_one(snippet: Snippet) -> None:
    """It says what is missing, and the tests that it names are there."""
    assert len(snippet.mark.split()) > 3
    assert [] == [test for test in re.findall(r"tests/[\w/.]+\w", snippet.mark) if not (ROOT / test).exists()]


@pytest.mark.parametrize("snippet", named(Way.NEVER))
def test_it_could_be_read(snippet: Snippet) -> None:
    """What isn't run is at least a command line, or YAML."""
    if snippet.language == "bash":
        done = subprocess.run(
            ["bash", "-n"], input=snippet.text, capture_output=True, text=True, timeout=20, check=False
        )
        assert (0, "") == (done.returncode, done.stderr)
    elif snippet.language == "yaml":
        assert isinstance(yaml.safe_load(snippet.text), dict)
    else:
        assert snippet.language in {"text", "zsh"}


def test_few_have_a_reason() -> None:
    """What can be tried is."""
    assert len(snippets(Way.NEVER)) <= REASONS


@pytest.mark.parametrize("way", [Way.COMMANDS, Way.PROGRAM, Way.CONFIGURATION, Way.EXCHANGE, Way.EVENTS])
def test_each_way_is_gone(way: Way) -> None:
    """A module of this folder that finds nothing any more would be green for nothing."""
    assert len(snippets(way)) > 1


def test_blocks_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """Fenced or indented, in a list too; a comment counts for the block right behind it only."""
    page = tmp_path / "page.md"
    page.write_text(
        "- a list\n\n  <!-- run by tests/x.py -->\n\n  ```bash\n  true\n  ```\n\n"
        "~~~ toml\na = 1\n~~~\n\nText.\n\n    indented\n\n"
        "<!-- not run: there is none of it here -->\n```js\n1\n```\n"
    )
    assert [
        Snippet("page.md", 5, "bash", "true\n", "tests/x.py", "run by"),
        Snippet("page.md", 9, "toml", "a = 1\n", "", ""),
        Snippet("page.md", 15, "", "indented\n", "", ""),
        Snippet("page.md", 18, "js", "1\n", "there is none of it here", "not run:"),
    ] == found(page)
    assert [Way.ELSEWHERE, None, None, Way.NEVER] == [each.way for each in found(page)]
