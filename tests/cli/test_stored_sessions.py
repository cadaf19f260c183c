"""``zero sessions export``, ``import``, ``branches``, ``restore`` and ``delete --user``."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.command import Terminal, ask, zero
from tests.doors.client import assistant, chat, user
from tests.doors.sessions import KEY
from tests.live_gateway import LiveGateway, configuration

NOTES = "agent:main:notes"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway of the echo engine, with a session of two branches and three of users."""
    with LiveGateway(tmp_path, configuration()) as gateway:
        for turn in ("two", "other"):
            chat(gateway, [user("one"), assistant("one"), user(turn)], headers={KEY: NOTES})
        chat(gateway, user="maria")
        chat(gateway, model="zero:beta", user="maria")
        chat(gateway, user="maria/2")
        yield gateway


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a configuration and no sessions."""
    home = tmp_path_factory.mktemp("empty")
    (home / ".zero").mkdir()
    (home / ".zero" / "zero.json").write_text(json.dumps(configuration()))
    return home


def keys(text: str) -> list[str]:
    """Return the sessions of an export."""
    return [line["session"]["key"] for line in map(json.loads, text.splitlines()) if "session" in line]


def test_round_trip(live: LiveGateway, empty: Path) -> None:
    """What one store exports another takes in; there it verifies, and exports as the same."""
    file = live.folder / "all.jsonl"
    file.write_text("older")
    file.chmod(0o644)
    assert (0, "", "") == _result(ask(live, "sessions", "export", "--all", "--output", str(file)))
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert [file.name] == [one.name for one in live.folder.glob("*.jsonl*")]
    whole = file.read_text()
    assert 4 == len(keys(whole))
    assert whole == ask(live, "sessions", "export", "--all").stdout

    first = zero(empty, "sessions", "import", str(file))
    assert (0, "4 session(s): 4 created; 12 message(s) added.\n", "") == _result(first)
    again = zero(empty, "sessions", "import", "-", "--json", stdin=whole)
    assert [("unchanged", 0)] * 4 == [(one["outcome"], one["added"]) for one in json.loads(again.stdout)]
    assert whole == zero(empty, "sessions", "export", "--all").stdout
    verified = zero(empty, "sessions", "verify")
    assert (0, "4 session(s), 12 message(s), 0 fault(s).\n", "") == _result(verified)
    spoken = zero(empty, "agent", "--local", "--session-key", NOTES, "--message", "three")
    assert (0, "three\n") == (spoken.returncode, spoken.stdout)
    assert 8 == json.loads(zero(empty, "sessions", "branches", "notes", "--json").stdout)[0]["messages"] + 2


def test_export_of_some(live: LiveGateway) -> None:
    """One session, a user's, an agent's; and what there isn't."""
    assert [NOTES] == keys(ask(live, "sessions", "export", "notes").stdout)
    maria = ["agent:beta:openai-user:maria", "agent:main:openai-user:maria"]
    assert maria == sorted(keys(ask(live, "sessions", "export", "--user", "maria").stdout))
    assert maria[:1] == keys(ask(live, "sessions", "export", "--agent", "Beta").stdout)
    assert maria[1:] == keys(ask(live, "sessions", "export", "--user", "maria", "--agent", "main").stdout)
    assert (0, "", "") == _result(ask(live, "sessions", "export", "--user", "nobody"))
    missing = ask(live, "sessions", "export", "nothing", "-o", str(live.folder / "f"))
    assert (1, "") == (missing.returncode, missing.stdout)
    assert "There is no session 'agent:main:nothing'." in missing.stderr
    assert not (live.folder / "f").exists()
    for wrong in ((), ("notes", "--all"), ("notes", "--user", "maria"), ("--all", "--agent", "main")):
        assert 2 == ask(live, "sessions", "export", *wrong).returncode
    assert 1 == ask(live, "sessions", "export", "--all", "-o", str(live.folder / "no" / "f")).returncode


