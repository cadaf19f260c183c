"""The one run path that every door uses: lane, history, engine, events, store.

Owns order, time limits, fallbacks and what is kept. Knows nothing of HTTP or of frames: a door listens to events and
gets the answer. Source of the rules: design.md, "The run" and "Which session".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import time
from typing import Any

from app.config import Session
from app.errors import AnswerNotKept, RunTimedOut, SessionMovedOn, StoreUnavailable
from app.large.aside import LARGE, aside_if
from app.log import About, about, logger
from app.runs.active import ActiveRuns
from app.runs.allowance import expected_tokens
from app.runs.answer import Answer
from app.runs.arrivals import Arrivals
from app.runs.asking import Asking, EngineSource, Listener
from app.runs.job import Job, new_run_id
from app.runs.lanes import Lanes
from app.runs.observer import RunObserver, observed, watching
from app.runs.past import Past
from app.runs.prompt import system_messages
from app.runs.regenerations import Regenerations
from app.runs.repetition import RETRY_SECONDS, can_be_given_again, given_again
from app.runs.reset_confirmation import confirmation
from app.runs.sizing import Conversation
from app.runs.token_count import added
from app.runs.tool_policy import check_tools
from app.runs.tool_results import check_tool_results
from app.sessions.changes import Changes
from app.sessions.continuation import continued, turn_begins
from app.sessions.history import History
from app.sessions.idempotency import StoredAnswer
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.leases import SessionLeases
from app.sessions.message import Message, size_of
from app.sessions.resent import ResentConversations
from app.sessions.reset import IDLE_MINUTES, is_over
from app.sessions.store import SessionConflict, SessionStore, StoreError

_log = logger("zero.runs")


class Runs:
    """Executes runs.

    Args:
        engines: Where the engines are.
        store: Where sessions are kept.
        clock: Returns the time, in seconds since 1970.
        settings: Returns the configuration's ``session`` in force.
        most: Runs that may be under way at the same time, those that wait included; ``None`` for any number.
        observer: Wants to know of every run; nobody does without.
    """

    def __init__(
        self,
        engines: EngineSource,
        store: SessionStore,
        clock: Callable[[], float] = time,
        settings: Callable[[], Session] = Session,
        most: int | None = None,
        observer: RunObserver | None = None,
    ) -> None:
        self._observer = observer
        self._store = store
        self._clock = clock
        self._settings = settings
        self._asking = Asking(engines, settings, lambda: store.summaries)
        self.active = ActiveRuns(most)
        """The runs under way, through whichever door."""
        self.changes = Changes()
        """Tells of every session that a run has continued."""
        self.arrivals = Arrivals()
        """Who is on the way into a session's queue. A door that has something to find out first notes its run there."""
        self._resent = ResentConversations()
        self._regenerations = Regenerations()
        self._session_lanes = Lanes("session")
        self._agent_lanes = Lanes("agent")

    def execute(self, job: Job, listener: Listener | None = None) -> Coroutine[Any, Any, Answer]:
        """Run a job to its end. Cancel the calling task to stop it: the session stays as it was.

        Args:
            job: What to do.
            listener: Gets every event as it comes; the last ones only once the turn is stored.

        Returns:
            The complete answer, with usage.

        Raises:
            PermissionDenied: If the request brings a tool that the agent may not use.
            RunsFull: If too many runs are under way.
            RateLimited: If too many runs wait for the same session or agent, or the caller has used up its allowance.
            RunAborted: If somebody stops it through ``active``.
            AnswerNotKept: If it was run before, and its answer can't be given again.
            RunTimedOut: If it takes longer than the agent's ``timeoutSeconds`` or the caller's own limit.
            InvalidRequest: If the engine refuses the request, or tool calls and their results don't belong together.
            EngineFailed: If the engine failed, and its fallbacks too.
            StoreUnavailable: If the session can't be read or written.
        """
        if self._observer is None:
            return self._execute(job, listener)
        return observed(self._observer, job, lambda: self._execute(job, listener))

    @property
    def waiting(self) -> tuple[int, int]:
        """How many runs wait in this process: for their session, for their agent."""
        return self._session_lanes.statistics().waiting, self._agent_lanes.statistics().waiting

    async def _execute(self, job: Job, listener: Listener | None) -> Answer:
        if about.get() is None:  # the other doors have no request for the log to name
            about.set(About(run=job.run_id, session=job.target.session_key, who=job.caller))
        with self.active.entered(job):
            if job.answered is not None:
                return await self._give_stored(job, job.answered, listener)
            if job.allowance is None:
                return await self._bounded(job, listener)
            said = (*job.system, *job.messages)
            tokens = await aside_if(size_of(said) > LARGE, expected_tokens, job.request, said)
            await job.allowance.take(job.run_id, tokens)
            spent: int | None = None
            try:
                answer = await self._bounded(job, listener)
                spent = answer.usage.total_tokens if answer.usage is not None else None
                return answer
            finally:
                await job.allowance.settle(spent)

    async def abort(self, session_key: str, why: str) -> list[str]:
        """Stop the runs of a session, in whichever process they are; return their ids.

        Those of other processes can't be stopped while the store can't be reached.
        """
        here = self.active.of_session(session_key)
        for run in here:
            run.abort(why)
        ids = [run.run_id for run in here]
        return [*ids, *(one for one in await self._revoke(session_key, why) if one not in ids)]

    async def abort_elsewhere(self, session_key: str, run_id: str, why: str) -> list[str]:
        """Stop one run of a session, if another process has it; return its id if there is one."""
        return await self._revoke(session_key, why, run_id)

    async def interrupted(self, run_id: str) -> InterruptedRun | None:
        """Return what is known of a run that ended with its process.

        Raises:
            StoreUnavailable: If the store can't be read.
        """
        try:
            return await self._store.interrupted_run(run_id)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error

    async def _revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        if self._store.leases is None:
            return []
        try:
            return await self._store.revoke(session_key, why, run_id)
        except StoreError as error:
            _log.error("runs of session %s in other processes could not be stopped: %s", session_key, error)
            return []

    @asynccontextmanager
    async def alone_in(self, session_key: str) -> AsyncIterator[int | None]:
        """Have a session for oneself without running anything: in the queue of its runs, as one of them.

        Raises:
            RateLimited: If too many wait for it.
            StoreUnavailable: If those who share it can't be asked.
        """
        async with AsyncExitStack() as places:
            yield await self._held(places, session_key, new_run_id(), None)

    async def _bounded(self, job: Job, listener: Listener | None) -> Answer:
        agent = job.target.agent
        check_tools(agent, job.request)
        limit, setting = agent.timeout_seconds, f"timeoutSeconds of agent {agent.id!r}"
        if job.time_limit is not None and job.time_limit < limit:
            limit, setting = job.time_limit, job.time_limit_name
        try:
            async with asyncio.timeout(limit) as deadline:
                if not job.target.stateful and agent.max_concurrent is None:
                    return await self._run(job, listener)
                async with AsyncExitStack() as places:
                    fence: int | None = None
                    watch = watching.get()
                    if job.target.stateful:
                        run = BegunRun(job.run_id, job.target.session_key, agent.id, time())
                        held = self._held(places, job.target.session_key, job.run_id, run)
                        fence = await (held if watch is None else watch.queue(held))
                    if agent.max_concurrent is not None:
                        lane = self._agent_lanes.enter(agent.id, width=agent.max_concurrent)
                        place = places.enter_async_context(lane)
                        await (place if watch is None else watch.queue(place))
                    return await self._run(job, listener, fence)
        except TimeoutError:
            if deadline.expired():
                raise RunTimedOut(limit, setting) from None
            raise
        except SessionConflict as error:
            _log.error("run %s: another process has continued session %s meanwhile", job.run_id, error)
            raise SessionMovedOn from error

    async def _run(self, job: Job, listener: Listener | None, fence: int | None = None) -> Answer:
        target = job.target
        large = size_of(job.messages) + size_of(job.system) > LARGE
        history = kept = History()
        new = job.messages
        stored: Message | None = None
        parent: str | None = None
        if target.stateful:
            history = await self._history(target.session_key)
            commands, before = self._settings().reset_triggers, self._resent.get(target.session_key)
            going = await aside_if(
                large, continued, history, job.messages, whole=job.whole_history, commands=commands, last=before
            )
            self._resent.remember(target.session_key, going.resent)
            if not going.messages:
                return await self._begin_anew(job, listener, fence)
            repeated = self._regenerations.repeats(job, history, going.sent, going.merged)
            if repeated and await self._is_recent(target.session_key):
                kept, new, stored = history.first(len(history) - 1), (), history[-1].message
                parent = kept[-1].id if kept else None
            else:
                if history and await self._is_over(target.session_key):
                    going = going.begun_anew(history)
                kept, new, parent = history.first(going.kept), going.new, going.parent
        await aside_if(large, check_tool_results, job, kept.messages, len(job.messages) - len(new))
        turn = turn_begins(new)
        conversation = Conversation(
            await aside_if(large, system_messages, target.agent.system_prompt, job.system),
            _behind(kept.messages, new[:turn]) if target.stateful else (),
            new[turn:] if target.stateful else new,
            Past(target.session_key, kept, parent) if target.stateful and self._compacts else None,
        )
        if stored is not None and can_be_given_again(job, stored):
            answer, told = await self._give_again(job, stored, listener), conversation.messages
        else:
            answer, told = await self._asking.answer(job, conversation, listener)
        answer.usage, answer.estimated = await self._asking.counted(answer, conversation, told)
        answer.usage = added(answer.usage, answer.spent)
        last = answer.complete()
        if target.stateful and not answer.replayed:
            said = await aside_if(answer.size > LARGE, answer.transcript)
            await self._remember(job, history, parent, (*new, said), fence)
            self._regenerations.made(target.session_key)
        if listener is not None:
            for event in last:
                await listener.on_event(event)
        return answer

    @property
    def _compacts(self) -> bool:
        return self._settings().compaction.mode == "model"

    async def _is_recent(self, session_key: str) -> bool:
        return self._clock() - await self._last_changed(session_key) < RETRY_SECONDS

    async def _is_over(self, session_key: str) -> bool:
        reset = self._settings().reset
        if reset.mode == "none":
            return False
        return is_over(
            await self._last_changed(session_key),
            self._clock(),
            at_hour=reset.at_hour if reset.mode == "daily" else None,
            idle_minutes=reset.idle_minutes or (IDLE_MINUTES if reset.mode == "idle" else None),
        )

    async def _last_changed(self, session_key: str) -> float:
        try:
            session = await self._store.session(session_key)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error
        return session.updated_at if session is not None else 0.0

    async def _begin_anew(self, job: Job, listener: Listener | None, fence: int | None) -> Answer:
        """Let the session be empty, and say so; no engine is asked."""
        try:
            session = await self._store.reset(job.target.session_key, fence=fence)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable(should_retry=False) from error
        if session is not None:
            self.changes.publish(session.key, session.agent_id, "reset")
        answer, events = confirmation(job)
        if listener is not None:
            for event in events:
                await listener.on_event(event)
        return answer

    @staticmethod
    async def _give_again(job: Job, stored: Message, listener: Listener | None) -> Answer:
        _log.info("run %s: the client sent its request again, and the session has its answer", job.run_id)
        answer, events = await aside_if(len(stored.raw) > LARGE, given_again, job, stored)
        if listener is not None:
            for event in events:
                await listener.on_event(event)
        return answer

    async def _give_stored(self, job: Job, stored: StoredAnswer, listener: Listener | None) -> Answer:
        """Answer with a turn that is stored already, wherever in the session it is by now."""
        if stored.message is None or not can_be_given_again(job, stored.message):
            raise AnswerNotKept
        history = await self._history(job.target.session_key)
        place = next((at for at, one in enumerate(history) if one.id == stored.id), None)
        told = job.messages if place is None else tuple(one.message for one in history[:place])
        answer = await self._give_again(job, stored.message, listener)
        system = system_messages(job.target.agent.system_prompt, job.system)
        prompt = Conversation(system, (), told)
        answer.usage, answer.estimated = await self._asking.counted(answer, prompt, prompt.messages)
        last = answer.complete()
        if listener is not None:
            for event in last:
                await listener.on_event(event)
        return answer

    async def _history(self, session_key: str) -> History:
        try:
            return await self._store.history(session_key)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error

    async def _held(self, places: AsyncExitStack, session_key: str, run_id: str, run: BegunRun | None) -> int | None:
        # Where several processes share the store, the store says whose turn it is.
        leases: SessionLeases = self._store.leases or self._session_lanes
        self.arrivals.note(session_key, run_id)
        try:
            if run is not None:
                await places.enter_async_context(self._store.noted(run))
            await self.arrivals.go(session_key, run_id)
            return await places.enter_async_context(leases.held(session_key, run))
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error
        finally:
            self.arrivals.leave(session_key, run_id)

    async def _remember(
        self,
        job: Job,
        history: History,
        parent: str | None,
        new: tuple[Message, ...],
        fence: int | None,
    ) -> None:
        try:
            await self._store.append(
                job.target.session_key,
                job.target.agent.id,
                job.run_id,
                expected_head=history[-1].id if history else None,
                parent=parent,
                messages=new,
                fence=fence,
                keyed=job.keyed,
            )
            self.changes.publish(job.target.session_key, job.target.agent.id, "update")
        except StoreError as error:
            _log.error("run %s: its turn was not stored: %s", job.run_id, error)
            raise StoreUnavailable(should_retry=False) from error


def _behind(history: Sequence[Message], new: tuple[Message, ...]) -> Sequence[Message]:
    """Return both, without copying a long one for the sake of nothing."""
    return (*history, *new) if new else history
