"""The last run's place in docs/performance.md: between two marks, everything else is written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- the last run: written by make bench-publish -->"
END: Final = "<!-- end of the last run -->"


def publish(markdown: str, document: Path) -> None:
    """Put a report between the marks.

    Raises:
        ValueError: If the document doesn't have the marks.
    """
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document.name} has no place for the last run")
    document.write_text(f"{before}{BEGIN}\n\n{markdown.strip()}\n\n{END}{after}")
