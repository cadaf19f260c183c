"""Runs under an ``Idempotency-Key``: one for each key, going on when its client goes, joined by whoever repeats it.

Owns who runs under which key, and what becomes of it. How an answer is made, and how it reaches a client, is the
caller's business. What is under way is known to this process only. Source of the rules: docs/idempotency.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from app.errors import AnswerNotKept, GatewayError, IdempotencyKeyReused, InternalError, RunAborted, StoreUnavailable
from app.http.answer_log import AnswerLog, Room
from app.runs.job import Job
from app.sessions.idempotency import MAX_ANSWER_BYTES, IdempotencyRecords, KeptAnswer, Record
from app.sessions.store import StoreError

_log = logging.getLogger("zero.http")

Perform: TypeAlias = Callable[[Job, AnswerLog], Awaitable[KeptAnswer]]
"""Runs a job and returns its answer; a streamed one is written to the log, too. Raises where it failed."""


class KeyedRun:
    """A run under a key, or the search for the answer of an earlier one.

    Attributes:
        job: What it was begun for.
        log: Its stream, if it has one.
        record: The earlier answer, if there is one.
    """

    def __init__(self, job: Job, asked: bytes, log: AnswerLog) -> None:
        self.job = job
        self.log = log
        self.record: Record | None = None
        self.looked = asyncio.Event()
        """Set once it is known whether there is an earlier answer."""
        self.task: asyncio.Task[KeptAnswer] | None = None
        self._asked = asked
        self._over = asyncio.Event()
        self._outcome: KeptAnswer | GatewayError | None = None

    @property
    def asked(self) -> bytes:
        """Digest of the request that the key stands for."""
        return self.record.asked if self.record is not None else self._asked

    async def outcome(self) -> KeptAnswer:
        """Wait for the answer. Cancelling the wait leaves the run alone.

        Raises:
            GatewayError: If the run failed.
        """
        await self._over.wait()
        assert self._outcome is not None, "what is over has an outcome"
        if isinstance(self._outcome, GatewayError):
            raise self._outcome
        return self._outcome

    def end(self, task: asyncio.Task[KeptAnswer]) -> None:
        """Take the task's outcome over."""
        error = RunAborted("the gateway is stopping") if task.cancelled() else task.exception()
        if error is None:
            self._outcome = task.result()
        else:
            if not isinstance(error, GatewayError):
                _log.error("run %s failed", self.job.run_id, exc_info=error)
                error = InternalError(self.job.run_id)
            self._outcome = error
            # Its traceback holds all that the run had in its hands.
            error.__traceback__ = error.__cause__ = error.__context__ = None
        self.task = None
        self.log.end()
        self.looked.set()
        self._over.set()


class KeyedRuns:
    """Begins and joins runs.

    Args:
        records: Keeps the answers.
        seconds: For how long.
    """

    def __init__(self, records: IdempotencyRecords, seconds: float) -> None:
        self._records = records
        self._seconds = seconds
        self._room = Room()
        self._under_way: dict[str, KeyedRun] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def take(self, key: str, job: Job, asked: bytes, perform: Perform) -> tuple[KeyedRun, bool]:
        """Begin the run that a key stands for, or find the one that was begun before.

        Args:
            key: The key.
            job: What to run if nobody has yet.
            asked: Digest of the request.
            perform: Runs it, in a task of its own.

        Returns:
            The run, and whether it is another request's.

        Raises:
            IdempotencyKeyReused: If the key stands for another request.
            AnswerNotKept: If the answer, or a stream's beginning, is no longer here.
            StoreUnavailable: If there is no telling whether it was run before.
        """
        run = self._under_way.get(key)
        own = run is None
        if run is None:
            run = self._under_way[key] = self._begin(key, job, asked, perform)
        await run.looked.wait()
        if run.asked != asked:
            raise IdempotencyKeyReused
        if run.record is not None:
            if run.record.answer.body is None:
                raise AnswerNotKept
            return run, True
        return run, not own

    async def close(self) -> None:
        """Stop every run and wait for its clean-up."""
        tasks = {run.task for run in self._under_way.values() if run.task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, key: str, job: Job, asked: bytes, perform: Perform) -> KeyedRun:
        run = KeyedRun(job, asked, AnswerLog(self._room))
        run.task = asyncio.create_task(self._live(key, asked, run, perform), name=job.run_id)

        # Not a `finally` in the task: one that is stopped before its first step would never come to it.
        def over(task: asyncio.Task[KeptAnswer]) -> None:
            del self._under_way[key]
            run.end(task)

        run.task.add_done_callback(over)
        return run

    async def _live(self, key: str, asked: bytes, run: KeyedRun, perform: Perform) -> KeptAnswer:
        try:
            run.record = await self._records.find(key)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error
        if run.record is not None:
            return run.record.answer
        run.looked.set()
        await asyncio.sleep(0)  # those who have waited for this begin to read before the first word
        # A request without streaming is bounded by how long its client waits; the next attempt can wait on here.
        answer = await perform(msgspec.structs.replace(run.job, time_limit=None), run.log)
        kept = answer
        if answer.body is not None and len(answer.body) > MAX_ANSWER_BYTES:
            kept = msgspec.structs.replace(answer, body=None)
        try:
            await self._records.keep(key, asked, kept, self._seconds)
        except StoreError as error:
            _log.error("run %s: its answer was not kept for a repetition: %s", run.job.run_id, error)
        return answer
