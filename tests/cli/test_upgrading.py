"""``zero doctor --from`` and ``zero config schema``, as docs/upgrading.md and docs/configuration-keys.md show them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.command import ZERO, environ, zero
from tests.documents import ROOT, fenced

OTHER = """\
// As OpenClaw 2026.9 writes it.
{
  gateway: { port: 18789, auth: { token: { source: "env", provider: "default", id: "GATEWAY_TOKEN" } } },
  channels: { telegram: { botToken: "a secret" } },
  models: { providers: { mock: { baseUrl: "http://127.0.0.1:1/v1" } } },
  agents: { entries: { main: {} } },
}
"""


def in_shell(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a document in a shell whose ``zero`` is this one."""
    variables = environ(home, PATH=f"{ZERO.parent}:/usr/bin:/bin")
    return subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_what_the_document_shows(tmp_path: Path) -> None:
    """The command and its output are those of docs/upgrading.md, and nothing is written."""
    (tmp_path / ".openclaw").mkdir()
    (tmp_path / ".openclaw" / "openclaw.json").write_text(OTHER)
    [command] = fenced(ROOT / "docs" / "upgrading.md", "bash")
    [shown] = fenced(ROOT / "docs" / "upgrading.md", "text")
    done = in_shell(tmp_path, command.text)
    assert (0, shown.text, "") == (done.returncode, done.stdout, done.stderr)
    assert [".openclaw"] == [each.name for each in tmp_path.iterdir()]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is an error, by name."""
    done = zero(tmp_path, "doctor", "--from", str(tmp_path / "nothing.json"))
    assert (1, "") == (done.returncode, done.stdout)
    assert f"{tmp_path / 'nothing.json'}: does not exist" in done.stderr


def test_the_schema_is_printed(tmp_path: Path) -> None:
    """The command of docs/configuration-keys.md leaves the schema beside zero.json."""
    [command] = fenced(ROOT / "docs" / "configuration-keys.md", "bash")
    (tmp_path / ".zero").mkdir()
    assert 0 == in_shell(tmp_path, command.text).returncode
    written = (tmp_path / ".zero" / "zero.schema.json").read_text()
    assert json.loads((ROOT / "contracts" / "zero.schema.json").read_text()) == json.loads(written)