def test_export_through_links_and_into_pipes(live: LiveGateway) -> None:
    """What a link leads to is written and the link stays; a pipe or a device is written to, and not replaced."""
    file, link, pipe = (live.folder / one for one in ("file", "link", "pipe"))
    file.write_text("older")
    link.symlink_to(file)
    assert 0 == ask(live, "sessions", "export", "notes", "-o", str(link)).returncode
    assert (True, [NOTES]) == (link.is_symlink(), keys(file.read_text()))
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        assert 0 == ask(live, "sessions", "export", "notes", "-o", str(pipe)).returncode
        assert [NOTES] == keys(read.result(timeout=20))
    assert pipe.is_fifo()
    assert [NOTES] == keys(ask(live, "sessions", "export", "notes", "-o", "-").stdout)


def test_import_refuses_what_is_not_an_export(live: LiveGateway, empty: Path) -> None:
    """The line is named, and nothing at all is written."""
    file = empty / "file"
    lines = ask(live, "sessions", "export", "--all").stdout.splitlines(keepends=True)
    lines[-1] = lines[-1].replace('"content":"', '"content":"x')
    file.write_text("".join(lines))
    done = zero(empty, "sessions", "import", str(file))
    assert (1, "") == (done.returncode, done.stdout)
    assert f"{file}: line {len(lines)}: the body is not what its digest says." in done.stderr
    assert "0 session(s)" in zero(empty, "sessions", "verify").stdout
    assert "can't be read" in zero(empty, "sessions", "import", str(empty / "nothing")).stderr


def test_branches_and_restore(live: LiveGateway) -> None:
    """The star moves to the branch that is named by the beginning of its id, and the next turn goes on there."""
    shown = ask(live, "sessions", "branches", "notes").stdout.splitlines()
    assert ["", "BRANCH", "MESSAGES", "CHANGED", "ENDS", "WITH"] == ["", *shown[0].split()]
    assert ["*", "other"] == [shown[1].split()[0], shown[1].split()[-1]]
    old = shown[2].split()
    assert ("4", "two") == (old[1], old[-1])
    done = ask(live, "sessions", "restore", "notes", old[0][:8])
    assert (0, f"{NOTES} goes on from {old[0]}, with 4 message(s).\n", "") == _result(done)
    assert "two" == ask(live, "sessions", "branches", NOTES).stdout.splitlines()[1].split()[-1]
    chat(live, "three", headers={KEY: NOTES})
    listed = json.loads(ask(live, "sessions", "branches", "notes", "--json").stdout)
    assert [(True, 6), (False, 4)] == [(branch["active"], branch["messages"]) for branch in listed]
    for branch, words in [("zz", "No branch begins"), ("sha256:", "2 branches begin"), ("", "2 branches begin")]:
        refused = ask(live, "sessions", "restore", "notes", branch)
        assert 1 == refused.returncode
        assert words in refused.stderr
    assert "There is no session" in ask(live, "sessions", "branches", "nothing").stderr


def test_delete_a_users_everything(live: LiveGateway) -> None:
    """It says how many and asks; the sessions of that user are gone then, and no others."""
    unasked = ask(live, "sessions", "delete", "--user", "maria")
    assert 2 == unasked.returncode
    assert "--yes" in unasked.stderr
    with Terminal(live, "sessions", "delete", "--user", "maria") as terminal:
        terminal.until("Delete 2 session(s) of maria and everything that was said in them? [y/N]:")
        terminal.type("n\r")
        assert 1 == terminal.end()
    done = ask(live, "sessions", "delete", "--user", "maria", "--yes", "--json")
    found = {"user": "maria", "deleted": ["agent:beta:openai-user:maria", "agent:main:openai-user:maria"]}
    assert found == json.loads(done.stdout)
    assert [NOTES, "agent:main:openai-user:maria/2"] == sorted(keys(ask(live, "sessions", "export", "--all").stdout))
    again = ask(live, "sessions", "delete", "--user", "maria", "--yes")
    assert (0, "0 session(s) of maria are deleted.\n", "") == _result(again)
    for wrong in ((), ("notes", "--user", "maria"), ("--user", "")):
        assert 2 == ask(live, "sessions", "delete", *wrong, "--yes").returncode


def _result(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr
