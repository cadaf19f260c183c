"""The programs in docs/clients run as they stand, but for the port, against the model that `make run` serves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import json5
import pytest

from tests.documents import ROOT, fenced
from tests.live_gateway import TOKEN, LiveGateway
from tests.npm import OPENAI, node_modules

WRITTEN = "http://127.0.0.1:18789"
RECIPES = ROOT / "docs" / "clients"
SECONDS = 100


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """The example configuration, whose default agent is the local model."""
    config = json5.loads((ROOT / "examples" / "zero.json5").read_text())
    with LiveGateway(tmp_path_factory.mktemp("recipes"), config, environ={"ZERO_GATEWAY_TOKEN": TOKEN}) as gateway:
        yield gateway


def program(document: str, language: str, served: LiveGateway) -> str:
    """Return the one program of a recipe, for the port of this test."""
    [block] = fenced(RECIPES / document, language)
    assert WRITTEN in block.text
    return block.text.replace(WRITTEN, served.url)


def output(folder: Path, *command: str) -> list[str]:
    """Run a program that must succeed, and return the lines it prints."""
    environ = {**os.environ, "ZERO_GATEWAY_TOKEN": TOKEN}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_openai_python(served: LiveGateway, tmp_path: Path) -> None:
    """The agents, an answer and a streamed answer."""
    file = tmp_path / "recipe.py"
    file.write_text(program("openai-python.md", "python", served))
    lines = output(tmp_path, sys.executable, str(file))
    assert ["zero", "zero:main", "zero:beta", "zero:echo"] == lines[:4]
    assert all(any(line.strip() for line in lines[start:]) for start in (4, -1))


@pytest.mark.parametrize("package", OPENAI)
def test_openai_node(served: LiveGateway, package: str) -> None:
    """The agents, an answer and a streamed answer, with each major version."""
    text = program("openai-node.md", "javascript", served)
    folder = node_modules().parent
    file = folder / f"recipe-{package}.mjs"
    file.write_text(text.replace("from 'openai'", f"from '{package}'"))
    lines = output(folder, "node", str(file))
    assert ["zero", "zero:main", "zero:beta", "zero:echo"] == lines[:4]
    assert all(any(line.strip() for line in lines[start:]) for start in (4, -1))


def test_langchain(served: LiveGateway, tmp_path: Path) -> None:
    """Two answers, the second one streamed."""
    file = tmp_path / "recipe.py"
    file.write_text(program("langchain.md", "python", served))
    lines = [line for line in output(tmp_path, sys.executable, str(file)) if line.strip()]
    assert len(lines) >= 2
