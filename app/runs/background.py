"""Runs that outlive the call that began them: started once per idempotency key, awaited by whoever asks.

What a WebSocket client starts goes on when its connection breaks, and can be waited for from another one. In memory,
per process: a key is remembered while its run lasts and for a while after, and of a run that is over no more is kept
than whoever asks is told.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from time import time
from typing import Any, Final

import msgspec

from app.config import ModelRef
from app.contract.models import CompletionUsage
from app.errors import GatewayError, InternalError, RunAborted
from app.log import logger
from app.runs.active import ActiveRun
from app.runs.answer import Answer
from app.runs.asking import Listener
from app.runs.ending import Ending
from app.runs.job import Job
from app.runs.run import Runs

OnEnd = Callable[[Answer | GatewayError], None]

_log = logger("zero.runs")

REMEMBERED_SECONDS: Final = 600.0
"""How long a finished run can still be asked for."""
MAX_REMEMBERED: Final = 1_000
"""Finished runs remembered at most; the oldest is forgotten first."""
MAX_REMEMBERED_BYTES: Final = 64 * 1024 * 1024
"""What they may take up in memory, all together."""
_OVERHEAD_BYTES: Final = 2_048
"""What each takes up besides its texts, with room to spare."""


class Reply(msgspec.Struct, frozen=True):
    """What is kept of an answer.

    Attributes:
        text: The first choice's words; ``None`` where the model only called tools.
        finish_reason: Why the model stopped.
        usage: The tokens.
        model: The model that answered.
    """

    text: str | None
    finish_reason: str
    usage: CompletionUsage | None
    model: ModelRef | None


class BackgroundRun:
    """A run of its own, and in the end its reply or its error.

    Attributes:
        run_id: Its id.
        agent_id: The agent that answers.
        session_key: The session it belongs to.
        asked: Digest of what was asked for.
        started_at: Seconds since 1970.
        ended_at: The same, once it is over.
    """

    __slots__ = (
        "_done",
        "_on_end",
        "_outcome",
        "_task",
        "agent_id",
        "asked",
        "ended_at",
        "run_id",
        "session_key",
        "started_at",
    )

    def __init__(self, run: ActiveRun, asked: bytes, on_end: OnEnd | None) -> None:
        self.run_id = run.run_id
        self.agent_id = run.agent_id
        self.session_key = run.session_key
        self.asked = asked
        self.started_at = run.started_at
        self.ended_at: float | None = None
        self._on_end = on_end
        self._outcome: Reply | GatewayError | None = None
        self._done = asyncio.Event()
        self._task: asyncio.Task[Answer] | None = None

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._outcome is not None

    @property
    def duration_ms(self) -> int:
        """Milliseconds from its beginning to its end, or until now; none if the clock was put back meanwhile."""
        return max(0, int(((self.ended_at or time()) - self.started_at) * 1000))

    @property
    def size(self) -> int:
        """Bytes that it takes up in memory once it is over, about."""
        texts = [self.run_id, self.session_key]
        if isinstance(self._outcome, Reply):
            texts.append(self._outcome.text or "")
        elif self._outcome is not None:
            texts.append(self._outcome.message)
        return _OVERHEAD_BYTES + sum(sys.getsizeof(text) for text in texts)

    async def outcome(self) -> Reply | GatewayError:
        """Wait for the end. Cancelling the wait leaves the run alone."""
        await self._done.wait()
        assert self._outcome is not None, "what is done has an outcome"
        return self._outcome

    async def ended(self) -> Ending:
        """Wait for the end, and tell no more than how it was."""
        outcome = await self.outcome()
        return Ending.of(outcome if isinstance(outcome, GatewayError) else None, self.ended_at or 0.0)

    def begin(self, work: Coroutine[Any, Any, Answer], over: Callable[[], None]) -> None:
        """Start the work; ``over`` is called after its end."""
        self._task = asyncio.create_task(work, name=self.run_id)
        # Not a coroutine around it: one that is stopped before its first step would neither begin the work nor end.
        self._task.add_done_callback(lambda task: self._end(task, over))

    def stop(self) -> asyncio.Task[Answer] | None:
        """Stop it because the process ends; return the task to wait for, if it is not over."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _end(self, task: asyncio.Task[Answer], over: Callable[[], None]) -> None:
        told: Answer | GatewayError
        error = RunAborted("the gateway is stopping") if task.cancelled() else task.exception()
        if error is None:
            told = task.result()
            self._outcome = _reply(told)
        else:
            if not isinstance(error, GatewayError):
                _log.error("run %s failed", self.run_id, exc_info=error)
                error = InternalError(self.run_id)
            told = self._outcome = error
            # Its traceback holds all that the run had in its hands: the session's history, the messages, the engine.
            error.__traceback__ = error.__cause__ = error.__context__ = None
        self.ended_at = time()
        self._done.set()
        on_end, self._on_end, self._task = self._on_end, None, None
        try:
            if on_end is not None:
                on_end(told)
        finally:
            over()


