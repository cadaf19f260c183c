"""Runs under an ``Idempotency-Key``: one for each key, going on when its client goes, joined by whoever repeats it.

Owns who runs under which key, and what becomes of it. How an answer is made, and how it reaches a client, is the
caller's business. Which keys other processes have, and what was answered under which, the records know. Source of the
rules: docs/idempotency.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from app.errors import (
    AnswerNotKept,
    GatewayError,
    IdempotencyKeyReused,
    InternalError,
    RateLimited,
    RunAborted,
    StoreUnavailable,
)
from app.http.answer_log import AnswerLog, Room
from app.http.told_failure import ToldFailure, told
from app.log import logger
from app.runs.arrivals import Arrivals
from app.runs.job import Job
from app.sessions.idempotency import (
    MAX_ANSWER_BYTES,
    Claimant,
    Claimed,
    IdempotencyRecords,
    KeptAnswer,
    Record,
    StoredAnswer,
    UnderWay,
)
from app.sessions.store import StoreError

MAX_RUNS: Final = 1_024
"""Runs with a key that may be under way in one process. They go on without their clients, so that no bound on
connections bounds them."""
_STOPPING: Final = "the gateway is stopping"

_log = logger("zero.http")

Perform: TypeAlias = Callable[[Job, AnswerLog], Awaitable[KeptAnswer]]
"""Runs a job and returns its answer; a streamed one is written to the log, too. Raises where it failed."""


class KeyedRun:
    """A run under a key, or the search for the answer of another one.

    Attributes:
        job: What it was begun for.
        log: Its stream, if it has one.
        asked: Digest of the request that the key stands for.
        claimant: The run that has the key: this one, or another process's.
        record: The earlier answer, if there was one from the beginning.
        following: Whether another process runs it.
        answered: What a session has of the answer already, if this is only to give it again.
    """

    def __init__(self, job: Job, asked: bytes, log: AnswerLog) -> None:
        self.job = job
        self.log = log
        self.asked = asked
        self.claimant = _claimant(job)
        self.record: Record | None = None
        self.following = False
        self.refused = False
        """Whether the key is for another request."""
        self.answered: StoredAnswer | None = None
        self.looked = asyncio.Event()
        """Set once it is known whether there is an earlier answer or run."""
        self.task: asyncio.Task[KeptAnswer] | None = None
        self._over = asyncio.Event()
        self._outcome: KeptAnswer | GatewayError | None = None

    @property
    def repeats(self) -> bool:
        """Whether its answer is one that was given, or begun, before."""
        return self.record is not None or self.following or self.answered is not None

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
        error = RunAborted(_STOPPING) if task.cancelled() else task.exception()
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
        arrivals: Has the order in which runs came, which mustn't depend on when a key has been looked up.
    """

    def __init__(self, records: IdempotencyRecords, seconds: float, arrivals: Arrivals) -> None:
        self._records = records
        self._seconds = seconds
        self._arrivals = arrivals
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
            The run, and whether it was begun for another request.

        Raises:
            RateLimited: If too many are under way. Nothing has been done then, so a retry is safe.
            IdempotencyKeyReused: If the key stands for another request.
            AnswerNotKept: If the answer, or a stream's beginning, is no longer here.
            StoreUnavailable: If there is no telling whether it was run before.
        """
        while True:
            run = self._under_way.get(key)
            own = run is None
            if run is None:
                if len(self._under_way) >= MAX_RUNS:
                    raise RateLimited(
                        f"{MAX_RUNS} runs with an Idempotency-Key are under way already. Try again later.",
                        code="keyed_runs_full",
                        retry_after=2,
                    )
                run = self._under_way[key] = self._begin(key, job, asked, perform)
            await run.looked.wait()
            if run.asked != asked:
                raise IdempotencyKeyReused
            if own or not run.refused:
                break  # else it was begun for a request that the key isn't for, and is over
        if run.record is not None:
            if run.record.answer.body is None:
                raise AnswerNotKept
            return run, True
        return run, not own

    def stop_following(self) -> None:
        """Wait no more for what other processes run; who waits here is told that the gateway is stopping."""
        for run in self._under_way.values():
            if run.following and run.task is not None:
                run.task.cancel()

    async def drained(self, seconds: float) -> None:
        """Wait until none of the runs here is under way any more, or the time is up."""
        tasks = {run.task for run in self._under_way.values() if run.task is not None and not run.following}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self) -> None:
        """Stop every run and wait for its clean-up."""
        tasks = {run.task for run in self._under_way.values() if run.task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, key: str, job: Job, asked: bytes, perform: Perform) -> KeyedRun:
        run = KeyedRun(job, asked, AnswerLog(self._room))
        if job.target.stateful:
            self._arrivals.note(job.target.session_key, job.run_id)
        run.task = asyncio.create_task(self._live(key, asked, run, perform), name=job.run_id)

        # Not a `finally` in the task: one that is stopped before its first step would never come to it.
        def over(task: asyncio.Task[KeptAnswer]) -> None:
            del self._under_way[key]
            self._not_coming(job)
            run.end(task)

        run.task.add_done_callback(over)
        return run

    async def _live(self, key: str, asked: bytes, run: KeyedRun, perform: Perform) -> KeptAnswer:
        found = await self._found(key, asked, run)
        if isinstance(found, Record):
            return await _given(found, run)
        run.answered = found.answer
        if run.answered is not None:
            self._not_coming(run.job)
        run.looked.set()
        await asyncio.sleep(0)  # those who have waited for this begin to read before the first word
        # A request without streaming is bounded by how long its client waits; the next attempt can wait on here.
        job = msgspec.structs.replace(run.job, time_limit=None, keyed=key, answered=found.answer)
        try:
            answer = await perform(job, run.log)
        except AnswerNotKept:
            await self._keep(key, _unkept(run.claimant))
            raise
        except BaseException as error:
            await self._free(key, job.run_id, error)
            raise
        kept = answer
        if answer.body is not None and len(answer.body) > MAX_ANSWER_BYTES:
            kept = msgspec.structs.replace(answer, body=None)
        await self._keep(key, kept)
        return answer

    async def _found(self, key: str, asked: bytes, run: KeyedRun) -> Claimed | Record:
        """Return what there is once no other process is at it."""
        try:
            while True:
                found = await self._records.claim(key, asked, _claimant(run.job), self._seconds)
                if isinstance(found, Claimed):
                    run.following, run.claimant = False, _claimant(run.job)
                    return found
                run.asked = found.asked
                if found.asked != asked:
                    run.refused = True
                    raise IdempotencyKeyReused
                if isinstance(found, Record):
                    return found
                await self._followed(key, found, run)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error

    async def _followed(self, key: str, found: UnderWay, run: KeyedRun) -> None:
        self._not_coming(run.job)
        run.following, run.claimant = True, found.claimant
        run.looked.set()
        failure = await self._records.follow(key, found.claimant.run_id)
        if failure is not None:
            raise ToldFailure(failure)

    def _not_coming(self, job: Job) -> None:
        self._arrivals.leave(job.target.session_key, job.run_id)

    async def _keep(self, key: str, answer: KeptAnswer) -> None:
        try:
            await self._records.keep(key, answer, self._seconds)
        except StoreError as error:
            _log.error("run %s: its answer was not kept for a repetition: %s", answer.run_id, error)

    async def _free(self, key: str, run_id: str, error: BaseException) -> None:
        failure: bytes | None = None
        if isinstance(error, Exception):  # a run that was cancelled, because this process ends, may go on elsewhere
            failure = told(error if isinstance(error, GatewayError) else InternalError(run_id))
        try:
            await self._records.free(key, run_id, failure)
        except StoreError as problem:
            _log.warning("run %s: its key is free only after a while: %s", run_id, problem)


async def _given(record: Record, run: KeyedRun) -> KeptAnswer:
    """Return an answer that was kept; to those who have begun to wait for a stream, its bytes."""
    body = record.answer.body
    if not run.following:
        run.record = record
    elif body is None:
        raise AnswerNotKept
    else:
        await run.log.send({"type": "http.response.body", "body": body, "more_body": False})
    return record.answer


def _claimant(job: Job) -> Claimant:
    return Claimant(job.run_id, job.target.agent.id, job.target.session_key)


def _unkept(claimant: Claimant) -> KeptAnswer:
    return KeptAnswer(claimant.run_id, claimant.agent_id, claimant.session_key, estimated=False, body=None)
