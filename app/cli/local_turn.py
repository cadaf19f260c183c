"""A turn of an agent in this very process: the same resolver, run, engines and store as in a gateway, and no door."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from app.cli.report import Report, Status
from app.cli.screen import Screen
from app.cli.session_key import OPTION
from app.config import LoadedConfig
from app.errors import GatewayError, RunAborted, RunTimedOut
from app.machinery import Machinery
from app.routing.target import Wish, resolve
from app.runs.event import Event
from app.runs.job import new_run_id
from app.ws.spoken import MODEL, job_of_text, token_usage


class _Listener:
    """Shows the first choice's text, as a gateway's events tell it."""

    def __init__(self, report: Report, screen: Screen) -> None:
        self._report = report
        self._screen = screen

    async def on_event(self, event: Event) -> None:
        text = "".join(choice.delta.content or "" for choice in event.choices if choice.index == 0)
        self._report.text += text
        self._screen.text(text)

    async def flush(self) -> None:
        """Nothing is kept back here."""


async def local_turn(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
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
        loaded: The configuration.
        environ: Environment variables.
        message: What the user says.
        report: Filled in.
        screen: Where the answer appears.
        agent: The agent's id, if not the default one.
        session_key: The session, if there is to be one.
        seconds: The longest it may take.

    Raises:
        ConfigError: If there is no telling where the state belongs.
        OutputFailed: If the answer can't be shown.
    """
    # What fails is told by the command; only what nobody foresaw needs more words than that.
    logging.getLogger("zero").setLevel(logging.ERROR)
    machinery = Machinery(lambda: loaded, environ)
    try:
        await _turn(machinery, loaded, message, report, screen, agent or "", session_key or "", seconds)
    except GatewayError as error:
        kinds: dict[type[GatewayError], Status] = {RunTimedOut: "timeout", RunAborted: "aborted"}
        report.fail(kinds.get(type(error), "error"), error.message)
    finally:
        await machinery.close()


async def _turn(
    machinery: Machinery,
    loaded: LoadedConfig,
    message: str,
    report: Report,
    screen: Screen,
    agent: str,
    session_key: str,
    seconds: float | None,
) -> None:
    wish = Wish(model=MODEL, agent=agent, agent_param="--agent", session_key=session_key, session_param=OPTION)
    target = resolve(wish, loaded, strict_model=False)
    job = job_of_text(message, target, new_run_id(), time_limit=seconds)
    job = msgspec.structs.replace(job, time_limit_name="--timeout")
    report.run_id, report.agent_id, report.session_key = job.run_id, target.agent.id, target.session_key
    try:
        async with screen.waiting():
            answer = await machinery.runs.execute(job, _Listener(report, screen))
        report.text = answer.choices()[0].message.content or ""
        report.usage = token_usage(answer.usage) if answer.usage is not None else None
    finally:
        screen.end()
