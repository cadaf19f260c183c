"""``agent``, ``agent.wait``, ``chat.send`` and ``chat.abort``: runs begun, awaited and stopped over the WebSocket.

The same runs as over HTTP: same resolver, same path. Runs begun here go on when the connection breaks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from sys import getsizeof
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

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
)
from app.errors import GatewayError, InvalidRequest
from app.large.aside import LARGE, aside_if
from app.large.written import Written
from app.routing.session_key import full_key, parse_requested, scoped
from app.runs.active import ActiveRun
from app.runs.answer import Answer
from app.runs.background import BackgroundRun, BackgroundRuns, Reply
from app.runs.ending import Ending, How
from app.runs.job import Job
from app.runs.run import Runs
from app.security.allowance import Allowances
from app.security.named_key import who
from app.ws.caller import Caller
from app.ws.failure import MethodFailed, failure_of
from app.ws.hub import Hub
from app.ws.run_events import AgentEvents, ChatEvents
from app.ws.spoken import job_of_text, messages_of, token_usage
from app.ws.target import key_of, sees, target_of

DEFAULT_WAIT_SECONDS = 30.0
MAX_KEY_BYTES: Final = 512
"""The longest idempotencyKey. It is the run's id, which all that is told of the run repeats."""

_ABORTED: Final = "it was aborted over the WebSocket (chat.abort)"
_STATUSES: Final[Mapping[How, Literal["ok", "error", "timeout"]]] = MappingProxyType(
    {"done": "ok", "failed": "error", "aborted": "timeout", "timed out": "timeout"}
)
"""What the protocol calls the ends of runs. It has no word of its own for an aborted one."""
_STOP_REASONS: Final[Mapping[How, Literal["rpc", "timeout"]]] = MappingProxyType(
    {"aborted": "rpc", "timed out": "timeout"}
)


