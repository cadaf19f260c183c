"""deploy/zero-gateway.service: the systemd unit, which nothing here could start."""

from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from app.config import Gateway
from tests.documents import ROOT

UNIT = ROOT / "deploy" / "zero-gateway.service"


@pytest.fixture
def unit() -> RawConfigParser:
    """The unit; a key that is there twice is an error."""
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation has it
    parser.read_string(UNIT.read_text())
    return parser


def test_it_runs_the_gateway_with_few_rights(unit: RawConfigParser) -> None:
    """A user of its own, nothing to write to but its state, secrets from a file and not from the unit."""
    service = unit["Service"]
    assert "/opt/zero/bin/zero gateway" == service["ExecStart"]
    assert ("yes", "strict", "yes", "") == tuple(
        service[key] for key in ("DynamicUser", "ProtectSystem", "NoNewPrivileges", "CapabilityBoundingSet")
    )
    assert f"ZERO_STATE_DIR=/var/lib/{service['StateDirectory']}" in service["Environment"].split()
    assert "/etc/zero/environment" == service["EnvironmentFile"]


def test_there_is_time_to_drain(unit: RawConfigParser) -> None:
    """systemd waits longer than the gateway takes by default, and then has only the first process killed first."""
    assert float(unit["Service"]["TimeoutStopSec"]) > Gateway().drain_seconds + 5
    assert "mixed" == unit["Service"]["KillMode"]


def test_systemd_understands_it(tmp_path: Path) -> None:
    """Where there is a systemd its own check has nothing to say; elsewhere the sections at least are its own."""
    text = UNIT.read_text().replace("/opt/zero/bin/zero", shutil.which("true") or "/bin/true")
    file = tmp_path / UNIT.name
    file.write_text(text)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, timeout=60, check=False
        )
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    parser = RawConfigParser()
    parser.read_string(text)
    assert ["Unit", "Service", "Install"] == parser.sections()


def test_a_reload_is_a_signal(unit: RawConfigParser) -> None:
    """`systemctl reload` has the configuration read again."""
    assert "/bin/kill -HUP $MAINPID" == unit["Service"]["ExecReload"]
