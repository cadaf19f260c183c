"""``zero status``: what the gateway is doing."""

from __future__ import annotations

from time import perf_counter, time

import click
import msgspec
from msgspec import UNSET

from app.cli.ending import run
from app.cli.example import examples
from app.cli.output import echo
from app.cli.table import facts, span, table
from app.cli.whereabouts import Whereabouts, json_option, print_json, whereabouts
from app.contract.frames import HelloOk, StatusParams, StatusResult

_RECENT = 5


@click.command("status", epilog=examples("zero status", "zero status --json", "zero status || zero gateway"))
@json_option
@whereabouts
def command(as_json: bool, where: Whereabouts) -> None:
    """Say what the gateway is doing. Exits with 3 when none answers."""

    async def ask() -> tuple[str, HelloOk, StatusResult, float]:
        began = perf_counter()
        url = where.destination().url
        async with where.connected() as client:
            status = await client.request("status", StatusParams(), StatusResult)
            return url, client.hello, status, (perf_counter() - began) * 1000

    url, hello, status, milliseconds = run(ask())
    if as_json:
        about = {"url": url, "protocol": hello.protocol, "latencyMs": round(milliseconds, 1)}
        print_json({**about, **msgspec.to_builtins(status)})
        return
    echo(
        facts(
            [
                ("gateway", f"{url}, version {status.runtime_version}, protocol {hello.protocol}"),
                *_configuration(status),
                ("up for", span(status.uptime_ms / 1000)),
                ("answered in", f"{milliseconds:.0f} ms"),
                ("connections", str(status.connections)),
                ("active runs", str(status.active_runs)),
                ("default agent", f"{status.heartbeat.default_agent_id} ({_model(status)})"),
                ("sessions", f"{status.sessions.count} in {', '.join(status.sessions.paths)}"),
            ]
        )
    )
    recent = status.sessions.recent[:_RECENT]
    if recent:
        rows = [(row.key, f"{span(time() - (row.updated_at or 0) / 1000)} ago") for row in recent]
        echo(f"\n{table(('RECENT SESSIONS', 'CHANGED'), rows)}")


def _configuration(status: StatusResult) -> list[tuple[str, str]]:
    now = status.configuration
    if now is UNSET:  # an older gateway
        return []
    lines = [("configuration", f"revision {now.revision}, read {span(time() - now.read_at / 1000)} ago")]
    if now.mistake is not UNSET:
        lines.append(("not applied", now.mistake))
    if now.restart:
        lines.append(("needs a restart", ", ".join(now.restart)))
    return lines


def _model(status: StatusResult) -> str:
    defaults = status.sessions.defaults
    return f"{defaults.model_provider}/{defaults.model}" if defaults.model else "-"
