"""What a recipe in `docs/clients/` tells the reader to type, so that a test can type the very same.

Owns how the settings are found in the text. Knows no application.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import json5

from tests.documents import ROOT, fenced


def variables(page: str, heading: str) -> dict[str, str]:
    """Return the environment variables of the first shell block under a heading, as a shell would set them."""
    words = shlex.split(_block(page, heading, "bash"), comments=True)
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def configuration(page: str, heading: str) -> dict[str, object]:
    """Return the gateway's configuration in the first JSON5 block under a heading."""
    found: dict[str, object] = json5.loads(_block(page, heading, "json5"))
    return found


def filled_in(settings: Mapping[str, str], **values: str) -> dict[str, str]:
    """Put a reader's own values where the page has examples.

    Args:
        settings: Environment variables.
        values: What stands there, by the variables whose value it is. Each must be among the settings.

    Raises:
        KeyError: A recipe no longer has such a variable.
    """
    missing = values.keys() - settings.keys()
    if missing:
        raise KeyError(f"the recipe doesn't set {', '.join(sorted(missing))}")
    return {**settings, **values}


def _block(page: str, heading: str, language: str) -> str:
    document = ROOT / "docs" / "clients" / page
    line = 1 + document.read_text(encoding="utf-8").splitlines().index(heading)
    return next(block.text for block in fenced(document, language) if block.line > line)
