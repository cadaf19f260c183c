"""``agent``, ``agent.wait``, ``chat.send`` and ``chat.abort``: runs begun, awaited and stopped over the WebSocket.

The same runs as over HTTP: same resolver, same path. Runs begun here go on when the connection breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import UNSET

from app.config import LoadedConfig
from app.contract.frames import (
    AgentAccepted,
    AgentAnswer,
    AgentMeta,
    AgentMetaModel,
    AgentParams,
    AgentPayload,
    AgentResult,
    AgentWaitParams,
    AgentWaitResult,
    ChatAbortParams,
    ChatAbortResult,
    ChatSendParams,
    ChatSendResult,
    UnknownAgentIdErrorDetails,
)
from app.errors import GatewayError, InvalidRequest, ModelNotFound, RunAborted, RunTimedOut
from app.routing.session_key import parse_requested
from app.routing.target import Target, Wish, resolve
from app.runs.answer import Answer
from app.runs.background import BackgroundRun, BackgroundRuns
from app.runs.run import Runs
from app.ws.caller import Caller
from app.ws.failure import MethodFailed, failure_of
from app.ws.hub import Hub
from app.ws.run_events import AgentEvents, ChatEvents
from app.ws.spoken import MODEL, job_of_text, token_usage

DEFAULT_WAIT_SECONDS = 30.0

StopReason = Literal["rpc", "timeout"]


class AgentMethods:
    """Answers the methods that run agents.

    Args:
        runs: Executes runs.
        background: Keeps those begun here.
        hub: Where ``chat`` events go.
        current: Returns the configuration in force.
    """

    def __init__(self, runs: Runs, background: BackgroundRuns, hub: Hub, current: Callable[[], LoadedConfig]) -> None:
        self._runs = runs
        self._background = background
        self._hub = hub
        self._current = current

    async def agent(self, params: AgentParams, caller: Caller) -> AgentResult:
        """Run an agent: the first answer says that it was accepted, the second what came of it."""
        run = self._known(params.idempotency_key)
        events: AgentEvents | None = None
        if run is None:
            target = target_of(params.agent_id or "", params.session_key or "", self._current())
            job = job_of_text(
                params.message,
                target,
                params.idempotency_key,
                system=params.extra_system_prompt or "",
                time_limit=float(params.timeout) if params.timeout else None,
            )
            events = AgentEvents(job, caller.event, caller.room)
            run = self._background.start(job, events, events.end)
        target = run.job.target
        caller.accept(
            AgentAccepted(
                run_id=run.job.run_id,
                accepted_at=run.began_at,
                session_key=target.session_key,
                agent_id=target.agent.id,
            )
        )
        if events is not None:
            events.begin()
        outcome = await run.outcome()
        if isinstance(outcome, Answer):
            return _completed(run, outcome)
        return _failed(run, outcome)

    async def wait(self, params: AgentWaitParams, _caller: Caller) -> AgentWaitResult:
        """Wait for a run; not longer than asked for."""
        run = self._background.get(params.run_id)
        if run is None:
            raise MethodFailed("INVALID_REQUEST", f"there is no run {params.run_id[:100]!r}")
        seconds = DEFAULT_WAIT_SECONDS if params.timeout_ms is UNSET else params.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds):
                outcome = await run.outcome()
        except TimeoutError:
            return AgentWaitResult(run_id=params.run_id, status="timeout", started_at=run.began_at)
        reason = _stop_reason(outcome)
        failed = isinstance(outcome, GatewayError)
        return AgentWaitResult(
            run_id=params.run_id,
            status="timeout" if reason else "error" if failed else "ok",
            started_at=run.began_at,
            ended_at=run.ended_at if run.ended_at is not None else UNSET,
            stop_reason=reason or UNSET,
            error=outcome.message if isinstance(outcome, GatewayError) else UNSET,
        )

    async def send(self, params: ChatSendParams, _caller: Caller) -> ChatSendResult:
        """Say something in a session; ``chat`` events tell everybody what comes of it."""
        run = self._known(params.idempotency_key)
        if run is not None:
            return await _progress(run)
        if not params.message.strip():
            raise InvalidRequest("The message is empty.", param="message")
        target = target_of(params.agent_id or "", params.session_key, self._current())
        limit = params.timeout_ms / 1000 if params.timeout_ms else None
        job = job_of_text(params.message, target, params.idempotency_key, time_limit=limit)
        events = ChatEvents(job, self._hub.broadcast)
        self._background.start(job, events, events.end)
        return ChatSendResult(run_id=job.run_id, status="started")

    async def abort(self, params: ChatAbortParams, _caller: Caller) -> ChatAbortResult:
        """Stop the runs of a session, or one of them, whichever door they came through."""
        key = target_of(params.agent_id or "", params.session_key, self._current()).session_key
        runs = [run for run in self._runs.active.of_session(key) if params.run_id in (UNSET, run.run_id)]
        for run in runs:
            run.abort("it was aborted over the WebSocket (chat.abort)")
        return ChatAbortResult(aborted=bool(runs), run_ids=[run.run_id for run in runs])

    def _known(self, key: str) -> BackgroundRun | None:
        """Return the run that an idempotency key has begun already.

        Raises:
            InvalidRequest: If the key is the id of a run that came through another door.
        """
        run = self._background.get(key)
        if run is None and self._runs.active.get(key) is not None:
            raise InvalidRequest("The idempotencyKey is another run's id.", param="idempotencyKey")
        return run


def target_of(agent_id: str, session_key: str, directory: LoadedConfig) -> Target:
    """Resolve the agent and the session that params name; both may be empty.

    Raises:
        MethodFailed: If one of them is malformed or unknown, or they contradict each other.
    """
    wish = Wish(model=MODEL, agent=agent_id, agent_param="agentId", session_key=session_key)
    try:
        return resolve(wish, directory, strict_model=False)
    except ModelNotFound as error:
        # Nobody else names an agent here: `MODEL` is the default one's name.
        unknown = agent_id or parse_requested(session_key).agent_id or session_key
        raise MethodFailed("INVALID_REQUEST", error.message, UnknownAgentIdErrorDetails(agent_id=unknown)) from error


def _completed(run: BackgroundRun, answer: Answer) -> AgentResult:
    choice = answer.choices()[0]
    text = choice.message.content
    agent = run.job.target.agent
    meta = AgentMetaModel(
        session_key=run.job.target.session_key,
        agent_id=agent.id,
        provider=agent.model.provider,
        model=agent.model.model,
        usage=token_usage(answer.usage) if answer.usage is not None else UNSET,
    )
    return AgentResult(
        run_id=run.job.run_id,
        status="ok",
        summary="completed",
        result=AgentAnswer(
            # There is no text at all when the model only called tools.
            payloads=[AgentPayload(text=text, media_url=None)] if text is not None else [],
            meta=AgentMeta(duration_ms=run.duration_ms, stop_reason=choice.finish_reason, agent_meta=meta),
        ),
    )


def _failed(run: BackgroundRun, error: GatewayError) -> AgentResult:
    """Return the result of a run that was stopped; raise for one that failed."""
    reason = _stop_reason(error)
    if reason:
        summary = "aborted" if isinstance(error, RunAborted) else error.message
        return AgentResult(run_id=run.job.run_id, status="timeout", summary=summary, stop_reason=reason)
    result: msgspec.Struct = AgentResult(run_id=run.job.run_id, status="error", summary=error.message)
    failure = failure_of(error)
    failure.payload = result
    raise failure


def _stop_reason(outcome: Answer | GatewayError) -> StopReason | None:
    if isinstance(outcome, RunAborted):
        return "rpc"
    return "timeout" if isinstance(outcome, RunTimedOut) else None


async def _progress(run: BackgroundRun) -> ChatSendResult:
    """Say how a run is getting on whose key has come again."""
    run_id = run.job.run_id
    if not run.done:
        return ChatSendResult(run_id=run_id, status="in_flight")
    outcome = await run.outcome()
    if isinstance(outcome, Answer):
        return ChatSendResult(run_id=run_id, status="ok")
    if _stop_reason(outcome):
        return ChatSendResult(run_id=run_id, status="timeout")
    return ChatSendResult(run_id=run_id, status="error", summary=outcome.message)
