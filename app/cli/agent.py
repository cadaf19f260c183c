"""``zero agent``: one turn of an agent, its answer as it is generated."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from app.cli.ending import Ended, Interrupted, run
from app.cli.example import examples
from app.cli.report import Report
from app.cli.screen import Screen
from app.cli.session_key import check_session_key
from app.cli.whereabouts import Whereabouts, json_option, print_json, whereabouts


@click.command(
    "agent",
    epilog=examples(
        "zero agent --message 'What is the capital of France?'",
        "zero agent --agent beta --session-key notes --message 'And of Portugal?'",
        "git diff | zero agent --message - --timeout 60 > review.txt",
        "zero agent --message oi --json | jq -r .text",
    ),
)
@click.option("--message", "-m", required=True, help='What to say; "-" reads it from stdin.')
@click.option("--agent", "agent_id", metavar="ID", help="Which agent; the default one when not given.")
@click.option("--session-key", metavar="KEY", help="Continue this session. Without one nothing is kept.")
@click.option("--local", is_flag=True, help="Run it in this process, without a gateway: same configuration and store.")
@json_option
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Wait no longer.")
@whereabouts
def command(
    message: str,
    agent_id: str | None,
    session_key: str | None,
    local: bool,
    as_json: bool,
    timeout: float | None,
    where: Whereabouts,
) -> None:
    """Say something to an agent and print its answer as it is generated.

    Ctrl-C stops the run and leaves the session as it was.
    """
    check_session_key(session_key, agent_id)
    if local and (where.url is not None or where.token is not None):
        raise click.UsageError("--local runs without a gateway; --url and --token make no sense with it.")
    text = _message(message)
    report, screen = Report(), Screen(silent=as_json)
    ending: Ended | None
    try:
        run(_turn(text, report, screen, where, agent_id, session_key, timeout, local=local))
        ending = report.ending
    except Ended as ended:
        report.fail("aborted" if isinstance(ended, Interrupted) else "error", ended.message)
        ending = ended
    if as_json:
        print_json(report)
    if ending is not None:
        raise ending


async def _turn(
    message: str,
    report: Report,
    screen: Screen,
    where: Whereabouts,
    agent: str | None,
    session_key: str | None,
    seconds: float | None,
    *,
    local: bool,
) -> None:
    if local:
        from app.cli.local_turn import local_turn

        await local_turn(
            where.loaded(), os.environ, message, report, screen, agent=agent, session_key=session_key, seconds=seconds
        )
        return
    from app.cli.remote_turn import remote_turn

    try:
        async with asyncio.timeout(seconds) as deadline, where.connected() as client:
            await remote_turn(client, message, report, screen, agent=agent, session_key=session_key, seconds=seconds)
    except TimeoutError:
        if not deadline.expired():
            raise
        begun = report.run_id is not None
        what = "The run was not done" if begun else f"No gateway answered at {where.destination().url}"
        report.fail("timeout", f"{what} within {seconds:g} s, the limit set by --timeout.")


def _message(given: str) -> str:
    text = given
    if given == "-":
        try:
            text = sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.BadParameter("stdin is not UTF-8.", param_hint="--message") from None
    if not text.strip():
        raise click.BadParameter("the message is empty.", param_hint="--message")
    try:
        text.encode()
    except UnicodeEncodeError:  # a locale that doesn't know the bytes: they are UTF-8 as anywhere else, or wrong
        try:
            return os.fsencode(text).decode("utf-8")
        except UnicodeDecodeError:
            raise click.BadParameter("the message is not UTF-8.", param_hint="--message") from None
    return text
