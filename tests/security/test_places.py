"""docs/security.md, "Untrusted text": no words of a client become a file's path or a piece of SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.doors.client import ask, chat
from tests.fakes.script import completion, whole
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.client import Client, said

HOSTILE = [
    "../../../../tmp/escaped",
    "/etc/passwd",
    "..%2f..%2fescaped",
    "a'; DROP TABLE sessions; --",
    "a' OR '1'='1",
    'a" OR ""="',
    "%",
    "_",
    "a\\",
    "?1 :name $1 {0} %s",
]


def files(gateway: LiveGateway) -> set[Path]:
    """Return every file around a gateway, whatever is in it."""
    return {path for path in gateway.folder.parent.rglob("*") if path.is_file()}


def tables(gateway: LiveGateway) -> set[str]:
    """Return the names of the store's tables."""
    with closing(sqlite3.connect(gateway.folder / "state" / "sessions.sqlite3")) as store:
        return {name for (name,) in store.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_only_names(served: LiveGateway, upstream: FakeUpstream, text: str) -> None:
    """As session, user, idempotency key, model and search alike: each finds what was put there and nothing else."""
    upstream.play(whole(200, completion("hi")))
    assert 200 == chat(served, "before", headers={"x-zero-session-key": "bystander"}).status
    before = files(served), tables(served)
    key = {"x-zero-session-key": text}
    assert 200 == chat(served, text, model=text, headers={**key, "Idempotency-Key": text}).status
    assert 200 == chat(served, text, user=text).status
    with Client(served).admitted() as client:
        full = f"agent:main:{text}"
        found = client.call("sessions.list", {"search": text, "limit": 100})["sessions"]
        history = client.call("chat.history", {"sessionKey": full})["messages"]
        bystander = client.call("chat.history", {"sessionKey": "agent:main:bystander"})["messages"]
        deleted = client.call("sessions.delete", {"key": full})["deleted"]
        still = client.call("sessions.describe", {"key": "agent:main:bystander"})["session"]
    assert 404 == ask(served, "GET", "/v1/sessions/..%2f..%2fetc%2fpasswd").status

    assert full in [row["key"] for row in found]
    assert "agent:main:bystander" not in [row["key"] for row in found]
    assert [("user", text), ("assistant", "hi")] == [said(message) for message in history]
    assert "before" == said(bystander[0])[1]
    assert deleted
    assert still is not None
    assert before == (files(served), tables(served))
