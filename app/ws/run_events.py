"""A run told as events: ``agent`` to whoever began it, ``chat`` to everybody who may read.

A listener of the run, like HTTP's event stream. Knows the frames, not the connection they go to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import time
from typing import Literal

import msgspec
from msgspec import UNSET

from app.contract.frames import (
    AgentAssistantEvent,
    AgentLifecycle,
    AgentLifecycleEvent,
    AgentText,
    ChatAbortedEvent,
    ChatDeltaEvent,
    ChatErrorEvent,
    ChatFinalEvent,
)
from app.errors import GatewayError, RunAborted
from app.runs.answer import Answer
from app.runs.event import Event
from app.runs.job import Job
from app.ws.spoken import answer_message, token_usage

Room = Callable[[], Awaitable[None]]
"""Returns when there is room for more; a run waits for it."""

Publish = Callable[[str, msgspec.Struct], None]
"""Takes an event's name and payload; must return at once."""


def now() -> int:
    """Return milliseconds since 1970."""
    return int(time() * 1000)


class AgentEvents:
    """Tells a run of the method ``agent``: how it begins, every piece of text, how it ends."""

    def __init__(self, job: Job, publish: Publish, room: Room | None = None) -> None:
        self._job = job
        self._publish = publish
        self._room = room
        self._seq = 0
        self._text = ""
        self._began = now()

    def begin(self) -> None:
        """Tell that the run begins."""
        self._lifecycle(AgentLifecycle(phase="start", started_at=self._began))

    async def on_event(self, event: Event) -> None:
        """Tell what was added to the first choice."""
        delta = _first_text(event)
        if delta:
            self._text += delta
            self._seq += 1
            self._publish(
                "agent",
                AgentAssistantEvent(
                    run_id=self._job.run_id,
                    seq=self._seq,
                    ts=now(),
                    session_key=self._job.target.session_key,
                    agent_id=self._job.target.agent.id,
                    data=AgentText(text=self._text, delta=delta),
                ),
            )
            if self._room is not None:
                await self._room()

    async def flush(self) -> None:
        """Nothing is kept back here."""

    def end(self, outcome: Answer | GatewayError) -> None:
        """Tell how the run ended."""
        if isinstance(outcome, GatewayError):
            aborted = isinstance(outcome, RunAborted)
            self._lifecycle(
                AgentLifecycle(
                    phase="error",
                    started_at=self._began,
                    ended_at=now(),
                    error=outcome.message,
                    aborted=aborted or UNSET,
                    stop_reason="rpc" if aborted else UNSET,
                )
            )
        else:
            self._lifecycle(AgentLifecycle(phase="end", started_at=self._began, ended_at=now()))

    def _lifecycle(self, data: AgentLifecycle) -> None:
        self._seq += 1
        self._publish(
            "agent",
            AgentLifecycleEvent(
                run_id=self._job.run_id,
                seq=self._seq,
                ts=now(),
                session_key=self._job.target.session_key,
                agent_id=self._job.target.agent.id,
                data=data,
            ),
        )


class ChatEvents:
    """Tells a turn of a session: every piece of text, and one last event."""

    def __init__(self, job: Job, publish: Publish) -> None:
        self._job = job
        self._publish = publish
        self._seq = 0
        self._text: list[str] = []

    async def on_event(self, event: Event) -> None:
        """Tell what was added to the first choice."""
        delta = _first_text(event)
        if delta:
            self._text.append(delta)
            self._publish(
                "chat",
                ChatDeltaEvent(
                    run_id=self._job.run_id,
                    session_key=self._job.target.session_key,
                    agent_id=self._job.target.agent.id,
                    seq=self._next(),
                    delta_text=delta,
                    message=answer_message("".join(self._text), now()),
                ),
            )

    async def flush(self) -> None:
        """Nothing is kept back here."""

    def end(self, outcome: Answer | GatewayError) -> None:
        """Tell how the turn ended."""
        run_id, target = self._job.run_id, self._job.target
        key, agent_id, seq = target.session_key, target.agent.id, self._next()
        text = "".join(self._text)
        if isinstance(outcome, Answer):
            self._publish(
                "chat",
                ChatFinalEvent(
                    run_id=run_id,
                    session_key=key,
                    agent_id=agent_id,
                    seq=seq,
                    message=answer_message(text, now()),
                    usage=token_usage(outcome.usage) if outcome.usage is not None else UNSET,
                    stop_reason=outcome.choices()[0].finish_reason,
                ),
            )
        elif isinstance(outcome, RunAborted):
            self._publish(
                "chat",
                ChatAbortedEvent(
                    run_id=run_id,
                    session_key=key,
                    agent_id=agent_id,
                    seq=seq,
                    message=answer_message(text, now()) if text else UNSET,
                    error_message=outcome.message,
                    stop_reason="rpc",
                ),
            )
        else:
            self._publish(
                "chat",
                ChatErrorEvent(
                    run_id=run_id,
                    session_key=key,
                    agent_id=agent_id,
                    seq=seq,
                    error_message=outcome.message,
                    error_kind=_kind(outcome),
                ),
            )

    def _next(self) -> int:
        self._seq += 1
        return self._seq


def _first_text(event: Event) -> str:
    return "".join(choice.delta.content or "" for choice in event.choices if choice.index == 0)


def _kind(error: GatewayError) -> Literal["timeout", "rate_limit", "context_length", "unknown"]:
    if error.code == "context_length_exceeded":
        return "context_length"
    if error.status == 429:
        return "rate_limit"
    return "timeout" if error.status == 504 else "unknown"
