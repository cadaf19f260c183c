"""Gateways under SIGKILL with clients that abort and retry: no turn is lost, doubled or out of order, no lane is stuck.

``ZERO_FAULT_SECONDS`` says how long, for each store; without it two minutes. Two of three replicas count as machines of
their own, whose death nobody sees; the third is seen to be dead by its next process.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from app.sessions.turns import LEASE_SECONDS
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.faults.fault_clients import TURN_SECONDS, Answered, Client, Sends, Turn, ask
from tests.faults.fault_findings import check_branch, check_prompts
from tests.faults.fault_replicas import Reaper, Replica, any_port
from tests.faults.fault_upstream import Pace, answers
from tests.sessions.place import PostgresqlPlace, SqlitePlace
from tests.sessions.postgresql_server import PASSWORD
from tests.sessions.talk import written

SECONDS: Final = float(os.environ.get("ZERO_FAULT_SECONDS", "120"))
SESSIONS: Final = 50
FEW_SECONDS: Final = 8.0
# A dead replica's sessions wait for their leases. If it happened more often, all clients would do little but wait.
_LIFE_OF_ONE_OF_THREE: Final = 12.0
_LIFE_OF_A_SINGLE_ONE: Final = 3.0
_SENDS: Final[tuple[Sends, ...]] = ("last", "all", "window", "all", "last")


def key(session: int) -> str:
    """Return the full key of a session."""
    return f"agent:main:fault-{session}"


def clients_of(replicas: Sequence[Replica], ended: threading.Event) -> list[Client]:
    """Return the clients: one in most sessions, two in every fifth."""
    find = partial(any_port, replicas)
    return [
        Client(
            f"client {session}.{number}",
            key(session),
            _SENDS[session % 5],
            alone=count == 1,
            find=find,
            chance=random.Random(f"client {session}.{number}"),
            ended=ended,
        )
        for session in range(SESSIONS)
        for count in [2 if session % 5 == 0 else 1]
        for number in range(count)
    ]


def disturb(replicas: Sequence[Replica]) -> list[Client]:
    """Have clients talk while replicas are killed; return the clients when all of it has ended."""
    ended = threading.Event()
    clients = clients_of(replicas, ended)
    life = _LIFE_OF_A_SINGLE_ONE if len(replicas) == 1 else _LIFE_OF_ONE_OF_THREE
    reapers = [Reaper(replica, life, random.Random(f"reaper {n}"), ended) for n, replica in enumerate(replicas)]
    try:
        for thread in (*clients, *reapers):
            thread.start()
        ended.wait(SECONDS)
    finally:
        ended.set()
    for thread in (*reapers, *clients):
        thread.join(TURN_SECONDS * 2)
    assert [] == [thread.name for thread in (*clients, *reapers) if thread.is_alive()]
    assert all(replica.port for replica in replicas), "a reaper leaves its replica alive"
    return clients


def one_more(replicas: Sequence[Replica], session: int) -> float:
    """Say one more thing in a session, and return the seconds until it was answered."""
    chance = random.Random(session)
    turn = Turn(f"the last of {session}")
    port = any_port(replicas, chance)
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LEASE_SECONDS + FEW_SECONDS)
    body = {"model": "zero", "messages": [{"role": "user", "content": turn.text}], "stream": False}
    outcome = ask(connection, key(session), body, {}, None, chance)
    connection.close()
    assert isinstance(outcome, Answered), outcome
    return time.monotonic() - turn.started


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_killed_while_clients_retry(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three replicas on one PostgreSQL, or one process on SQLite, killed again and again, keep what they told."""
    home = tmp_path / "replica-0"
    place: PostgresqlPlace | SqlitePlace
    if kind == "sqlite":
        place = SqlitePlace(home / "state" / "sessions.sqlite3")
    else:
        place = request.getfixturevalue("database")
    with FakeUpstream() as upstream:
        upstream.play(*answers(random.Random(5), int(SECONDS * 300) + 1000))
        pace = Pace(upstream, random.Random(6))
        pace.start()
        config = upstream_configuration(upstream, session={"store": place.setting})
        replicas: list[Replica] = []
        try:
            # One by one, so that all that have started are stopped, whatever happens.
            replicas.extend(
                Replica(tmp_path / f"replica-{n}", config, "tests.faults.elsewhere:gateway" if n else "app:gateway")
                for n in range(1 if kind == "sqlite" else 3)
            )
            clients = disturb(replicas)
            upstream.play(*answers(random.Random(7), SESSIONS, faulty=0))
            free_at = max(replica.killed_at for replica in replicas) + (LEASE_SECONDS if kind == "postgresql" else 0)
            limit = max(0.0, free_at - time.monotonic()) + FEW_SECONDS
            with ThreadPoolExecutor(SESSIONS) as pool:
                last = max(pool.map(partial(one_more, replicas), range(SESSIONS)))
        finally:
            for replica in replicas:
                replica.stop()
            pace.end()
        turns = [turn for client in clients for turn in client.turns]
        prompts = check_prompts(turns, upstream)

    async def found() -> list[list[str]]:
        async with place.opened() as store:
            assert () == (await store.verify()).faults
            return [await written(store, key(session)) for session in range(SESSIONS)]

    unknown = sum(
        check_branch([turn for client in clients if client.key == key(session) for turn in client.turns], lines)
        for session, lines in enumerate(asyncio.run(found()))
    )
    interrupted = place.execute("SELECT count(*) FROM interrupted_runs")[0][0]
    counts = sum((client.counts for client in clients), Counter[str]())
    slowest = max(turn.answered - turn.started for turn in turns if turn.answer is not None)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kind}: {SECONDS:g} s, {sum(replica.kills for replica in replicas)} kills, {len(turns)} turns asked, "
            f"{unknown - SESSIONS} stored that no client was told of, {prompts} prompts, slowest turn {slowest:.1f} s, "
            f"slowest at the end {last:.1f} s (limit {limit:.1f} s), "
            f"{interrupted} runs recorded as interrupted\n{dict(counts.most_common())}\n"
        )
    assert last < limit, "no lane is stuck"
    assert [] == [name for name in counts if name.startswith("4") and not name.startswith("429")]
    assert counts["answered"] > SESSIONS
    assert counts["replayed"] > 0
    assert counts["answered by key, asked more than once"] > 0
    assert interrupted > 0
    left = "SELECT count(*) FROM messages JOIN interrupted_runs USING (session_key, run_id)"
    assert [(0,)] == place.execute(left), "what was interrupted has left nothing"
    assert sum(replica.kills for replica in replicas) > SECONDS / 10
    for replica in replicas:
        assert "Traceback" not in replica.log
        assert PASSWORD not in replica.log
    if isinstance(place, PostgresqlPlace):
        assert [(0,)] == place.execute("SELECT count(*) FROM turns")
    else:
        assert [] == [path.name for path in place.path.parent.iterdir() if "-runs-" in path.name], "no run is left open"
