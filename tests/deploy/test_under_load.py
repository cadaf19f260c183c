"""Restarts and edits while 16 clients ask: no request is lost, and no answer is half of one and half of another."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.replicas import SECONDS, WORDS, Load, Replica, behind_nginx
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import DONE, Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, configuration, merged
from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PostgresqlServer


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresqlPlace]:
    """A database for the replicas."""
    with PostgresqlServer() as server:
        yield PostgresqlPlace(server)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A service that says one word, and the rest when it is told to."""
    role, one, *rest = words("one", " two")
    with FakeUpstream() as service:
        service.play(stream(role, one, Pause(), *rest, DONE))
        yield service


def begun(port: int) -> http.client.HTTPConnection:
    """Begin a stream that waits for its upstream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    body = {"model": "zero:main", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process each", "two workers each"])
def test_a_rolling_restart(
    tmp_path: Path, database: PostgresqlPlace, upstream: FakeUpstream, arguments: tuple[str, ...]
) -> None:
    """Two replicas behind nginx, restarted in turn: every answer is whole, and so are the streams under way."""
    config = merged(
        upstream_configuration(upstream, session={"store": database.setting}),
        {"gateway": {"trustedProxies": ["127.0.0.1"], "logs": {"access": True}}},
    )
    with behind_nginx(tmp_path, [config, config], *arguments) as (port, replicas), Load(port, "zero:echo") as load:
        for number, replica in enumerate(replicas):
            load.more(50)
            streams = [begun(port) for _ in range(4)]
            upstream.wait(4 * number + 4)
            exchanges = upstream.exchanges[-4:]
            replica.terminate()
            load.more(100)
            for exchange in exchanges:
                exchange.release()
            for one in streams:
                with closing(one):
                    assert one.getresponse().read().endswith(DONE)
            assert 0 == replica.ended()
            load.more(50)
            replica.start()
            load.more(50)
    assert [] == load.faults
    assert {WORDS} == {one.text for one in load.answers}
    assert len({one.revision for one in load.answers}) == 1
    assert all("POST /v1/chat/completions" in replica.log for replica in replicas)


def test_edits(tmp_path: Path) -> None:
    """Ten of them: all is answered, each answer by one of the revisions alone, the one that its header names."""

    def numbered(number: int) -> dict[str, Any]:
        return {**configuration(), "agents": {"list": [{"id": f"agent-{number}"}]}}

    replica = Replica(tmp_path / "replica", numbered(0))
    try:
        with Load(replica.port) as load:
            for number in range(1, 11):
                load.more(20)
                new = replica.config_file.with_suffix(".new")
                new.write_text(json.dumps(numbered(number)))
                new.replace(replica.config_file)
                deadline = time.monotonic() + SECONDS
                while load.answers[-1].agent != f"agent-{number}":
                    assert time.monotonic() < deadline, "the edit is not applied"
                    time.sleep(0.01)
    finally:
        replica.stop()
    assert [] == load.faults
    assert {WORDS} == {one.text for one in load.answers}
    found = {(one.revision, one.agent) for one in load.answers}
    assert {f"agent-{number}" for number in range(11)} == {agent for _, agent in found}
    assert len({revision for revision, _ in found}) == len(found) == 11
    assert "Traceback" not in replica.log