class AgentMethods:
    """Answers the methods that run agents.

    Args:
        runs: Executes runs.
        background: Keeps those begun here.
        hub: Where ``chat`` events go.
        current: Returns the configuration in force.
        allowances: Knows what API keys may use.
    """

    def __init__(
        self,
        runs: Runs,
        background: BackgroundRuns,
        hub: Hub,
        current: Callable[[], LoadedConfig],
        allowances: Allowances,
    ) -> None:
        self._runs = runs
        self._background = background
        self._hub = hub
        self._current = current
        self._allowances = allowances

    async def agent(self, params: AgentParams, caller: Caller) -> AgentResult:
        """Run an agent: the first answer says that it was accepted, the second what came of it."""
        system = params.extra_system_prompt or ""
        large = len(params.message) + len(system) > LARGE
        said = await aside_if(large, messages_of, params.message, system)
        words = ("agent", params.message, params.agent_id, params.session_key, system, params.timeout)
        asked = await aside_if(large, _digest, caller, *words)
        run = self._known(params.idempotency_key, asked)
        events: AgentEvents | None = None
        if run is None:
            target = target_of(params.agent_id or "", params.session_key or "", self._current(), caller.key)
            job = job_of_text(
                params.message,
                target,
                params.idempotency_key,
                system=system,
                said=said,
                time_limit=float(params.timeout) if params.timeout else None,
                allowance=self._allowances.of(caller.key),
                caller=who(caller.key),
            )
            events = AgentEvents(job, caller.event, caller.room)
            run = self._start(job, events, caller, asked, params.message + system)
        caller.accept(
            AgentAccepted(
                run_id=run.run_id,
                accepted_at=_milliseconds(run.started_at),
                session_key=run.session_key,
                agent_id=run.agent_id,
            )
        )
        if events is not None:
            events.begin()
        outcome = await run.outcome()
        if isinstance(outcome, Reply):
            return _completed(run, outcome)
        return _failed(await run.ended(), outcome, run.run_id)

    async def wait(self, params: AgentWaitParams, caller: Caller) -> AgentWaitResult:
        """Wait for a run, whichever door it came through; not longer than asked for."""
        run = self._background.get(params.run_id) or self._runs.active.get(params.run_id)
        if run is None or not sees(caller.key, run.session_key):
            return await self._interrupted(params.run_id, caller)
        seconds = DEFAULT_WAIT_SECONDS if params.timeout_ms is UNSET else params.timeout_ms / 1000
        started_at = _milliseconds(run.started_at)
        try:
            async with asyncio.timeout(seconds):
                ending = await run.ended()
        except TimeoutError:
            return AgentWaitResult(run_id=params.run_id, status="timeout", started_at=started_at)
        return AgentWaitResult(
            run_id=params.run_id,
            status=_STATUSES[ending.how],
            started_at=started_at,
            ended_at=_milliseconds(ending.at),
            stop_reason=_STOP_REASONS.get(ending.how, UNSET),
            error=ending.message or UNSET,
        )

    async def _interrupted(self, run_id: str, caller: Caller) -> AgentWaitResult:
        """Tell of a run that ended with its process.

        Raises:
            MethodFailed: If there is none of that id.
        """
        run = await self._runs.interrupted(run_id)
        if run is None or not sees(caller.key, run.session_key):
            raise MethodFailed("INVALID_REQUEST", f"there is no run {run_id[:100]!r}")
        return AgentWaitResult(
            run_id=run_id,
            status="error",
            started_at=_milliseconds(run.started_at),
            ended_at=_milliseconds(run.found_at),
            error="The run was interrupted: its process ended before it was done.",
        )

    async def send(self, params: ChatSendParams, caller: Caller) -> ChatSendResult:
        """Say something in a session; ``chat`` events tell everybody what comes of it."""
        large = len(params.message) > LARGE
        said = await aside_if(large, messages_of, params.message)
        words = ("chat.send", params.message, params.agent_id, params.session_key, params.timeout_ms)
        asked = await aside_if(large, _digest, caller, *words)
        run = self._known(params.idempotency_key, asked)
        if run is not None:
            return await _progress(run)
        if not params.message.strip():
            raise InvalidRequest("The message is empty.", param="message")
        target = target_of(params.agent_id or "", params.session_key, self._current(), caller.key)
        limit = params.timeout_ms / 1000 if params.timeout_ms else None
        allowance = self._allowances.of(caller.key)
        job = job_of_text(
            params.message,
            target,
            params.idempotency_key,
            time_limit=limit,
            said=said,
            allowance=allowance,
            caller=who(caller.key),
        )
        # Everybody hears of it who may, and whoever asked sets the pace.
        events = ChatEvents(job, partial(self._hub.broadcast, session_key=target.session_key), caller.room)
        self._start(job, events, caller, asked, params.message)
        return ChatSendResult(run_id=job.run_id, status="started")

    async def abort(self, params: ChatAbortParams, caller: Caller) -> ChatAbortResult:
        """Stop the runs of a session, or one of them, whichever door they came through."""
        key = key_of(params.session_key, params.agent_id or "", self._current(), caller.key)
        if params.run_id is UNSET:
            stopped = await self._runs.abort(key, _ABORTED)
        elif (run := self._runs.active.get(params.run_id)) is None:
            stopped = await self._runs.abort_elsewhere(key, params.run_id, _ABORTED)
        elif sees(caller.key, run.session_key) and _is_in(run, key, params, caller):
            run.abort(_ABORTED)
            stopped = [run.run_id]
        else:
            stopped = []
        return ChatAbortResult(aborted=bool(stopped), run_ids=stopped)

    def _start(
        self, job: Job, events: AgentEvents | ChatEvents, caller: Caller, asked: bytes, text: str
    ) -> BackgroundRun:
        """Start a run on behalf of a connection, which may have begun only so many.

        Raises:
            MethodFailed: If it has, or the gateway is stopping.
        """
        if self._hub.closing:
            raise MethodFailed("UNAVAILABLE", "the gateway is stopping, and begins no more runs", retry_after=1)
        begun = caller.begun
        begun.begin(job.run_id, getsizeof(text))

        def end(outcome: Answer | GatewayError) -> None:
            begun.end(job.run_id)
            events.end(outcome)

        return self._background.start(job, events, end, asked=asked)

    def _known(self, key: str, asked: bytes) -> BackgroundRun | None:
        """Return the run that an idempotency key has begun already.

        Raises:
            InvalidRequest: If the key is too long, has begun a run that was asked for in other words, or is the id of a
                run that came through another door.
        """
        if len(key.encode()) > MAX_KEY_BYTES:
            what = f"The idempotencyKey has more than {MAX_KEY_BYTES} bytes. Use a shorter one, such as a UUID."
            raise InvalidRequest(what, param="idempotencyKey")
        run = self._background.get(key)
        if run is None and self._runs.active.get(key) is not None:
            raise InvalidRequest("The idempotencyKey is another run's id.", param="idempotencyKey")
        if run is not None and run.asked != asked:
            raise InvalidRequest(
                "The idempotencyKey has begun another run: what was asked for then is not what is asked for now. "
                "Use a new key for a new request.",
                param="idempotencyKey",
            )
        return run


