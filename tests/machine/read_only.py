"""The state directory can't be written: from the beginning, or from some moment on."""

from __future__ import annotations

import os
from pathlib import Path

from tests.live_gateway import configuration
from tests.machine.disk import Disk
from tests.machine.row import Row
from tests.machine.talk import get, say
from tests.machine.told import Told
from tests.machine.zero import STORE, Zero

_OBEDIENT = (
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
)
"""What has root obey the modes of files, as everybody else does."""


def read_only_from_the_start(folder: Path) -> Row:
    """Start on a state directory that can't be written, and have it writable later."""
    told = Told()
    before: tuple[str, ...] = _OBEDIENT if os.geteuid() == 0 else ()
    state = folder / "state"
    with Disk(folder / "disk") as disk:
        if disk.mounted:
            state, before = disk.folder / "state", disk.before
            disk.remount("ro")
        else:
            state.mkdir(mode=0o500)
        with Zero(folder, configuration(), state=state, before=before) as zero:
            assert 200 == say(zero, "without a session").status
            assert 503 == get(zero, "/readyz")[0]
            seen = {
                told.turn(zero, "k", stream=stream, headers=_keyed(f"{stream}{n}" * n)).told
                for stream in (False, True)
                for n in (0, 1)
            }
            assert "can't be opened: " in zero.log
            if disk.mounted:
                disk.remount("rw")
            else:
                state.chmod(0o700)
            assert told.turn(zero, "k").complete, zero.log
            assert 200 == get(zero, "/readyz")[0]
            lost = told.lost(zero, before)
            assert "Traceback" not in zero.log, zero.log
    assert {"503 session_store_unavailable"} == seen
    return Row("state directory read-only at the start", ", ".join(seen), lost, "with the next request")


def read_only_meanwhile(folder: Path) -> Row:
    """Take the right to write the state directory and its files away from a gateway at work, and give it back."""
    told = Told()
    before = _OBEDIENT if os.geteuid() == 0 else ()
    with Zero(folder, configuration(), before=before) as zero:
        assert told.turn(zero, "k").complete
        files = [zero.state, *zero.state.iterdir()]
        modes = [file.stat().st_mode for file in files]
        for file in files:
            file.chmod(0o500 if file.is_dir() else 0o400)
        # What it has open it may still write; what it opens now it may not.
        meanwhile = [told.turn(zero, "k", stream=n % 2 == 0, headers=_keyed(f"key {n}" * (n % 3))) for n in range(6)]
        assert all(heard.complete or heard.code == "session_store_unavailable" for heard in meanwhile)
        assert 200 == say(zero, "without a session").status
        zero.kill()
        zero.restart()
        seen = told.turn(zero, "k").told
        assert 503 == get(zero, "/readyz")[0]
        assert STORE in zero.log
        for file, mode in zip(files, modes, strict=True):
            if file.exists():
                file.chmod(mode)
        assert told.turn(zero, "k").complete, zero.log
        assert 200 == get(zero, "/readyz")[0]
        lost = told.lost(zero, before)
        assert "Traceback" not in zero.log, zero.log
    assert "503 session_store_unavailable" == seen
    return Row(
        "state directory read-only meanwhile, then kill -9",
        f"200 until the kill, {seen} after it",
        lost,
        "with the next request",
    )


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}
