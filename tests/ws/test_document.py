"""docs/websocket.md says what is so: its example runs, its tables have every method and event."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Final

from app.ws.begun_runs import MAX_RUN_BYTES, MAX_RUNS
from app.ws.connection import HANDSHAKE_SECONDS, MAX_REQUEST_BYTES, MAX_REQUESTS, TICK_SECONDS
from app.ws.growing_text import REPEATED_CHARS
from app.ws.history_page import PAGE_BYTES
from app.ws.outbox import HIGH_WATER_BYTES, MAX_BUFFERED_BYTES, MAX_FRAME_BYTES, PATIENCE_SECONDS
from app.ws.session_methods import MAX_PREVIEWS, MAX_ROWS, MAX_TOLD_ROWS
from app.ws.strangers import MAX_STRANGERS
from app.ws.uvicorn_wire import LINGER_SECONDS
from app.ws.wire import MAX_HANDSHAKE_BYTES
from tests.documents import ROOT, fenced, rows
from tests.live_gateway import TOKEN, LiveGateway
from tests.ws.contract import EVENTS, METHODS

DOCUMENT: Final = ROOT / "docs" / "websocket.md"
KIB: Final = 1024


def test_the_example_runs(live: LiveGateway) -> None:
    """A reader who copies it sees what the document says."""
    (block,) = fenced(DOCUMENT, "python")
    done = subprocess.run(
        [sys.executable, "-c", block.text.replace("18789", str(live.port))],
        env={**os.environ, "ZERO_GATEWAY_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    frames = [json.loads(line) for line in done.stdout.splitlines()]

    assert (0, "") == (done.returncode, done.stderr)
    assert ["res", "res", *["event"] * 3, "res"] == [frame["type"] for frame in frames]
    assert ("hello-ok", "accepted") == (frames[0]["payload"]["type"], frames[1]["payload"]["status"])
    assert "one two three" == frames[-1]["payload"]["result"]["payloads"][0]["text"]
    assert len(block.text.splitlines()) < 30


def test_every_method_is_in_the_table_with_its_scope() -> None:
    """And no other; ``connect`` has a section of its own."""
    table = [cells for cells in rows(DOCUMENT.read_text()) if cells[0].startswith("`") and len(cells) == 3]
    found = {name: cells[1] for cells in table for name in re.findall(r"`([^`]+)`", cells[0])}
    scopes = {name: METHODS[name]["x-zero-scope"].removeprefix("operator.") for name in METHODS.keys() - {"connect"}}

    assert scopes == found


def test_every_event_is_named() -> None:
    """In the section about them."""
    section = DOCUMENT.read_text().partition("## Events")[2].partition("##")[0]

    assert EVENTS.keys() <= set(re.findall(r"`([^`]+)`", section))


def test_the_limits_are_the_code_s() -> None:
    """A number that changes in the code has to change in the document."""
    limits = [cells[1] for cells in rows(DOCUMENT.read_text().partition("## Limits")[2])][2:]

    assert [
        f"{HANDSHAKE_SECONDS:g} s",
        f"{MAX_HANDSHAKE_BYTES // KIB} KiB",
        str(MAX_STRANGERS),
        f"{MAX_FRAME_BYTES // KIB**2} MiB",
        str(MAX_REQUESTS),
        f"{MAX_REQUEST_BYTES // KIB**2} MiB",
        str(MAX_RUNS),
        f"{MAX_RUN_BYTES // KIB**2} MiB",
        f"{MAX_FRAME_BYTES // KIB**2} MiB",
        f"{MAX_BUFFERED_BYTES // KIB**2} MiB",
        f"{HIGH_WATER_BYTES // KIB**2} MiB for {PATIENCE_SECONDS:g} s",
        "20 s, twice",
        f"{LINGER_SECONDS:g} s",
        f"{REPEATED_CHARS // KIB} Ki characters",
        f"{round(PAGE_BYTES / KIB**2)} MiB",
        f"{MAX_ROWS:,}, {MAX_TOLD_ROWS}",
        str(MAX_PREVIEWS),
    ] == limits
    assert f"`tick` every {TICK_SECONDS:g} seconds" in DOCUMENT.read_text()
