"""The issue's own words: ``zero agent --message oi`` prints the local model's answer as it is generated."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import json5
import pytest

from tests.cli.command import ask, begun
from tests.live_gateway import TOKEN, LiveGateway

EXAMPLE = Path(__file__).parents[2] / "examples" / "zero.json5"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """The configuration that `make run` serves."""
    config = json5.loads(EXAMPLE.read_text())
    with LiveGateway(tmp_path_factory.mktemp("oi"), config, environ={"ZERO_GATEWAY_TOKEN": TOKEN}) as gateway:
        yield gateway


def test_oi(example: LiveGateway) -> None:
    """Text comes in many pieces; with a key the run shows in ``zero sessions list``, without one it doesn't."""
    pieces: list[bytes] = []
    with begun(example, "agent", "--message", "oi", "--session-key", "k", ZERO_GATEWAY_TOKEN=TOKEN) as process:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 65536):
            pieces.append(piece)
        process.wait(60)
    plain = ask(example, "agent", "--message", "oi", "--timeout", "60", ZERO_GATEWAY_TOKEN=TOKEN)
    listed = json.loads(ask(example, "sessions", "list", "--json", ZERO_GATEWAY_TOKEN=TOKEN).stdout)

    assert (0, 0) == (process.returncode, plain.returncode)
    assert len(pieces) > 3
    assert b"".join(pieces).strip() not in (b"", b"oi")
    assert ["agent:main:k"] == [row["key"] for row in listed["sessions"]]
