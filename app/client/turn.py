"""One turn of an agent through a gateway: the method ``agent`` with its events, and its abortion.

Knows the protocol's words for it. What becomes of the text is for the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from app.client.connection import Call, GatewayClient
from app.client.failure import ClientError, RunStopped
from app.contract.frames import (
    AgentAccepted,
    AgentAssistantEvent,
    AgentEvent,
    AgentLifecycleEvent,
    AgentParams,
    AgentResult,
    ChatAbortParams,
    ChatAbortResult,
    EventFrame,
)

ABORT_SECONDS: Final = 1.5
"""How long a gateway has to stop a run: somebody waits who wants to leave."""
_ANY_SESSION: Final = "main"
_STOPPED: Final = "The run was aborted through the gateway (chat.abort)."


async def take_turn(
    client: GatewayClient,
    params: AgentParams,
    accepted: Callable[[AgentAccepted], None],
    on_text: Callable[[str], None],
) -> AgentResult:
    """Run an agent and wait for its answer. Cancelled, or failing on the way, it aborts the run.

    Args:
        client: The connection; its ``listener`` is taken.
        params: What to run; the idempotency key becomes the run's id.
        accepted: Called when the gateway has begun.
        on_text: Called with each piece of text; what it raises is raised here.

    Raises:
        RequestFailed: If the run failed or was refused.
        RunStopped: If somebody else stopped it.
        Unreachable: If the connection ends.
    """
    begun: AgentAccepted | None = None
    async with client.call("agent", params) as call:
        listener = client.listener = _Listener(params.idempotency_key, call, on_text)
        try:
            begun = await call.answer(AgentAccepted)
            accepted(begun)
            result = await call.answer(AgentResult)
        except ClientError:
            raise
        except BaseException:
            client.listener = None
            await _abort(client, params, begun)
            raise
        finally:
            client.listener = None
    if result.status == "timeout" and result.stop_reason != "timeout":
        raise RunStopped(listener.why_stopped or _STOPPED)
    return result


class _Listener:
    """Takes in what the gateway tells of one run."""

    def __init__(self, run_id: str, call: Call, on_text: Callable[[str], None]) -> None:
        self.why_stopped = ""
        self._run_id = run_id
        self._call = call
        self._on_text = on_text
        self._failed = False

    def __call__(self, frame: EventFrame) -> None:
        if frame.event != "agent":
            return
        try:
            event = msgspec.convert(frame.payload, AgentEvent)
        except msgspec.ValidationError:  # other kinds of agent events are none of ours
            return
        if event.run_id != self._run_id:
            return
        if isinstance(event, AgentLifecycleEvent):
            if event.data.phase == "error":
                self.why_stopped = event.data.error or ""
        elif not self._failed:
            self._tell(event)

    def _tell(self, event: AgentAssistantEvent) -> None:
        try:
            self._on_text(event.data.delta)
        except Exception as error:
            self._failed = True
            self._call.put(error)


async def _abort(client: GatewayClient, params: AgentParams, begun: AgentAccepted | None) -> None:
    # The run's id is ours, so that nothing has to be waited for. Without a key of ours the gateway has made one up for
    # this run only, and takes any.
    session_key = (begun.session_key if begun is not None else params.session_key) or _ANY_SESSION
    wanted = ChatAbortParams(session_key=session_key, run_id=params.idempotency_key)
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(ABORT_SECONDS):
            await client.request("chat.abort", wanted, ChatAbortResult)
