"""The one run path that every door uses: lane, history, engine, events, store.

Owns order, time limits, fallbacks and what is kept. Knows nothing of HTTP or of frames: a door listens to events and
gets the answer. Source of the rules: design.md, "The run" and "Which session".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol, cast

import msgspec

from app.config import AgentProfile, ModelRef
from app.contract.models import CompletionUsage
from app.engines.engine import Engine
from app.errors import EngineFailed, GatewayError, RunTimedOut, SessionMovedOn, StoreUnavailable
from app.runs.active import ActiveRuns
from app.runs.answer import Answer
from app.runs.event import Event
from app.runs.job import Job
from app.runs.lanes import Lanes
from app.runs.legacy_functions import with_tools
from app.runs.prompt import system_messages
from app.runs.token_count import added, counted
from app.runs.tool_policy import check_tools
from app.runs.tool_results import check_tool_results
from app.runs.turn import Turn
from app.sessions.changes import Changes
from app.sessions.merge import Sent, merge
from app.sessions.message import Message, digest
from app.sessions.store import SessionConflict, SessionStore, StoredMessage, StoreError

_log = logging.getLogger("zero.runs")

_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})

_FAIRNESS = 64
"""Events after which a run lets others go first, even if its engine never waits for anything."""


class Listener(Protocol):
    """A door that wants the answer while it grows."""

    async def on_event(self, event: Event) -> None:
        """Pass an event on. Returns when the next may come: this is where a slow reader holds the engine back."""
        ...

    async def flush(self) -> None:
        """Pass on what was kept back for an event announced by ``more``, which turned out to say nothing."""
        ...


class EngineSource(Protocol):
    """Where runs find engines."""

    def engine_for(self, provider: str) -> Engine:
        """Return the engine of a provider that the configuration knows."""
        ...


class Runs:
    """Executes runs.

    Args:
        engines: Where the engines are.
        store: Where sessions are kept.
    """

    def __init__(self, engines: EngineSource, store: SessionStore) -> None:
        self._engines = engines
        self._store = store
        self.active = ActiveRuns()
        """The runs under way, through whichever door."""
        self.changes = Changes()
        """Tells of every session that a run has continued."""
        self._session_lanes = Lanes("session")
        self._agent_lanes = Lanes("agent")

    async def execute(self, job: Job, listener: Listener | None = None) -> Answer:
        """Run a job to its end. Cancel the calling task to stop it: the session stays as it was.

        Args:
            job: What to do.
            listener: Gets every event as it comes; the last ones only once the turn is stored.

        Returns:
            The complete answer, with usage.

        Raises:
            PermissionDenied: If the request brings a tool that the agent may not use.
            RateLimited: If too many runs wait for the same session or agent.
            RunAborted: If somebody stops it through ``active``.
            RunTimedOut: If it takes longer than the agent's ``timeoutSeconds`` or the caller's own limit.
            InvalidRequest: If the engine refuses the request, or tool calls and their results don't belong together.
            EngineFailed: If the engine failed, and its fallbacks too.
            StoreUnavailable: If the session can't be read or written.
        """
        with self.active.entered(job):
            return await self._bounded(job, listener)

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
                    if job.target.stateful:
                        await places.enter_async_context(self._session_lanes.enter(job.target.session_key))
                    if agent.max_concurrent is not None:
                        lane = self._agent_lanes.enter(agent.id, width=agent.max_concurrent)
                        await places.enter_async_context(lane)
                    return await self._run(job, listener)
        except TimeoutError:
            if deadline.expired():
                raise RunTimedOut(limit, setting) from None
            raise

    async def _run(self, job: Job, listener: Listener | None) -> Answer:
        target = job.target
        history: list[StoredMessage] = []
        kept: list[StoredMessage] = []
        new = job.messages
        if target.stateful:
            history = await self._history(target.session_key)
            sent = [Sent(digest(message), message.role == "assistant") for message in job.messages]
            merged = merge([message.digest for message in history], sent, whole=job.whole_history)
            kept, new = history[: merged.kept], job.messages[merged.known :]
        check_tool_results(job, (stored.message for stored in kept), len(job.messages) - len(new))
        conversation = (
            *system_messages(target.agent.system_prompt, job.system),
            *(stored.message for stored in kept),
            *new,
        )
        answer = await self._answer(job, conversation, listener)
        answer.usage, answer.estimated = await counted(answer.usage, conversation, answer.texts())
        answer.usage = added(answer.usage, answer.spent)
        last = answer.complete()
        if target.stateful:
            await self._remember(job, history, kept, (*new, answer.transcript()))
        if listener is not None:
            for event in last:
                await listener.on_event(event)
        return answer

    async def _answer(self, job: Job, conversation: tuple[Message, ...], listener: Listener | None) -> Answer:
        agent = job.target.agent
        models = (agent.model, *agent.fallbacks)
        spent: CompletionUsage | None = None
        for model, fallback in zip(models, (*models[1:], None), strict=True):
            answer = Answer.to(job.request, job.run_id)
            answer.spent = spent
            try:
                await self._drive(self._turn(job, model, conversation), model, answer, listener)
                answer.complete()
            except EngineFailed as error:
                if fallback is None or answer.begun:
                    _log.warning("run %s: %s failed: %s (%r)", job.run_id, model, error, error.__cause__)
                    raise
                _log.warning("run %s: %s failed (%s); trying %s", job.run_id, model, error, fallback)
                if answer.usage is not None:
                    spent = added(answer.usage, spent)
            else:
                answer.model = model
                return answer
        raise AssertionError("the last model returns or raises")

    async def _drive(self, turn: Turn, model: ModelRef, answer: Answer, listener: Listener | None) -> None:
        blame = _Blame(turn, model)
        with blame:
            # Protocol methods written as async generators are typed as iterators; closing them is what stops the work.
            events = cast("AsyncGenerator[Event, None]", self._engines.engine_for(model.provider).run(turn))
        try:
            seen = 0
            while True:
                with blame:
                    event = await anext(events, None)
                    out = answer.feed(event) if event is not None else None
                if event is None:
                    break
                # What the listener raises is the door's own and travels up as it is.
                if listener is not None:
                    if out is not None:
                        await listener.on_event(out)
                    elif not event.more:
                        await listener.flush()
                seen += 1
                if not seen % _FAIRNESS:
                    await asyncio.sleep(0)
        finally:
            try:
                await events.aclose()
            except Exception:  # takes no answer back, and must not take the place of what went wrong before it
                _log.exception("run %s: the engine of %s raised while it was closed", turn.run_id, model)

    async def _history(self, session_key: str) -> list[StoredMessage]:
        try:
            return await self._store.history(session_key)
        except StoreError as error:
            _log.error("%s", error)
            raise StoreUnavailable from error

    async def _remember(
        self, job: Job, history: list[StoredMessage], kept: list[StoredMessage], new: tuple[Message, ...]
    ) -> None:
        try:
            await self._store.append(
                job.target.session_key,
                job.target.agent.id,
                job.run_id,
                expected_head=history[-1].id if history else None,
                parent=kept[-1].id if kept else None,
                messages=new,
            )
            self.changes.publish(job.target.session_key, job.target.agent.id, "update")
        except SessionConflict as error:
            _log.error("run %s: another process has continued session %s meanwhile", job.run_id, error)
            raise SessionMovedOn from error
        except StoreError as error:
            _log.error("run %s: its turn was not stored: %s", job.run_id, error)
            raise StoreUnavailable(should_retry=False) from error

    @staticmethod
    def _turn(job: Job, model: ModelRef, conversation: tuple[Message, ...]) -> Turn:
        agent = job.target.agent
        turn = Turn(
            run_id=job.run_id,
            agent=agent,
            model=model.model,
            messages=conversation,
            request=job.request,
            parameters=_parameters(agent, job.parameters),
        )
        return with_tools(turn)


def _parameters(agent: AgentProfile, sent: Mapping[str, msgspec.Raw]) -> Mapping[str, Any]:
    if not agent.params:
        return sent
    # What a client sends as null counts as not sent, as it does with OpenAI.
    said = {name: value for name, value in sent.items() if bytes(value) != b"null"}
    defaults = dict(agent.params)
    if said.keys() & _LIMITS:
        for name in _LIMITS:
            defaults.pop(name, None)  # two names of one limit: the client's counts
    return {**defaults, **said}


class _Blame:
    """Around what an engine does: what it shouldn't raise becomes its failure, and the log gets the rest."""

    __slots__ = ("_model", "_turn")

    def __init__(self, turn: Turn, model: ModelRef) -> None:
        self._turn = turn
        self._model = model

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GatewayError):
            _log.error("run %s: the engine of %s raised", self._turn.run_id, self._model, exc_info=error)
            raise EngineFailed("The engine behind the agent failed unexpectedly.", code="engine_error") from error
