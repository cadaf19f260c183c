"""One turn of an agent through a gateway: the method ``agent`` with its events, and its abortion.

Knows the protocol's words for it. What becomes of the text is for the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from app.client.connection import GatewayClient
from app.client.failure import ClientError
from app.contract.frames import (
    AgentAccepted,
    AgentAssistantEvent,
    AgentEvent,
    AgentParams,
    AgentResult,
    ChatAbortParams,
    ChatAbortResult,
    EventFrame,
)

ABORT_SECONDS: Final = 3.0


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
        on_text: Called with each piece of text.

    Raises:
        RequestFailed: If the run failed or was refused.
        Unreachable: If the connection ends.
    """

    def listen(frame: EventFrame) -> None:
        if frame.event != "agent":
            return
        with suppress(msgspec.ValidationError):  # other kinds of agent events are none of ours
            event = msgspec.convert(frame.payload, AgentEvent)
            if isinstance(event, AgentAssistantEvent) and event.run_id == params.idempotency_key:
                try:
                    on_text(event.data.delta)
                except OSError as error:
                    broken.append(error)
                    task.cancel()

    task = _current_task()
    broken: list[OSError] = []
    begun: AgentAccepted | None = None
    client.listener = listen
    try:
        async with client.call("agent", params) as call:
            begun = await call.answer(AgentAccepted)
            accepted(begun)
            return await call.answer(AgentResult)
    except BaseException as error:
        session_key = begun.session_key if begun is not None else params.session_key
        if session_key and not isinstance(error, ClientError):
            await abort(client, session_key, params.idempotency_key)
        if broken:
            task.uncancel()
            raise broken[0] from None
        raise
    finally:
        client.listener = None


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    return task


async def abort(client: GatewayClient, session_key: str, run_id: str) -> None:
    """Stop a run, if it can be done within moments."""
    params = ChatAbortParams(session_key=session_key, run_id=run_id)
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(ABORT_SECONDS):
            await client.request("chat.abort", params, ChatAbortResult)
