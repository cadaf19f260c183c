"""The README of a generated package: the example of docs/sdks.md in its language.

The document is tested, so that the README is.
"""

from __future__ import annotations

from contracts.sdks.generator import ROOT

DOCUMENT = ROOT / "docs" / "sdks.md"


def readme(language: str, fence: str) -> str:
    """Compose the README of a package.

    Args:
        language: What the package is written in, for the title.
        fence: What the examples of that language are fenced with in the document.
    """
    examples = "\n".join(f"```{fence}\n{text}```\n" for text in _fenced(fence))
    return f"# ZERO Gateway for {language}\n\nGenerated from the gateway's contract, openapi.yaml.\n\n{examples}"


def _fenced(fence: str) -> list[str]:
    blocks = DOCUMENT.read_text(encoding="utf-8").split(f"\n```{fence}\n")[1:]
    return [block.partition("```\n")[0] for block in blocks]
