"""Upstreams that misbehave: one gateway, and what its clients hear of each kind of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, Script, error, stream
from tests.fakes.upstream import FakeUpstream
from tests.hostile.misbehaviours import AMID, BEFORE, HELLO, bomb, silent
from tests.machine.row import Row
from tests.machine.told import Told
from tests.machine.zero import Zero

MAX_ANSWER: Final = 1_000_000
_TIMEOUTS: Final = {"firstByteSeconds": 0.3, "idleSeconds": 0.3, "totalSeconds": 1}
_SLOW: Final[dict[str, tuple[Script, str]]] = {
    "silence": (silent(), "504 upstream_first_byte_timeout"),
    "silence behind a word": (stream(HELLO, Pause()), "504 upstream_idle_timeout"),
    "a bomb of 20 MB": (bomb(20_000_000), "502 upstream_answer_too_large"),
    "500": (error(500, {"message": "no"}), "502 upstream_error"),
    "429": (error(429, {"message": "slow down"}), "429 rate_limit_exceeded"),
    "401": (error(401, {"message": "who?"}), "502 upstream_authentication_failed"),
}


def hostile_upstreams(folder: Path) -> Iterator[Row]:
    """Play each misbehaviour to turns with and without streaming; then the same session goes on as if nothing was."""
    told = Told()
    with FakeUpstream() as upstream:
        config: dict[str, Any] = upstream_configuration(upstream)
        config["models"]["providers"]["fake"] |= {"maxAnswerBytes": MAX_ANSWER, "timeouts": _TIMEOUTS}
        faults = {name: (script, f"502 {code}") for name, (script, code) in BEFORE.items()}
        with Zero(folder, config) as zero:
            assert told.turn(zero, "k").complete
            for name, (script, expected) in (faults | _SLOW).items():
                upstream.play(script)
                seen = {told.turn(zero, "k", stream=streamed).told for streamed in (False, True)}
                code = expected.partition(" ")[2]
                # Behind a word the status has gone out already.
                assert seen <= {expected, f"200 {code}"}, f"{name}: {seen}"
                assert expected in seen, f"{name}: {seen}"
                yield _over(f"upstream: {name}", seen, told, zero, upstream)
            for name, (steps, code) in AMID.items():
                upstream.play(stream(HELLO, *steps))
                seen = {told.turn(zero, "k", stream=streamed).told for streamed in (False, True)}
                # An error that comes together with the first word finds that nothing has gone out yet.
                assert seen <= {f"502 {code}", f"200 {code}"}, f"{name}: {seen}"
                yield _over(f"upstream, amid its answer: {name}", seen, told, zero, upstream)
            assert "Traceback" not in zero.log, zero.log


def _over(name: str, seen: set[str], told: Told, zero: Zero, upstream: FakeUpstream) -> Row:
    upstream.reset()
    assert told.turn(zero, "k").complete, f"{name}: {zero.log}"
    return Row(name, ", ".join(sorted(seen)), told.lost(zero), "with the next request")
