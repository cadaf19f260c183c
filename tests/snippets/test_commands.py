"""The shell commands of the documents run as they are written, on a machine with a gateway, or on an empty one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.snippets.snippet import Snippet, Way, snippets
from tests.snippets.stage import PORT, Printed, Stage, agents

BEGINS: Final = re.compile(r"zero init|make run")
"""What a reader does who has no configuration yet."""
SERVES: Final = re.compile(r"zero gateway|make run|uvicorn ")
COMMANDS: Final = snippets(Way.COMMANDS)


def parameters(wanted: Callable[[str], bool]) -> list[object]:
    """Return the blocks that are as wanted, by names that pytest can show; those that say the same count as one."""
    different: dict[str, Snippet] = {}
    for each in COMMANDS:
        different.setdefault(each.text, each)
    return [pytest.param(each, id=each.name) for each in different.values() if wanted(each.text)]


def succeeded(done: Printed) -> str:
    """Return what was printed, after every command has succeeded."""
    assert 0 == done.code, done
    assert "Traceback" not in done.err
    return done.out


@pytest.mark.parametrize("snippet", parameters(lambda text: not SERVES.search(text)))
def test_beside_a_gateway(snippet: Snippet, served: Stage) -> None:
    """Every command succeeds where a gateway with the documents' agents runs."""
    out = succeeded(served.run(snippet.text))
    assert out or ">" in snippet.text or "config set" in snippet.text


@pytest.mark.parametrize("snippet", parameters(lambda text: bool(SERVES.search(text))))
def test_that_serve(snippet: Snippet, tmp_path: Path) -> None:
    """A gateway comes of it, and what follows finds it."""
    with Stage(tmp_path, None if BEGINS.search(snippet.text) else agents()) as stage:
        succeeded(stage.run(snippet.text))
        assert '{"status":"ok"}' == succeeded(stage.run(f"curl -sS http://127.0.0.1:{PORT}/healthz"))
