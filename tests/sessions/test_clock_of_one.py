"""Gateways that share a database, one of which has a clock that jumps: who has what goes by the database's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.sessions.leases import BEAT_SECONDS
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import merged
from tests.machine.halting import halting
from tests.machine.talk import Heard, get, say
from tests.machine.zero import Zero
from tests.sessions.place import PostgresqlPlace

DAY = 86_400
SOON = 5.0


@contextmanager
def pair(folder: Path, database: PostgresqlPlace, upstream: FakeUpstream) -> Iterator[tuple[Zero, Zero, Path]]:
    """Start one gateway with the machine's clock and one with a clock of its own; the file says how wrong it is."""
    clock = folder / "clock"
    clock.write_text("0")
    lock_out = {"enabled": True, "maxFailures": 3, "windowSeconds": 60, "lockoutSeconds": 60}
    config = merged(
        upstream_configuration(upstream),
        {"session": {"store": database.setting}, "gateway": {"auth": {"rateLimit": lock_out}}},
    )
    with ExitStack() as stack:
        right = stack.enter_context(Zero(folder / "right", config))
        wrong = stack.enter_context(Zero(folder / "wrong", config, environ={"ZERO_TEST_CLOCK": str(clock)}))
        for one in (right, wrong):
            began = time.monotonic()
            while 200 != get(one, "/readyz")[0]:
                assert time.monotonic() - began < SOON, one.log
        yield right, wrong, clock
        assert "Traceback" not in right.log + wrong.log


def jump(clock: Path, seconds: int) -> None:
    """Have the clock be wrong by this, from one moment to the next."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.rename(clock)


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["forwards", "back"])
@pytest.mark.parametrize("first", ["right", "wrong"], ids=["the other has it", "it has it"])
def test_a_session_and_a_key_stay_whose_they_are(
    database: PostgresqlPlace, tmp_path: Path, first: str, seconds: int
) -> None:
    """A run that one of them is at stays the only one of its session and of its key, beyond several signs of life."""
    with FakeUpstream() as upstream, pair(tmp_path, database, upstream) as (right, wrong, clock):
        one, other = (right, wrong) if first == "right" else (wrong, right)
        upstream.play(halting("a"))
        heard: dict[str, Heard] = {}

        def ask(name: str, zero: Zero, text: str, key: str) -> None:
            heard[name] = say(zero, text, "k", stream=True, headers={"Idempotency-Key": key})

        clients = [threading.Thread(target=ask, args=("first", one, "1", "a"))]
        clients[0].start()
        exchange = upstream.wait()
        jump(clock, seconds)
        # The same request again, and another one in the same session.
        clients += [threading.Thread(target=ask, args=("again", other, "1", "a"))]
        clients += [threading.Thread(target=ask, args=("next", other, "2", "b"))]
        for client in clients[1:]:
            client.start()
        time.sleep(2 * BEAT_SECONDS)  # what is tried: nobody takes it away meanwhile
        assert 1 == len(upstream.exchanges)
        upstream.play()
        exchange.release()
        for client in clients:
            client.join(20)
        assert heard["first"] == heard["again"] == Heard(200, "", "a", True), heard
        assert heard["next"].complete, (heard, right.log, wrong.log)
        assert 2 == len(upstream.exchanges)
        assert ["user", "assistant"] * 2 == [role for role, *_ in stored(database)]
        # What was answered under a key is given again, whichever is asked.
        assert heard["first"] == say(other, "1", "k", stream=True, headers={"Idempotency-Key": "a"})
        assert 2 == len(upstream.exchanges)


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["ahead", "behind"])
def test_what_a_dead_one_had_is_free_in_time(database: PostgresqlPlace, tmp_path: Path, seconds: int) -> None:
    """Who dies with a wrong clock holds nobody up for longer than any other: its leases say what the database said."""
    with FakeUpstream() as upstream, pair(tmp_path, database, upstream) as (right, wrong, clock):
        jump(clock, seconds)
        upstream.play(halting("a"))
        lost = threading.Thread(target=say, args=(wrong, "1", "k"), kwargs={"headers": {"Idempotency-Key": "a"}})
        lost.start()
        upstream.wait()
        # Owners of other machines can't be seen to be dead: only the time tells.
        database.execute("UPDATE turns SET owner = 'elsewhere'")
        database.execute("UPDATE idempotency SET owner = 'elsewhere'")
        (left,) = database.execute("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM turns")
        assert 0 < float(left[0]) <= 10.5
        (left,) = database.execute("SELECT leased_until - extract(epoch FROM clock_timestamp()) FROM idempotency")
        assert 0 < float(left[0]) <= 10.5
        wrong.kill()
        lost.join(20)
        upstream.play()
        asked = time.monotonic()
        assert say(right, "1", "k", headers={"Idempotency-Key": "a"}).complete
        assert time.monotonic() - asked < 15


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["ahead", "behind"])
def test_a_lock_out_is_the_same_for_both(database: PostgresqlPlace, tmp_path: Path, seconds: int) -> None:
    """One that is locked out at the one is at the other, too; neither for ever nor not at all."""
    with FakeUpstream() as upstream, pair(tmp_path, database, upstream) as (right, wrong, clock):
        jump(clock, seconds)
        for _ in range(3):
            assert 401 == say(wrong, "x", headers={"Authorization": "Bearer wrong"}).status
        began = time.monotonic()
        while 429 != say(right, "x").status:
            assert time.monotonic() - began < SOON
        (left,) = database.execute("SELECT locked_until - extract(epoch FROM clock_timestamp()) FROM auth_failures")
        assert 0 < float(left[0]) <= 61


def stored(database: PostgresqlPlace) -> list[tuple[str, ...]]:
    """Return the roles of what is in the session, in the order of storage."""
    return database.execute(
        "SELECT role, created_at FROM messages WHERE session_key = 'agent:main:k' ORDER BY 2, 1 DESC"
    )
