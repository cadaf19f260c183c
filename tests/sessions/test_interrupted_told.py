"""What people and programs are told of a run that ended with its gateway."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.command import ask
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import DONE, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.sessions.place import PostgresqlPlace
from tests.ws.answers import begun, halting
from tests.ws.client import Client, Frame, Refused

KEY = "agent:main:notes"
INTERRUPTED = "its last run was interrupted"
SAID = stream(event(chunk({"role": "assistant", "content": "said"})), event(chunk({}, finish_reason="stop")), DONE)


def ending_of(client: Client, run: str) -> Frame | None:
    """Return how a run ended, if anybody knows it."""
    try:
        ending: Frame = client.call("agent.wait", {"runId": run})
    except Refused:
        return None
    return ending


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_after_a_crash(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """``zero sessions show``, ``sessions.describe`` and ``agent.wait`` tell of it until the session goes on."""
    place = request.getfixturevalue("database") if kind == "postgresql" else None
    setting = place.setting if isinstance(place, PostgresqlPlace) else "sqlite"
    with FakeUpstream() as upstream:
        config = upstream_configuration(upstream, session={"store": setting})
        with LiveGateway(tmp_path, config) as gateway:
            upstream.play(SAID, halting("Hel", "lo"), SAID)
            with Client(gateway).admitted() as client:
                client.run("one", sessionKey=KEY)
                assert INTERRUPTED not in ask(gateway, "sessions", "show", KEY).stdout
                _, run = begun(client, "two", sessionKey=KEY)
                client.event("agent", runId=run, stream="assistant")
                os.kill(gateway.process.pid, signal.SIGKILL)
                gateway.process.wait()
            gateway.restart()
            with Client(gateway).admitted() as client:
                while (ending := ending_of(client, run)) is None:
                    assert kind == "postgresql", "where the search is in the background"
                assert "error" == ending["status"]
                assert "interrupted" in ending["error"]
                assert ending["startedAt"] < ending["endedAt"]
                assert "killed" == client.call("sessions.describe", {"key": KEY})["session"]["status"]
                shown = ask(gateway, "sessions", "show", KEY).stdout
                assert INTERRUPTED in shown
                assert "two" not in shown
                client.run("three", sessionKey=KEY)
                assert "status" not in client.call("sessions.describe", {"key": KEY})["session"]
                assert INTERRUPTED not in ask(gateway, "sessions", "show", KEY).stdout
            assert 1 == gateway.log.count("was interrupted: its process is gone")
