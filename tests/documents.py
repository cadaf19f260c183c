"""The documents as tests see them: their files, their fenced blocks, their links and headings.

Reads Markdown by line, as far as these documents use it. Knows nothing of what the documents say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent

_FENCE: Final = re.compile(r"```(\w*)")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"#{1,6} (.+)")
_INLINE_CODE: Final = re.compile(r"`[^`]*`")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of its fence, counted from 1."""

    language: str
    text: str
    line: int


def documents() -> list[Path]:
    """Return every document: at the top of the repository, in docs/ and below."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def fenced(document: Path, language: str) -> list[Block]:
    """Return the fenced blocks of one language."""
    return [block for block in _blocks(document.read_text()) if block.language == language]


def links(document: Path) -> Iterator[str]:
    """Yield the targets of a document's links, those in code left out."""
    for line in _prose(document.read_text()):
        yield from _LINK.findall(_INLINE_CODE.sub("", line))


def anchors(document: Path) -> set[str]:
    """Return the names under which a document's headings can be linked to, as GitHub makes them."""
    found = (_HEADING.fullmatch(line) for line in _prose(document.read_text()))
    return {_anchor(match[1]) for match in found if match}


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, heads and rulers included."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in _prose(text) if line.startswith("|")]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _prose(text: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield line


def _blocks(text: str) -> Iterator[Block]:
    language: str | None = None
    begun = 0
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if language is None:
            if fence := _FENCE.match(line):
                language, begun, lines = fence[1], number, []
        elif line.startswith("```"):
            yield Block(language, "\n".join(lines) + "\n", begun)
            language = None
        else:
            lines.append(line)
