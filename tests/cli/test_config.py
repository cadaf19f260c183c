"""``zero config`` and ``zero agents add``: edits that keep comments and never leave a broken file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import json5
import pytest

from app.config.sole_editor import sole_editor
from tests.cli.command import ZERO, ask, environ, zero
from tests.live_gateway import LiveGateway

TEXT = """\
// Mine, with care.
{
  gateway: {
    auth: { token: "s3cret" }, // keep this
  },
  agents: {
    list: [
      { id: "main", model: "echo/echo", default: true }, /* the first */
    ],
  },
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with comments, for its owner's eyes only."""
    path = tmp_path / ".zero" / "zero.json"
    path.parent.mkdir()
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


class TestGet:
    """``zero config get``."""

    @pytest.mark.parametrize(
        ("path", "printed"),
        [
            ("agents.defaults.timeoutSeconds", "600.0\n"),
            ("agents.list[0].model", "echo/echo\n"),
            ("gateway.bind", "loopback\n"),
            ("gateway.auth.token", "***\n"),
            ("gateway.port", "null\n"),
            ("gateway.trustedProxies", "[]\n"),
        ],
    )
    def test_prints_what_is_in_force(self, file: Path, tmp_path: Path, path: str, printed: str) -> None:
        """Defaults are shown, secrets are not."""
        assert printed == zero(tmp_path, "config", "get", path).stdout

    def test_shows_secrets_when_asked(self, file: Path, tmp_path: Path) -> None:
        """One at a time, or all of them."""
        assert "s3cret\n" == zero(tmp_path, "config", "get", "gateway.auth.token", "--show-secrets").stdout
        everything = json.loads(zero(tmp_path, "config", "get").stdout)
        assert "***" == everything["gateway"]["auth"]["token"]
        assert "s3cret" not in zero(tmp_path, "config", "get", "--json").stdout

    def test_json_has_quotes(self, file: Path, tmp_path: Path) -> None:
        """A program reads any value the same way."""
        assert '"echo/echo"\n' == zero(tmp_path, "config", "get", "agents.list[0].model", "--json").stdout

    @pytest.mark.parametrize(
        ("path", "code", "word"),
        [
            ("gateway.prt", 1, 'Did you mean "port"?'),
            ("agents.list[4]", 1, "1 entries"),
            ("gateway..port", 2, "not a path"),
        ],
    )
    def test_refuses_what_is_not_there(self, file: Path, tmp_path: Path, path: str, code: int, word: str) -> None:
        """With the nearest word there is."""
        done = zero(tmp_path, "config", "get", path)

        assert code == done.returncode
        assert word in done.stderr


class TestSet:
    """``zero config set``."""

    def test_keeps_comments_layout_and_mode(self, file: Path, tmp_path: Path) -> None:
        """Nothing but the value is different."""
        assert 0 == zero(tmp_path, "config", "set", "gateway.auth.token", "'new'").returncode
        assert 0 == zero(tmp_path, "config", "set", "agents.defaults.timeoutSeconds", "5").returncode

        expected = TEXT.replace('"s3cret"', '"new"')
        expected = expected.replace("    ],\n  },\n", "    ],\n    defaults: { timeoutSeconds: 5 },\n  },\n")
        assert expected == file.read_text()
        assert 0o640 == stat.S_IMODE(file.stat().st_mode)
        assert [file] == list(file.parent.iterdir())

    def test_a_text_without_quotes(self, file: Path, tmp_path: Path) -> None:
        """``--text`` takes it as it is, ``-`` from stdin, so that a secret needn't be on the command line."""
        done = zero(tmp_path, "config", "set", "--text", "gateway.auth.token", "-", stdin="from a pipe\n")

        assert 0 == done.returncode, done.stderr
        assert "from a pipe" == json5.loads(file.read_text())["gateway"]["auth"]["token"]
        assert "from a pipe" not in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "code", "word"),
        [
            (("gateway.port", "70000"), 1, "from 1 to 65535"),
            (("gateway.prt", "1"), 1, 'Did you mean "port"?'),
            (("agents.list[0].model", "'nope'"), 1, "provider/model"),
            (("agents.list[3].model", "'echo/echo'"), 1, "1 entries"),
            (("agents.list", "[]"), 1, "comments inside"),
            (("gateway.auth.token.x", "1"), 1, "not an object"),
            (("gateway.bind", "lan"), 2, "--text"),
        ],
    )
    def test_writes_nothing_wrong(
        self, file: Path, tmp_path: Path, arguments: tuple[str, str], code: int, word: str
    ) -> None:
        """What wouldn't be valid, or would cost a comment, is refused, and the file stays as it is."""
        file.write_text(TEXT.replace("list: [\n", "list: [ // all of them\n"))
        before = file.read_text()
        done = zero(tmp_path, "config", "set", *arguments)

        assert code == done.returncode
        assert word in done.stderr
        assert "s3cret" not in done.stderr
        assert before == file.read_text()

    def test_mends_what_is_wrong(self, file: Path, tmp_path: Path) -> None:
        """A file that isn't valid now may be made so."""
        file.write_text("{ gateway: { port: 'x', auth: { token: 't' } } }")
        done = zero(tmp_path, "config", "set", "gateway.port", "18790")

        assert 0 == done.returncode, done.stderr
        assert "{ gateway: { port: 18790, auth: { token: 't' } } }" == file.read_text()

    def test_follows_a_link(self, file: Path, tmp_path: Path) -> None:
        """A link to a file kept elsewhere stays a link."""
        real = tmp_path / "kept-elsewhere.json5"
        file.rename(real)
        file.symlink_to(real)
        zero(tmp_path, "config", "set", "gateway.port", "18790")

        assert file.is_symlink()
        assert 18790 == json5.loads(real.read_text())["gateway"]["port"]

    def test_keeps_the_owner(self, file: Path, tmp_path: Path) -> None:
        """What an administrator changes can still be read by the user that the gateway runs as."""
        owner = 1234 if os.geteuid() == 0 else os.geteuid()
        os.chown(file, owner, -1)
        zero(tmp_path, "config", "set", "gateway.port", "18790")

        assert (owner, 18790) == (file.stat().st_uid, json5.loads(file.read_text())["gateway"]["port"])

    def test_a_value_that_is_not_text(self, file: Path, tmp_path: Path) -> None:
        """Bytes from a pipe that aren't UTF-8 are a wrong command line."""
        done = subprocess.run(
            [ZERO, "config", "set", "--text", "gateway.auth.token", "-"],
            env=environ(tmp_path),
            input=b"\xff",
            capture_output=True,
            timeout=60,
            check=False,
        )

        assert (2, TEXT) == (done.returncode, file.read_text())
        assert b"stdin is not UTF-8" in done.stderr

    def test_does_not_hide_an_included_list(self, file: Path, tmp_path: Path) -> None:
        """A list in this file would take the place of the one in the other; objects merge, so they may be written."""
        file.with_name("agents.json5").write_text("{ list: [{ id: 'a' }], defaults: { maxConcurrent: 1 } }")
        file.write_text("{ agents: { $include: './agents.json5' } }")
        refused = zero(tmp_path, "agents", "add", "b", "--model", "echo/echo")
        done = zero(tmp_path, "config", "set", "agents.defaults.maxConcurrent", "2")

        assert (1, 0) == (refused.returncode, done.returncode)
        assert "agents.json5, which is included" in refused.stderr
        assert "2\n" == zero(tmp_path, "config", "get", "agents.defaults.maxConcurrent").stdout


