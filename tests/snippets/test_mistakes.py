"""The mistakes that docs/configuration.md shows are told in the words that it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from app.config import ConfigError, load
from tests.cli.command import zero
from tests.documents import ROOT, fenced

FILE: Final = "/home/ana/.zero/zero.json"
COMMAND: Final = "$ zero gateway\n"
WRONG: Final[dict[str, Any]] = {
    "gateway.htp": {"gateway": {"htp": {}}},
    "gateway.port": {"gateway": {"port": "18789"}},
    "agents.list[0].model": {"agents": {"list": [{"id": "main", "model": "ehco/echo"}]}},
}
NOT_JSON5: Final = "{ gateway:\n    { port: 18789 1 } }\n"
ONE, OTHERS = (block.text for block in fenced(ROOT / "docs" / "configuration.md", "text"))


def test_what_the_command_says(tmp_path: Path) -> None:
    """The gateway doesn't start, and says this and nothing else."""
    command, _, said = ONE.partition("\n")
    (tmp_path / ".zero").mkdir()
    (tmp_path / ".zero" / "zero.json").write_text(json.dumps(WRONG["gateway.htp"]))
    assert COMMAND.strip() == command
    done = zero(tmp_path, *command.split()[2:])
    assert (1, "", said) == (done.returncode, done.stdout, done.stderr.replace(str(tmp_path), "/home/ana"))


def test_what_is_said_of_others(tmp_path: Path) -> None:
    """Each line of the page, word for word."""
    file = tmp_path / "zero.json"
    texts = [json.dumps(WRONG["gateway.port"]), json.dumps(WRONG["agents.list[0].model"]), NOT_JSON5]
    said = []
    for text in texts:
        file.write_text(text)
        try:
            load(file, {})
        except ConfigError as error:
            said.append(f"Error: {error}".replace(str(file), FILE))
    assert OTHERS.splitlines() == said
