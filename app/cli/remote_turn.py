"""A turn of an agent through the gateway, shown as it comes."""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING

from msgspec import UNSET

from app.cli.report import Report
from app.cli.screen import Screen
from app.client.failure import RequestFailed, RunStopped
from app.client.turn import take_turn
from app.contract.frames import AgentAccepted, AgentAnswer, AgentMetaModel, AgentParams, AgentResult

if TYPE_CHECKING:
    from app.client.connection import GatewayClient


async def remote_turn(
    client: GatewayClient,
    message: str,
    report: Report,
    screen: Screen,
    *,
    agent: str | None = None,
    session_key: str | None = None,
    seconds: float | None = None,
) -> None:
    """Have an agent answer.

    Args:
        client: The connection.
        message: What the user says.
        report: Filled in.
        screen: Where the answer appears.
        agent: The agent's id, if not the default one.
        session_key: The session, if there is to be one.
        seconds: The longest it may take; whoever calls this stops it by then.

    Raises:
        Unreachable: If the connection ends.
        OutputFailed: If the answer can't be shown.
    """
    params = AgentParams(
        message=message,
        idempotency_key=f"run_{uuid.uuid4().hex}",
        agent_id=agent or UNSET,
        session_key=session_key or UNSET,
        # It is stopped from here in time; this is for the case that we are gone by then.
        timeout=math.ceil(seconds) + 1 if seconds is not None else UNSET,
    )
    report.run_id = params.idempotency_key

    def accepted(answer: AgentAccepted) -> None:
        report.agent_id = answer.agent_id or None
        report.session_key = answer.session_key or None

    def on_text(text: str) -> None:
        report.text += text
        screen.text(text)

    try:
        async with screen.waiting():
            result = await take_turn(client, params, accepted, on_text)
    except RequestFailed as error:
        report.fail("error", str(error))
    except RunStopped as error:
        report.fail("aborted", str(error))
    else:
        _conclude(result, report, screen)
    finally:
        screen.end()


def _conclude(result: AgentResult, report: Report, screen: Screen) -> None:
    if result.status == "timeout":
        report.fail("timeout", result.summary)
    elif result.status == "error":
        report.fail("error", result.summary)
    elif isinstance(result.result, AgentAnswer):
        text = "".join(payload.text for payload in result.result.payloads)
        if text.startswith(report.text):  # what came without an event, if anything
            screen.text(text[len(report.text) :])
        report.text = text
        meta = result.result.meta.agent_meta
        if isinstance(meta, AgentMetaModel) and meta.usage is not UNSET:
            report.usage = meta.usage