class TestSeveralAtOnce:
    """Commands that change one file at the same moment: none writes over what another has written."""

    def test_every_key_is_there(self, file: Path, tmp_path: Path) -> None:
        """Twenty processes, some through a link to the file."""
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "elsewhere" / "link.json"
        link.symlink_to(file)
        processes = [
            subprocess.Popen(
                [ZERO, "config", "set", f"models.providers.p{number}.baseUrl", f"'http://127.0.0.1:{number + 1}/v1'"],
                env=environ(tmp_path, ZERO_CONFIG_PATH=str(link if number % 2 else file)),
                stdout=subprocess.DEVNULL,
            )
            for number in range(20)
        ]
        codes = [process.wait(120) for process in processes]

        assert [0] * 20 == codes
        assert {f"p{number}" for number in range(20)} == set(json5.loads(file.read_text())["models"]["providers"])
        assert [file] == list(file.parent.iterdir())
        assert link.is_symlink()

    def test_every_agent_is_there(self, file: Path, tmp_path: Path) -> None:
        """Each has an entry of its own, and of two with one name only one is added."""
        names = [f"a{number // 2}" for number in range(12)]
        processes = [
            subprocess.Popen(
                [ZERO, "agents", "add", name, "--model", "echo/echo"],
                env=environ(tmp_path),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in names
        ]
        codes = [process.wait(120) for process in processes]

        assert [0] * 6 + [1] * 6 == sorted(codes)
        listed = [agent["id"] for agent in json5.loads(file.read_text())["agents"]["list"]]
        assert ["main", *sorted(set(names))] == [listed[0], *sorted(listed[1:])]

    def test_a_new_beginning_waits_for_its_turn(self, file: Path, tmp_path: Path) -> None:
        """``zero init --force``: what another command has just read isn't written over the new token afterwards."""
        with sole_editor(file):
            beginning = subprocess.Popen([ZERO, "init", "--force"], env=environ(tmp_path), stdout=subprocess.DEVNULL)
            with pytest.raises(subprocess.TimeoutExpired):
                beginning.wait(2)
            assert TEXT == file.read_text()

        assert 0 == beginning.wait(60)
        assert TEXT != file.read_text()


class TestValidate:
    """``zero config validate``."""

    def test_says_that_all_is_well(self, file: Path, tmp_path: Path) -> None:
        """The file in force, or the one that is named."""
        assert f"{file} is valid" in zero(tmp_path, "config", "validate").stdout
        assert 0 == zero(tmp_path, "config", "validate", str(file)).returncode

    def test_says_what_is_wrong(self, tmp_path: Path) -> None:
        """The place and the nearest word."""
        path = tmp_path / "draft.json5"
        path.write_text("{ gatway: {} }")
        done = zero(tmp_path, "config", "validate", str(path))

        assert 1 == done.returncode
        assert f'Error: {path}: gatway: unknown key. Did you mean "gateway"?\n' == done.stderr


class TestAddAgent:
    """``zero agents add``."""

    def test_adds_to_the_list_and_keeps_comments(self, file: Path, tmp_path: Path) -> None:
        """Texts are taken as they stand, also where they look like a variable."""
        options = ("--model", "echo/echo", "--name", "The ${NEW} one", "--system-prompt", 'Say "Arrr!"')
        done = zero(tmp_path, "agents", "add", "Beta", *options)

        assert 0 == done.returncode, done.stderr
        entry = '{ id: "Beta", model: "echo/echo", name: "The $${NEW} one", systemPrompt: "Say \\"Arrr!\\"" },'
        assert TEXT.replace("/* the first */\n", f"/* the first */\n      {entry}\n") == file.read_text()
        assert "The ${NEW} one" in zero(tmp_path, "agents", "list", "--local").stdout

    def test_can_make_it_the_default(self, file: Path, tmp_path: Path) -> None:
        """Which the other one then isn't any more."""
        done = zero(tmp_path, "agents", "add", "beta", "--model", "echo/echo", "--default")

        assert "The default agent is beta now." in done.stdout
        assert "beta" == json.loads(zero(tmp_path, "agents", "list", "--local", "--json").stdout)["defaultId"]

    def test_says_what_becomes_of_the_implied_one(self, file: Path, tmp_path: Path) -> None:
        """Without a list there was ``main``."""
        file.write_text("{}")
        done = zero(tmp_path, "agents", "add", "beta", "--model", "echo/echo")

        assert '{ agents: { list: [{ id: "beta", model: "echo/echo" }] } }' == file.read_text()
        assert "main was there because no other agent was" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("MAIN", "--model", "echo/echo"), "already"),
            (("b c", "--model", "echo/echo"), "not an agent's id"),
            (("beta", "--model", "ehco/echo"), 'Did you mean "echo"?'),
        ],
    )
    def test_writes_nothing_wrong(self, file: Path, tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
        """The file stays as it is."""
        done = zero(tmp_path, "agents", "add", *arguments)

        assert 1 == done.returncode
        assert word in done.stderr
        assert TEXT == file.read_text()

    def test_a_running_gateway_takes_it_over(self, start_gateway: Callable[[], LiveGateway]) -> None:
        """Without a restart."""
        own = start_gateway()
        assert 0 == ask(own, "agents", "add", "gamma", "--model", "echo/echo").returncode
        for _ in range(100):
            done = ask(own, "agent", "--agent", "gamma", "--message", "hi")
            if not done.returncode:
                break

        assert "hi\n" == done.stdout
