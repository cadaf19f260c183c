"""The gateway protocol's own client, an npm package, against our server: what it needs works, and it says so itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import npm
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.official import Json
from tests.ws.answers import LATE
from tests.ws.contract import METHODS

SCRIPT = Path(__file__).with_name("client.mjs")
KEY = "agent:main:node"


@pytest.fixture(scope="module")
def node() -> str:
    """Where Node is. Without it these tests fail rather than being skipped: real clients are what the door is for."""
    found = shutil.which("node")
    assert found, "node is not on the path. These tests drive an npm package: install Node 20 or newer, with npm."
    return found


def test_the_protocols_own_client(start_gateway: Callable[..., LiveGateway], upstream: FakeUpstream, node: str) -> None:
    """Connect, wrong token, a run with its events, a turn, an abort, an unknown method, and a restarted gateway."""
    upstream.play(LATE, model="slow")
    config = configuration(models={"providers": {"fake": {"baseUrl": upstream.base_url}}})
    config["agents"]["list"].append({"id": "slow", "model": "fake/slow"})
    live = start_gateway(config)
    # From standard input, so that Node looks for the packages where they are installed and not beside the script.
    process = subprocess.Popen(
        [node, "--input-type=module", "--eval", SCRIPT.read_text(), "--", f"ws://127.0.0.1:{live.port}", TOKEN, KEY],
        cwd=npm.node_modules().parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Json] = {}
    try:
        assert process.stdout is not None
        for line in process.stdout:
            facts = json.loads(line)
            told[facts.pop("scenario")] = facts
            if "reconnect-ready" in told and live.process.poll() is None and "reconnect" not in told:
                live.restart()
        errors = process.communicate(timeout=30)[1]
    finally:
        process.kill()
        process.wait()

    assert (0, "") == (process.returncode, errors)
    assert {"protocol": 4, "methods": len(METHODS) - 1} == told["connect"]
    assert 1008 == told["wrong token"]["code"]
    assert "unauthorized: token mismatch" in told["wrong token"]["errors"][0]
    assert {
        "status": "ok",
        "text": "one two three",
        "streams": ["lifecycle", "assistant", "lifecycle"],
        "texts": ["one two three"],
    } == told["agent"]
    assert {"several": True, "cumulative": True, "complete": True} == told["growing"]
    assert {
        "status": "started",
        "states": ["delta", "final"],
        "history": [["user", "one two three"], ["assistant", "one two three"], ["user", "four"], ["assistant", "four"]],
    } == told["chat.send"]
    assert {"aborted": True, "runIds": ["node-abort"]} == told["chat.abort"]
    assert ("INVALID_REQUEST", "unknown method: nonsense") == (
        told["unknown method"]["code"],
        told["unknown method"]["message"],
    )
    assert {"hellos": 2, "code": 1012, "messages": 4, "gaps": 0} == told["reconnect"]
