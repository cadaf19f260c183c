"""A process with one run stored, one at work and one that waits, all in one session; made to be killed.

Its arguments: the kind of the store, its place, the session's key, and what this machine is called, if it is to count
as another one. It prints the ids of the three runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from app.runs.event import Event, finish_event, text_event
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions import owner
from app.sessions.deferred import open_postgresql, open_sqlite
from tests.unit.runs.engines import Shelf, TinyEngine
from tests.unit.runs.jobs import job

JOBS = ("stored", "at work", "waiting")


async def main(kind: str, place: str, key: str, machine: str = "") -> None:
    """Work until the process ends."""
    if machine:
        owner.machine = lambda: machine
    store = await (open_sqlite if kind == "sqlite" else open_postgresql)(place)
    begun = asyncio.Event()

    async def answer(turn: Turn) -> AsyncIterator[Event]:
        yield text_event("A")
        if b"at work" in bytes(turn.messages[-1].raw):
            begun.set()
            await asyncio.Event().wait()
        yield finish_event("stop")

    runs = Runs(Shelf({"one": TinyEngine(answer)}), store)
    jobs = [job(text, key=key) for text in JOBS]
    await runs.execute(jobs[0])
    at_work = asyncio.create_task(runs.execute(jobs[1]))
    await asyncio.wait({at_work, asyncio.create_task(begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if at_work.done():
        await at_work  # says why it isn't at work
    waiting = asyncio.create_task(runs.execute(jobs[2]))
    await asyncio.sleep(0.3)  # it can't be seen from here that it stands in the queue
    assert not at_work.done()
    assert not waiting.done()
    sys.stdout.write(f"{' '.join(one.run_id for one in jobs)}\n")
    sys.stdout.flush()
    await asyncio.gather(at_work, waiting)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
