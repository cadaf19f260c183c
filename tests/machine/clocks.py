"""The machine's clock jumps by a day, forwards and back, under a gateway that is at work."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import merged
from tests.machine.halting import halting
from tests.machine.row import Row
from tests.machine.talk import Heard, get, say
from tests.machine.told import Told
from tests.machine.zero import Zero

DAY: Final = 86_400
LOCKOUT_SECONDS: Final = 2
_SETTINGS: Final = {
    "gateway": {
        "auth": {
            "rateLimit": {"enabled": True, "maxFailures": 3, "windowSeconds": 60, "lockoutSeconds": LOCKOUT_SECONDS}
        },
        "http": {"endpoints": {"chatCompletions": {"idempotencySeconds": 3 * DAY}}},
    },
    "session": {"reset": {"mode": "idle", "idleMinutes": 2 * 24 * 60}, "retentionDays": 3},
}


def clock_jumps(folder: Path) -> Row:
    """Have the clock jump a day forwards and two back, each time with a run under way, and start again in the past."""
    told = Told()
    clock = folder / "clock"
    _set(clock, 0)
    with FakeUpstream() as upstream:
        config = merged(upstream_configuration(upstream), _SETTINGS)
        with Zero(folder, config, environ={"ZERO_TEST_CLOCK": str(clock)}) as zero:
            keyed = told.turn(zero, "k", headers={"Idempotency-Key": "first"})
            for jump in (DAY, -DAY):
                _across(jump, clock, zero, upstream)
                assert told.turn(zero, "k").complete
                asked = len(upstream.exchanges)
                assert keyed == say(zero, "1 mmmmmmmmmm", "k", headers={"Idempotency-Key": "first"})
                assert asked == len(upstream.exchanges), "what was answered under a key is given again"
                _locked_out(zero)
            _lock(zero)
            _set(clock, -3 * DAY)
            time.sleep(1.2)  # the failures are told to the store within a second
            zero.restart()
            _let_in_again(zero)
            time.sleep(1.2)  # what others have told is heard within a second, and may lock out once more
            _let_in_again(zero)
            assert told.turn(zero, "k").complete
            lost = told.lost(zero)
            assert "Traceback" not in zero.log, zero.log
    return Row("clock jumps a day forwards, two back", "200", lost, "never interrupted")


def _set(clock: Path, seconds: int) -> None:
    """Have the clock be wrong by this, from one moment to the next."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.rename(clock)


def _across(jump: int, clock: Path, zero: Zero, upstream: FakeUpstream) -> None:
    """Have the clock jump while a run with a key is under way, and repeat the request: it is one run."""
    upstream.play(halting("a"))
    asked = len(upstream.exchanges)
    heard: list[Heard] = []

    def ask() -> None:
        heard.append(say(zero, "slowly", f"slow {jump}", stream=True, headers={"Idempotency-Key": f"slow {jump}"}))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    clients[0].start()
    exchange = upstream.wait(asked + 1)
    _set(clock, jump)
    clients[1].start()
    assert 200 == get(zero, "/healthz")[0]
    exchange.release()
    for client in clients:
        client.join(20)
    assert [Heard(200, "", "a", True)] * 2 == heard
    assert asked + 1 == len(upstream.exchanges)
    upstream.play()


def _lock(zero: Zero) -> None:
    for _ in range(3):
        assert 401 == say(zero, "x", headers={"Authorization": "Bearer wrong"}).status
    assert 429 == say(zero, "x").status


def _locked_out(zero: Zero) -> None:
    """A lock-out lasts as long as it is to, whatever the clock says."""
    _lock(zero)
    _let_in_again(zero)


def _let_in_again(zero: Zero) -> None:
    _until(zero, 200, "locked out for no longer than it was to be")


def _until(zero: Zero, status: int, promise: str) -> None:
    deadline = time.monotonic() + LOCKOUT_SECONDS + 3
    while say(zero, "x").status != status:
        assert time.monotonic() < deadline, promise
        time.sleep(0.1)
