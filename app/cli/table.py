"""Rows in aligned columns, and the single words in them: times, spans, safe texts.

Pure but for the clock it is given; knows nothing of what the rows are about.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime

import click

_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without lines; the heads are styled, the last column is not padded.

    Args:
        heads: The columns' names.
        rows: The cells, as many in each row as there are heads; control characters are left out.
    """
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(heads, *cells, strict=True)]
    lines = [_line(heads, widths, style=True), *(_line(row, widths) for row in cells)]
    return "\n".join(lines)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names and values, a line for each, the values aligned."""
    longest = max(width(name) for name, _ in pairs)
    return "\n".join(
        f"{click.style(name, bold=True)}{' ' * (longest - width(name))}  {printable(value)}" for name, value in pairs
    )


def printable(text: str) -> str:
    """Return a text without what a terminal would take for a command; line ends and tabs stay."""
    return "".join(
        character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    )


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: ``3 h``."""
    size, unit = next(((size, unit) for size, unit in _SPANS if seconds >= size), _SPANS[-1])
    return f"{int(max(seconds, 0) // size)} {unit}"


def moment(milliseconds: int | None) -> str:
    """Return a point in time, given since 1970, in the local time zone."""
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _line(cells: Sequence[str], widths: Sequence[int], *, style: bool = False) -> str:
    padded = [
        (click.style(cell, bold=True) if style and cell else cell) + " " * (columns - width(cell))
        for cell, columns in zip(cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()
