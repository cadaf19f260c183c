"""SQLite under SIGKILL: what a client was told is stored is stored, whenever the process dies."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.sessions.place import SqlitePlace
from tests.sessions.talk import KEY
from tests.unit.conversation import script

ROOT = Path(__file__).parents[2]
KILLS = 20


def killed(path: Path, first: int, turns: int, seconds: float) -> int:
    """Have a process write, kill it so many seconds after so many turns, and return the last turn that it told of."""
    command = [sys.executable, "-m", "tests.sessions.writer", str(path), KEY, str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(turns)]
        time.sleep(seconds)
        process.kill()
        told += process.stdout.readlines()
    whole = [line for line in told if line.endswith("\n")]
    assert whole or not turns, "the writer works until it is killed"
    return int(whole[-1]) if whole else first - 1


def test_killed_again_and_again(file: SqlitePlace) -> None:
    """Every turn that was told of is there exactly once and in order, at most one more is, and every hash is right."""
    chance = random.Random(5)

    async def found() -> list[str]:
        async with file.opened() as store:
            assert () == (await store.verify()).faults
            return script(stored.message for stored in await store.history(KEY))

    first = 0
    for attempt in range(KILLS):
        # Now and then already while it opens the file.
        turns, seconds = (
            (0, chance.uniform(0.2, 0.6)) if attempt % 4 == 0 else (chance.randint(1, 12), chance.random() / 99)
        )
        last = killed(file.path, first, turns, seconds)
        said = asyncio.run(found())
        turns = len(said) // 2
        assert [line for n in range(turns) for line in (f"user: {n}", f"assistant: {n}!")] == said
        assert turns - (last + 1) in (0, 1)
        first = turns
    assert first > KILLS