class BackgroundRuns:
    """Starts runs in tasks of their own.

    Args:
        runs: Executes them.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._by_id: dict[str, BackgroundRun] = {}
        self._over: deque[tuple[float, BackgroundRun]] = deque()
        """Those that are over, the oldest first, with the loop's time at which each is forgotten."""
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(
        self, job: Job, listener: Listener | None, on_end: OnEnd | None = None, *, asked: bytes = b""
    ) -> BackgroundRun:
        """Start a job, whose run id nobody has used before.

        Args:
            job: What to run.
            listener: Gets its events.
            on_end: Called with the outcome, also when nobody waits for it.
            asked: Digest of what was asked for, by which a repetition is told from another request of the same id.
        """
        active = self._runs.active.expect(job)
        run = self._by_id[job.run_id] = BackgroundRun(active, asked, on_end)

        def over() -> None:
            self._runs.active.dismiss(active)
            self._remember(run)

        run.begin(self._runs.execute(job, listener), over)
        return run

    def get(self, run_id: str) -> BackgroundRun | None:
        """Return the run of that id, under way or remembered."""
        return self._by_id.get(run_id)

    async def drained(self, seconds: float) -> None:
        """Wait until none of the present ones is under way any more, or the time is up."""
        ends = [asyncio.ensure_future(run.outcome()) for run in self._by_id.values() if not run.done]
        if ends:
            _, waiting = await asyncio.wait(ends, timeout=seconds)
            for end in waiting:
                end.cancel()

    async def close(self) -> None:
        """Stop every run and wait for its clean-up."""
        tasks = {task for run in self._by_id.values() if (task := run.stop()) is not None}
        if tasks:
            await asyncio.wait(tasks)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._by_id.clear()
        self._over.clear()
        self._bytes = 0

    def _remember(self, run: BackgroundRun) -> None:
        if run.size > MAX_REMEMBERED_BYTES:
            del self._by_id[run.run_id]  # nor may it push the others out
            return
        self._over.append((asyncio.get_running_loop().time() + REMEMBERED_SECONDS, run))
        self._bytes += run.size
        while len(self._over) > MAX_REMEMBERED or self._bytes > MAX_REMEMBERED_BYTES:
            self._forget_oldest()
        self._set_timer()

    def _forget_oldest(self) -> None:
        _, run = self._over.popleft()
        self._bytes -= run.size
        del self._by_id[run.run_id]

    def _forget_old(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._over and self._over[0][0] <= now:
            self._forget_oldest()
        self._set_timer()

    def _set_timer(self) -> None:
        """Have the oldest forgotten when its time comes, whether anything else happens or not."""
        if self._timer is None and self._over:
            self._timer = asyncio.get_running_loop().call_at(self._over[0][0], self._forget_old)


def _reply(answer: Answer) -> Reply:
    choice = answer.choices()[0]
    return Reply(
        text=choice.message.content, finish_reason=choice.finish_reason, usage=answer.usage, model=answer.model
    )
