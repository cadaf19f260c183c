"""One store's trial: gateways are started, killed while clients talk, asked once more, and stopped.

Owns the course of it, and what is known at its end. What must be so then is the test's business.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from app.sessions.leases import LEASE_SECONDS
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.faults.fault_clients import TURN_SECONDS, Answered, Client, Sends, Turn, ask
from tests.faults.fault_findings import check_branch, check_prompts
from tests.faults.fault_replicas import Reaper, Replica, any_port
from tests.faults.fault_upstream import Pace, answers
from tests.sessions.place import PostgresqlPlace, SqlitePlace
from tests.sessions.talk import written

SESSIONS: Final = 50
FEW_SECONDS: Final = 8.0
# A dead replica's sessions wait for their leases. If it happened more often, all clients would do little but wait.
_LIFE_OF_ONE_OF_THREE: Final = 12.0
_LIFE_OF_A_SINGLE_ONE: Final = 3.0
_SENDS: Final[tuple[Sends, ...]] = ("last", "all", "window", "all", "last")


@dataclass
class Outcome:
    """What is known when a trial is over. What clients and engines know of the turns has been checked then.

    Attributes:
        turns: What the clients said.
        counts: What happened to them.
        kills: How often a gateway was killed.
        logs: What each gateway wrote.
        unknown: Turns in the store of which no client was told that they are.
        prompts: What the engines were sent.
        last: Within how many seconds each session had an answer to one more request, in the end.
        limit: Within how many it has to be.
    """

    turns: Sequence[Turn]
    counts: Counter[str]
    kills: int
    logs: Sequence[str]
    unknown: int
    prompts: int
    last: float
    limit: float

    def summary(self) -> str:
        """Return the figures, for people."""
        answered = sorted((turn for turn in self.turns if turn.answer is not None), key=_seconds)
        usual, rare = (answered[len(answered) * part // 100] for part in (50, 99))
        course = ", ".join(f"{begun:.1f}-{ended:.1f} {how}" for begun, ended, how in answered[-1].course)
        return (
            f"{self.kills} kills, {len(self.turns)} turns asked, {self.unknown} stored that no client was told of, "
            f"{self.prompts} prompts, half of the turns within {_seconds(usual):.1f} s, 99 of 100 within "
            f"{_seconds(rare):.1f} s, slowest turn {_seconds(answered[-1]):.1f} s ({course}), "
            f"slowest at the end {self.last:.1f} s (limit {self.limit:.1f} s)\n{dict(self.counts.most_common())}"
        )


def held(place: PostgresqlPlace | SqlitePlace, folder: Path, seconds: float) -> Outcome:
    """Hold a trial.

    Args:
        place: The store: of three replicas if it is PostgreSQL, of one process if it is SQLite.
        folder: An empty folder; a SQLite file has to be where the replica's state is.
        seconds: How long replicas are killed.
    """
    with FakeUpstream() as upstream:
        upstream.play(*answers(random.Random(5), int(seconds * 300) + 1000))
        pace = Pace(upstream, random.Random(6))
        pace.start()
        config = upstream_configuration(upstream, session={"store": place.setting})
        shared = isinstance(place, PostgresqlPlace)
        replicas: list[Replica] = []
        try:
            # One by one, so that all that have started are stopped, whatever happens.
            replicas.extend(
                Replica(folder / f"replica-{n}", config, "tests.faults.elsewhere:gateway" if n else "app:gateway")
                for n in range(3 if shared else 1)
            )
            clients = _disturbed(replicas, seconds)
            upstream.play(*answers(random.Random(7), SESSIONS, faulty=0))
            free_at = max(replica.killed_at for replica in replicas) + (LEASE_SECONDS if shared else 0)
            limit = max(0.0, free_at - time.monotonic()) + FEW_SECONDS
            with ThreadPoolExecutor(SESSIONS) as pool:
                last = max(pool.map(partial(_one_more, replicas), range(SESSIONS)))
        finally:
            for replica in replicas:
                replica.stop()
            pace.end()
        turns = [turn for client in clients for turn in client.turns]
        prompts = check_prompts(turns, upstream)
    unknown = sum(
        check_branch([turn for client in clients if client.key == _key(session) for turn in client.turns], lines)
        for session, lines in enumerate(asyncio.run(_found(place)))
    )
    return Outcome(
        turns,
        sum((client.counts for client in clients), Counter[str]()),
        sum(replica.kills for replica in replicas),
        [replica.log for replica in replicas],
        unknown - SESSIONS,
        prompts,
        last,
        limit,
    )


async def _found(place: PostgresqlPlace | SqlitePlace) -> list[list[str]]:
    async with place.opened() as store:
        assert () == (await store.verify()).faults
        return [await written(store, _key(session)) for session in range(SESSIONS)]


def _disturbed(replicas: Sequence[Replica], seconds: float) -> list[Client]:
    """Have clients talk while replicas are killed; return the clients when all of it has ended."""
    ended = threading.Event()
    clients = _clients_of(replicas, ended)
    life = _LIFE_OF_A_SINGLE_ONE if len(replicas) == 1 else _LIFE_OF_ONE_OF_THREE
    reapers = [Reaper(replica, life, random.Random(f"reaper {n}"), ended) for n, replica in enumerate(replicas)]
    try:
        for thread in (*clients, *reapers):
            thread.start()
        ended.wait(seconds)
    finally:
        ended.set()
    for thread in (*reapers, *clients):
        thread.join(TURN_SECONDS * 2)
    assert [] == [thread.name for thread in (*clients, *reapers) if thread.is_alive()]
    assert all(replica.port for replica in replicas), "a reaper leaves its replica alive"
    return clients


def _clients_of(replicas: Sequence[Replica], ended: threading.Event) -> list[Client]:
    """Return the clients: one in most sessions, two in every fifth."""
    find = partial(any_port, replicas)
    return [
        Client(
            f"client {session}.{number}",
            _key(session),
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


def _one_more(replicas: Sequence[Replica], session: int) -> float:
    """Say one more thing in a session, and return the seconds until it was answered."""
    chance = random.Random(session)
    turn = Turn(f"the last of {session}")
    port = any_port(replicas, chance)
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LEASE_SECONDS + FEW_SECONDS)
    body = {"model": "zero", "messages": [{"role": "user", "content": turn.text}], "stream": False}
    outcome = ask(connection, _key(session), body, {}, None, chance)
    connection.close()
    assert isinstance(outcome, Answered), outcome
    return time.monotonic() - turn.started


def _key(session: int) -> str:
    return f"agent:main:fault-{session}"


def _seconds(turn: Turn) -> float:
    return turn.answered - turn.started
