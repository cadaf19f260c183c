"""The disk is full while turns are being stored."""

from __future__ import annotations

from pathlib import Path

from tests.live_gateway import configuration
from tests.machine.disk import Disk
from tests.machine.row import Row
from tests.machine.talk import get, say
from tests.machine.told import Told
from tests.machine.zero import Zero

_ROOM = 200_000
_SIZE = 8_000


def disk_full(folder: Path) -> Row:
    """Fill the disk between two writes of one gateway, kill it, start it on the full disk, and make room again."""
    told = Told()
    with (
        Disk(folder / "disk") as disk,
        Zero(folder, configuration(), state=disk.folder / "state", before=disk.before) as zero,
    ):
        assert told.turn(zero, "early").complete
        disk.fill(zero, _ROOM)
        seen = _until_full(told, zero)
        assert "full" in zero.log or "disk I/O error" in zero.log, zero.log
        assert 200 == say(zero, "without a session").status
        assert 200 == get(zero, "/healthz")[0]
        disk.free(zero)
        assert told.turn(zero, "early").complete, zero.log
        disk.fill(zero)
        seen |= _until_full(told, zero)
        zero.kill()
        zero.restart()
        if not disk.mounted:
            disk.fill(zero)
        assert 200 == say(zero, "without a session").status
        seen.add(told.turn(zero, "early", _SIZE).told)
        disk.free(zero)
        for key in ("early", "late", "stream 0", "json 1", "keyed 2"):
            assert told.turn(zero, key).complete, zero.log
        lost = told.lost(zero, disk.before)
        assert "Traceback" not in zero.log, zero.log
        where = "8 MiB file system" if disk.mounted else "file size limit"
    assert seen <= {"503 session_store_unavailable", "200 session_store_unavailable"}, seen
    return Row(f"disk full ({where})", ", ".join(sorted(seen)), lost, "with the next request, once there is room")


def _until_full(told: Told, zero: Zero) -> set[str]:
    """Say things in all ways until each of them fails, and return how."""
    seen: set[str] = set()
    failed: set[int] = set()
    for n in range(400):
        way = n % 3
        headers = (
            {"Idempotency-Key": f"{zero.process.pid} {n} {len(told.heard)} {sum(told.heard.values())}"}
            if way == 2
            else None
        )
        heard = told.turn(zero, f"{('stream', 'json', 'keyed')[way]} {n % 9}", _SIZE, stream=way == 0, headers=headers)
        if not heard.complete:
            seen.add(heard.told)
            failed.add(way)
        if len(failed) == 3 and n > 30:
            return seen
    raise AssertionError("the disk isn't full")
