"""design.md, "Configuration": a mistake in it ends the start with a sentence that says where and what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.doors.refusal import refusal
from tests.live_gateway import configuration

ROOT: Final = Path(__file__).parents[2]
START = '{ gateway: { auth: { token: "t" } }'


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (START + ", agents: { lst: [] } }", ("zero.json: agents.lst: unknown key", 'Did you mean "list"?')),
        ('{ gateway: { auth: { tokn: "t" } } }', ("gateway.auth.tokn: unknown key", 'Did you mean "token"?')),
        ("{\n  gateway: {\n    auth: { token: 't' }\n    port: 1\n  }\n}", ("zero.json:4:5: not JSON5",)),
        ("", ("zero.json: is empty",)),
        ("[]", ("the document is not an object",)),
        ('{ gateway: { port: "18789" } }', ("gateway.port: expected a whole number", "without quotes")),
        ('{ gateway: { http: { endpoints: { chatCompletions: { enabled: "yes" } } } } }',
         ("gateway.http.endpoints.chatCompletions.enabled: expected true or false",)),
        (START + ', agents: { list: [{ id: "main", model: "ekho/echo" }] } }',
         ("agents.list[0].model", 'Did you mean "echo"?')),
        (START + ', agents: { list: [{ id: "a", default: true }, { id: "b", default: true }] } }',
         ("agents.list[1].default", "agents.list[0] is the default")),
        (START + ', agents: { list: [{ id: "not an id" }] } }', ("agents.list[0].id",)),
        (START + ', agents: { list: [{ id: "Main" }, { id: "main" }] } }', ("agents.list[1].id", "agents.list[0]")),
        (START + ', agents: { defaults: { systemPrompt: "${NOT_SET}" } } }', ("agents.defaults", "NOT_SET")),
        ('{ "$include": "zero.json" }', ("zero.json",)),
        ('{ "$include": "missing.json5" }', ("missing.json5",)),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_ends_the_start_cleanly(
    tmp_path: Path, config: str, words: tuple[str, ...]
) -> None:
    """Exit code 1, one line that names the file, the place, what is wrong and what to do; no traceback."""
    said = refusal(tmp_path, config)
    assert said.startswith("zero: ")
    assert said.count("\n") == 1
    assert [word for word in words if word not in said] == []


def test_a_missing_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    """Without a configuration file, the start ends and says how to make one."""
    said = refusal(tmp_path, None)
    assert "zero.json: does not exist" in said
    assert "zero init" in said


def test_the_place_of_the_configuration_must_be_known(tmp_path: Path) -> None:
    """Without ZERO_CONFIG_PATH and HOME there is no place to look, and the start says so."""
    said = refusal(tmp_path, None, {"ZERO_CONFIG_PATH": "", "HOME": ""})
    assert "ZERO_CONFIG_PATH" in said


def test_the_sentence_holds_no_secret(tmp_path: Path) -> None:
    """A secret that stands next to the mistake, or is the mistake, isn't printed."""
    config = configuration()
    config["gateway"]["auth"] = {"token": "sekret-4711", "passwort": "sekret-4712"}
    config["models"] = {"providers": {"x": {"baseUrl": "http://u:sekret-4713@h/v1", "apiKey": "sekret-4714\n"}}}
    assert "sekret" not in refusal(tmp_path, json.dumps(config))
    del config["gateway"]["auth"]["passwort"]
    assert "sekret" not in refusal(tmp_path, json.dumps(config))
    config["gateway"]["auth"]["token"] = " sekret-4715"
    assert "sekret" not in refusal(tmp_path, json.dumps(config))


def test_what_the_gateway_does_not_use_is_not_imported(tmp_path: Path) -> None:
    """Litestar would import pydantic wherever it is installed, and with it some 8 MiB and a tenth of a second."""
    file = tmp_path / "zero.json"
    file.write_text(START + " }")
    program = "import sys, app; app.gateway; print('litestar' in sys.modules, 'pydantic' in sys.modules)"
    environ = {**os.environ, "ZERO_CONFIG_PATH": str(file), "ZERO_STATE_DIR": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ["True", "False"] == done.stdout.split()
