"""A run told as events: ``agent`` to whoever began it, ``chat`` to everybody who may read.

A listener of the run, like HTTP's event stream. Knows the frames, not the connection they go to.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from app.contract.frames import (
    AgentAssistantEvent,
    AgentLifecycle,
    AgentLifecycleEvent,
    AgentText,
    ChatAbortedEvent,
    ChatDeltaEvent,
    ChatErrorEvent,
    ChatFinalEvent,
    ChatMessage,
)
from app.errors import GatewayError, RunAborted
from app.runs.answer import Answer
from app.runs.event import Event
from app.runs.job import Job
from app.ws.growing_text import GrowingText, Room
from app.ws.spoken import answer_message, token_usage

Publish = Callable[[str, msgspec.Struct], None]
"""Takes an event's name and payload; must return at once."""


def now() -> int:
    """Return milliseconds since 1970."""
    return int(time() * 1000)


class AgentEvents:
    """Tells a run of the method ``agent``: how it begins, how its text grows, how it ends."""

    def __init__(self, job: Job, publish: Publish, room: Room | None = None) -> None:
        self._job = job
        self._publish = publish
        self._seq = 0
        self._text = GrowingText(self._assistant, room)
        self._began = now()

    def begin(self) -> None:
        """Tell that the run begins."""
        self._lifecycle(AgentLifecycle(phase="start", started_at=self._began))

    async def on_event(self, event: Event) -> None:
        """Tell what was added to the first choice."""
        await _follow(self._text, event)

    async def flush(self) -> None:
        """Tell what was kept back for an event that said nothing."""
        await self._text.flush()

    def end(self, outcome: Answer | GatewayError) -> None:
        """Tell how the run ended."""
        self._text.finish()
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
        self._text.forget()

    def _assistant(self, delta: str, whole: str | None) -> None:
        self._seq += 1
        self._publish(
            "agent",
            AgentAssistantEvent(
                run_id=self._job.run_id,
                seq=self._seq,
                ts=now(),
                session_key=self._job.target.session_key,
                agent_id=self._job.target.agent.id,
                data=AgentText(text=whole if whole is not None else UNSET, delta=delta),
            ),
        )

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
    """Tells a turn of a session: how its text grows, and one last event."""

    def __init__(self, job: Job, publish: Publish, room: Room | None = None) -> None:
        self._job = job
        self._publish = publish
        self._seq = 0
        self._text = GrowingText(self._delta, room)

    async def on_event(self, event: Event) -> None:
        """Tell what was added to the first choice."""
        await _follow(self._text, event)

    async def flush(self) -> None:
        """Tell what was kept back for an event that said nothing."""
        await self._text.flush()

    def end(self, outcome: Answer | GatewayError) -> None:
        """Tell how the turn ended."""
        self._text.finish()
        run_id, target = self._job.run_id, self._job.target
        key, agent_id, seq = target.session_key, target.agent.id, self._next()
        text = self._text.repeated
        if isinstance(outcome, Answer):
            self._publish(
                "chat",
                ChatFinalEvent(
                    run_id=run_id,
                    session_key=key,
                    agent_id=agent_id,
                    seq=seq,
                    message=_message(text),
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
                    message=_message(text) if text else UNSET,
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
        self._text.forget()

    def _delta(self, delta: str, whole: str | None) -> None:
        self._publish(
            "chat",
            ChatDeltaEvent(
                run_id=self._job.run_id,
                session_key=self._job.target.session_key,
                agent_id=self._job.target.agent.id,
                seq=self._next(),
                delta_text=delta,
                message=_message(whole),
            ),
        )

    def _next(self) -> int:
        self._seq += 1
        return self._seq


async def _follow(text: GrowingText, event: Event) -> None:
    """Have the text of the first choice told; what is left of it before the choice's end is."""
    first = [choice for choice in event.choices if choice.index == 0]
    delta = "".join(choice.delta.content or "" for choice in first)
    if delta:
        await text.add(delta, more=event.more)
    if any(choice.finish_reason is not None for choice in first):
        await text.settle()


def _message(text: str | None) -> ChatMessage | UnsetType:
    return answer_message(text, now()) if text is not None else UNSET


def _kind(error: GatewayError) -> Literal["timeout", "rate_limit", "context_length", "unknown"]:
    if error.code == "context_length_exceeded":
        return "context_length"
    if error.status == 429:
        return "rate_limit"
    return "timeout" if error.status == 504 else "unknown"
