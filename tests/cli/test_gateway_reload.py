"""SIGHUP has ``zero gateway`` read its configuration again (docs/cli.md, "Signals")."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.cli.command import eventually
from tests.cli.test_gateway_end import Served, served
from tests.live_gateway import TOKEN, configuration
from tests.telemetry.watched import value

BLIND = "WATCHFILES_FORCE_POLLING=1"
"""Has the watcher look at times instead of being told, so that an edit can be hidden from it."""


def hide(file: Path, text: str) -> None:
    """Edit a file of the same length in such a way that it looks as before: only who reads it notices."""
    before = file.stat()
    assert before.st_size == len(text)
    with file.open("r+") as opened:
        opened.write(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def asked(gateway: Served, path: str) -> tuple[str, str]:
    """Get a page; return the configuration's revision and the body."""
    status, headers, body = gateway.get(path, {"Authorization": f"Bearer {TOKEN}"})
    assert 200 == status
    return headers.get("x-zero-config-revision", ""), body


def models(gateway: Served) -> list[str]:
    """Return the models' ids."""
    return [one["id"] for one in json.loads(asked(gateway, "/v1/models")[1])["data"]]


def test_it_is_read_again(tmp_path: Path) -> None:
    """Also where the watcher sees nothing. The log says what came of it, each time."""
    config = configuration(gateway={"metrics": {"enabled": True}})
    with served(tmp_path, config, prefix=BLIND) as gateway:
        before, _ = asked(gateway, "/v1/models")
        assert value(asked(gateway, "/metrics")[1], "zero_config_info", revision=before) == 1
        gateway.signal(signal.SIGHUP)
        eventually(lambda: f"nothing new (revision {before})" in gateway.log.read_text())
        file = tmp_path / "zero.json"
        text = file.read_text()
        hide(file, text.replace('"beta"', '"zeta"'))
        assert ["zero", "zero:main", "zero:beta"] == models(gateway)
        gateway.signal(signal.SIGHUP)
        eventually(lambda: models(gateway) == ["zero", "zero:main", "zero:zeta"])
        after, _ = asked(gateway, "/v1/models")
        assert before != after
        assert f"The changed configuration is applied (revision {after})" in gateway.log.read_text()
        told = asked(gateway, "/metrics")[1]
        assert value(told, "zero_config_info", revision=after) == 1
        assert f'revision="{before}"' not in told

        hide(file, text.replace('"list"', '"lost"'))
        refused = f"not applied: {file}: agents.lost: unknown key"
        gateway.signal(signal.SIGHUP)
        eventually(lambda: gateway.log.read_text().count(refused) == 1)
        gateway.signal(signal.SIGHUP)
        eventually(lambda: gateway.log.read_text().count(refused) == 2)
        assert (after, True) == (asked(gateway, "/v1/models")[0], gateway.process.poll() is None)
        gateway.signal(signal.SIGTERM)
        assert 0 == gateway.process.wait(20)
    assert "Traceback" not in gateway.log.read_text()


def test_many_signals(tmp_path: Path) -> None:
    """From the first moment on: none of them ends it, and it ends in good order afterwards."""
    with served(tmp_path, configuration()) as gateway:
        for _ in range(50):
            gateway.signal(signal.SIGHUP)
        eventually(lambda: "The configuration was read again" in gateway.log.read_text())
        gateway.signal(signal.SIGTERM)
        gateway.signal(signal.SIGHUP)
        assert 0 == gateway.process.wait(20)
    assert "Traceback" not in gateway.log.read_text()