def _is_in(run: ActiveRun, key: str, params: ChatAbortParams, caller: Caller) -> bool:
    """Tell whether a run may be meant by a request that names it, and a session with this key.

    A session that a stateless run has for itself is named by the gateway, and a bare key is completed by it: before the
    first answer a client knows neither, so that its run's id must do.
    """
    if run.session_key == key or not run.stateful:
        return True
    bare = parse_requested(params.session_key)
    rest = scoped(caller.key.session_scope if caller.key is not None else "", bare.rest)
    return bare.agent_id is None and not params.agent_id and run.session_key == full_key(run.agent_id, rest)


def _digest(caller: Caller, method: str, *asked: str | int | UnsetType) -> bytes:
    """Return what tells a request from others: a param that is absent says no more than an empty one.

    What somebody else asks is another request, whatever the words.
    """
    said = [value or None for value in asked]
    owner = [caller.key.name] if caller.key is not None else []
    digest = hashlib.sha256()
    for piece in Written([method, *said, *owner]).pieces():
        digest.update(piece)
    return digest.digest()


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _completed(run: BackgroundRun, reply: Reply) -> AgentResult:
    meta = AgentMetaModel(
        session_key=run.session_key,
        agent_id=run.agent_id,
        provider=reply.model.provider if reply.model is not None else UNSET,
        model=reply.model.model if reply.model is not None else UNSET,
        usage=token_usage(reply.usage) if reply.usage is not None else UNSET,
    )
    return AgentResult(
        run_id=run.run_id,
        status="ok",
        summary="completed",
        result=AgentAnswer(
            # There is no text at all when the model only called tools.
            payloads=[AgentPayload(text=reply.text, media_url=None)] if reply.text is not None else [],
            meta=AgentMeta(duration_ms=run.duration_ms, stop_reason=reply.finish_reason, agent_meta=meta),
        ),
    )


def _failed(ending: Ending, error: GatewayError, run_id: str) -> AgentResult:
    """Return the result of a run that was stopped; raise for one that failed."""
    reason = _STOP_REASONS.get(ending.how)
    if reason is not None:
        summary = "aborted" if ending.how == "aborted" else error.message
        return AgentResult(run_id=run_id, status="timeout", summary=summary, stop_reason=reason)
    result: msgspec.Struct = AgentResult(run_id=run_id, status="error", summary=error.message)
    failure = failure_of(error)
    failure.payload = result
    raise failure


async def _progress(run: BackgroundRun) -> ChatSendResult:
    """Say how a run is getting on whose key has come again."""
    if not run.done:
        return ChatSendResult(run_id=run.run_id, status="in_flight")
    ending = await run.ended()
    status = _STATUSES[ending.how]
    return ChatSendResult(run_id=run.run_id, status=status, summary=ending.message if status == "error" else UNSET)
