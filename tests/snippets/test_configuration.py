"""The configurations of the documents are ones: whole as they stand, parts of one where they belong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import json5
import pytest

from app.config import load
from tests.live_gateway import merged
from tests.snippets.snippet import Snippet, Way, snippets

WHOLE: Final = "// A whole configuration."
VARIABLES: Final = {"ZERO_SESSION_STORE": "postgresql://zero:password@db.example.com/zero"}
"""Those whose value isn't just any text."""
AROUND: Final[dict[str, Any]] = {
    "gateway": {"http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
    "models": {
        "providers": {
            "openai": {"baseUrl": "https://api.openai.com/v1"},
            "ollama": {"baseUrl": "http://127.0.0.1:11434/v1"},
        }
    },
}
"""What a reader has already, where a page shows a part only."""
BLOCKS: Final = snippets(Way.CONFIGURATION)


def loaded(text: str, folder: Path) -> object:
    """Have the gateway's own loader read a configuration; files that it includes are there, and empty."""
    for name in re.findall(r'"\./([\w.]+)"', text):
        (folder / name).write_text("{}")
    file = folder / "zero.json"
    file.write_text(text)
    variables = {name: VARIABLES.get(name, "value") for name in re.findall(r"\$\{(\w+)\}", text)}
    return load(file, variables).agents


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in BLOCKS])
def test_it_loads(snippet: Snippet, tmp_path: Path) -> None:
    """A reader can start the gateway with it, once its variables are set and what it is a part of is there."""
    whole = snippet.text.startswith(WHOLE)
    text = snippet.text if whole else json.dumps(merged(AROUND, json5.loads(snippet.text)))
    assert loaded(text, tmp_path)


def test_some_are_whole() -> None:
    """The mark that has an example loaded by itself is still the one that the documents use."""
    assert len([block for block in BLOCKS if block.text.startswith(WHOLE)]) > 1
