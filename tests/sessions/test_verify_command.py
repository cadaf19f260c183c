"""``zero sessions verify``, on each store."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import zero
from tests.sessions.place import Place, SqlitePlace
from tests.sessions.postgresql_server import PASSWORD
from tests.sessions.talk import KEY, append
from tests.unit.conversation import assistant, user


@pytest.fixture
def home(tmp_path: Path, place: Place) -> Path:
    """A home whose configuration keeps its sessions at the place."""
    folder = tmp_path / ".zero"
    folder.mkdir(mode=0o700)
    (folder / "zero.json").write_text(json.dumps({"session": {"store": place.setting}}))
    if isinstance(place, SqlitePlace):
        place.path = folder / "sessions.sqlite3"
    return tmp_path


def verified(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    done = zero(home, "sessions", "verify", *arguments)
    assert PASSWORD not in done.stdout + done.stderr
    return done


def test_verify(place: Place, home: Path) -> None:
    """What is right is counted; what is not is named, with the exit code 1."""

    async def write() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))

    asyncio.run(write())
    sound = verified(home)
    assert (0, "1 session(s), 2 message(s), 0 fault(s).\n") == (sound.returncode, sound.stdout)
    place.execute("UPDATE messages SET role = 'tool' WHERE role = 'assistant'")
    damaged = verified(home)
    assert 1 == damaged.returncode
    assert damaged.stdout.startswith(f"{KEY}  sha256:")
    assert "1 session(s), 2 message(s), 1 fault(s).\n" in damaged.stdout
    listed = verified(home, "--json")
    assert [1, (1, 2)] == [
        listed.returncode,
        tuple(json.loads(listed.stdout)[name] for name in ("sessions", "messages")),
    ]
    assert [KEY] == [fault["session_key"] for fault in json.loads(listed.stdout)["faults"]]


def test_a_store_that_cannot_be_opened(place: Place, home: Path) -> None:
    """It is an error with words, not a traceback."""

    async def newer() -> None:
        async with place.opened():
            pass
        place.execute("UPDATE schema_version SET version = 999")

    asyncio.run(newer())
    done = verified(home)
    assert 1 == done.returncode
    assert "newer gateway" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_address_is_shown_nowhere(place: Place, home: Path) -> None:
    """``zero config get`` shows that there is one."""
    shown = zero(home, "config", "get", "session.store").stdout
    assert {"sqlite": "sqlite\n"}.get(place.setting, "***\n") == shown
    assert PASSWORD not in zero(home, "config", "get").stdout
