"""The code blocks of the documents, and how each of them is tried.

A block is tried by what it is, or by what the HTML comment before it says: ``<!-- run by tests/x.py -->`` or
``<!-- not run: the reason -->``. Knows no gateway.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from markdown_it import MarkdownIt

from tests.documents import ROOT, documents

_MARK: Final = re.compile(r"<!-- (?P<how>run by|not run:) (?P<what>.+?) -->\s*")


class Way(Enum):
    """How a block is tried."""

    COMMANDS = "in a shell, test_commands.py"
    PROGRAM = "as a program, test_programs.py"
    CONFIGURATION = "loaded, test_configuration.py"
    EXCHANGE = "sent or compared, test_exchanges.py"
    EVENTS = "compared with what is on the wire, test_events.py"
    ELSEWHERE = "by a test that it names"
    NEVER = "not at all, for a reason that it names"


class Snippet(NamedTuple):
    """A code block.

    Attributes:
        page: Its document, relative to the repository.
        line: Where it begins, counted from 1.
        language: What its fence says.
        text: What is in it.
        mark: What the comment before it says: the test, or the reason.
        how: The comment's verb, or nothing where there is no such comment.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str
    how: str

    @property
    def name(self) -> str:
        """What the block is called in a test's output."""
        return f"{self.page}:{self.line}"

    @property
    def way(self) -> Way | None:
        """How it is tried; nothing if nobody knows."""
        if self.how:
            return Way.ELSEWHERE if self.how == "run by" else Way.NEVER
        if self.language == "text":
            return Way.EVENTS if self.text.startswith(("data: ", ": ")) else None
        return _BY_LANGUAGE.get(self.language)


_BY_LANGUAGE: Final = {
    "bash": Way.COMMANDS,
    "python": Way.PROGRAM,
    "json5": Way.CONFIGURATION,
    "json": Way.EXCHANGE,
}


def snippets(way: Way) -> list[Snippet]:
    """Return the blocks that are tried in a way."""
    return [snippet for snippet in all_snippets() if snippet.way is way]


@cache
def all_snippets() -> list[Snippet]:
    """Return every code block of every document, fenced or indented, in lists and quotations too."""
    return [snippet for document in documents() for snippet in found(document)]


def found(document: Path) -> list[Snippet]:
    """Return the code blocks of a document."""
    page = document.relative_to(ROOT).as_posix() if document.is_relative_to(ROOT) else document.name
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))
    result = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type not in {"fence", "code_block"}:
            continue
        assert token.map is not None, "blocks know their lines"
        mark = _MARK.fullmatch(before.content) if before is not None and before.type == "html_block" else None
        how, what = (mark["how"], mark["what"]) if mark else ("", "")
        result.append(Snippet(page, token.map[0] + 1, token.info.strip(), token.content, what, how))
    return result


@cache
def mentions() -> list[tuple[str, str]]:
    """Return what stands as code in the sentences and tables of the documents, each with its place."""
    result = []
    for document in documents():
        tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))
        for token in tokens:
            for child in token.children or ():
                if child.type == "code_inline":
                    line = token.map[0] + 1 if token.map else 0
                    result.append((f"{document.relative_to(ROOT)}:{line}", child.content))
    return result
