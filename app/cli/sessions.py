"""``zero sessions``: stored conversations, listed, shown, emptied, removed, verified."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import time

import click
from msgspec import UNSET

from app.cli.ending import Ended, run
from app.cli.example import examples
from app.cli.output import echo
from app.cli.session_key import check_session_key
from app.cli.stored_sessions import branches, export_sessions, import_sessions, restore
from app.cli.table import facts, moment, span, table
from app.cli.whereabouts import Whereabouts, json_option, print_json, whereabouts
from app.contract.frames import (
    ChatHistoryParams,
    ChatHistoryResult,
    SessionRow,
    SessionsDeleteParams,
    SessionsDeleteResult,
    SessionsDescribeParams,
    SessionsDescribeResult,
    SessionsListParams,
    SessionsListResult,
    SessionsResetParams,
    SessionsResetResult,
)

_AT_A_TIME = 1000
_yes = click.option("--yes", "-y", is_flag=True, help="Don't ask.")


@click.group("sessions", epilog=examples("zero sessions list", "zero sessions show agent:main:notes"))
def command() -> None:
    """List, show, reset, delete, export, import and verify sessions. A bare KEY means the default agent's session."""


for _stored in (export_sessions, import_sessions, branches, restore):
    command.add_command(_stored)


@command.command("list", epilog=examples("zero sessions list --agent beta", "zero sessions list --search chat --json"))
@click.option("--agent", "agent_id", metavar="ID", help="Only those of this agent.")
@click.option("--search", metavar="TEXT", help="Only those whose key has this text in it.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@json_option
@whereabouts
def list_sessions(agent_id: str | None, search: str | None, limit: int, as_json: bool, where: Whereabouts) -> None:
    """List sessions, the last changed first."""
    params = SessionsListParams(limit=limit, agent_id=agent_id.lower() if agent_id else UNSET, search=search or UNSET)

    async def ask() -> SessionsListResult:
        async with where.connected() as client:
            return await client.request("sessions.list", params, SessionsListResult)

    found = run(ask())
    if as_json:
        print_json(found)
        return
    if not found.sessions:
        echo("There are no sessions." if not (agent_id or search) else "No session is like that.")
        return
    rows = [(row.key, row.agent_id or "-", _model(row), _age(row), _state(row)) for row in found.sessions]
    echo(table(("KEY", "AGENT", "MODEL", "CHANGED", "STATE"), rows))
    if found.has_more:
        echo(f"\n{found.count} of {found.total_count}; --limit shows more.")


@command.command("show", epilog=examples("zero sessions show notes", "zero sessions show agent:main:notes --json"))
@click.argument("key")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="How many messages at most."
)
@json_option
@whereabouts
def show(key: str, limit: int, as_json: bool, where: Whereabouts) -> None:
    """Show what was said in a session, the last messages of it."""
    from app.cli.transcript import printed

    check_session_key(key, given_as="KEY")

    async def ask() -> tuple[SessionsDescribeResult, ChatHistoryResult]:
        async with where.connected() as client:
            described = await client.request(
                "sessions.describe", SessionsDescribeParams(key=key), SessionsDescribeResult
            )
            params = ChatHistoryParams(session_key=key, limit=limit)
            return described, await client.request("chat.history", params, ChatHistoryResult)

    described, history = run(ask())
    row = described.session
    if row is None:
        raise Ended(f"There is no session {history.session_key!r}.")
    if as_json:
        print_json({"session": row, "messages": history.messages, "hasMore": bool(history.has_more)})
        return
    echo(
        facts(
            [
                ("key", row.key),
                ("agent", row.agent_id or "-"),
                ("model", _model(row)),
                ("created", moment(row.created_at or None)),
                ("changed", moment(row.updated_at or None)),
                ("state", _state(row)),
            ]
        )
    )
    echo(f"\n{printed(history) or '(nothing was said yet)'}")


@command.command("reset", epilog=examples("zero sessions reset notes --yes"))
@click.argument("key")
@_yes
@json_option
@whereabouts
def reset(key: str, yes: bool, as_json: bool, where: Whereabouts) -> None:
    """Forget what was said in a session; its key stays. Runs in it are stopped."""
    check_session_key(key, given_as="KEY")
    _confirm(f"Forget everything that was said in {key}?", yes=yes)

    async def ask() -> SessionsResetResult:
        async with where.connected() as client:
            return await client.request("sessions.reset", SessionsResetParams(key=key), SessionsResetResult)

    done = run(ask())
    if as_json:
        print_json(done)
    else:
        echo(f"{done.key} is empty.")


@command.command("delete", epilog=examples("zero sessions delete notes --yes", "zero sessions delete --user maria"))
@click.argument("key", required=False)
@click.option("--user", metavar="ID", help="Every session whose key was made from this value of `user`.")
@_yes
@json_option
@whereabouts
def delete(key: str | None, user: str | None, yes: bool, as_json: bool, where: Whereabouts) -> None:
    """Remove a session and everything that was said in it, or all sessions of a user. Runs in them are stopped."""
    if (key is None) == (not user):
        raise click.UsageError("Say what to delete: a KEY, or --user.")
    if key is None:
        _delete_all(str(user), yes=yes, as_json=as_json, where=where)
        return
    check_session_key(key, given_as="KEY")
    _confirm(f"Delete {key} and everything that was said in it?", yes=yes)

    async def ask() -> SessionsDeleteResult:
        async with where.connected() as client:
            return await client.request("sessions.delete", SessionsDeleteParams(key=key), SessionsDeleteResult)

    done = run(ask())
    if as_json:
        print_json(done)
    elif done.deleted:
        echo(f"{done.key} is deleted.")
    if not done.deleted:
        raise Ended(f"There is no session {done.key!r}.")


@command.command("verify", epilog=examples("zero sessions verify", "zero sessions verify --json"))
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]")
@json_option
def verify(config_file: Path | None, as_json: bool) -> None:
    """Derive every hash of every stored message anew. Exits with 1 when something is not what was once stored.

    Reads the store itself, whether a gateway runs or not.
    """
    from app.config import config_path, load
    from app.engines.registry import registered_engines
    from app.machinery import session_store
    from app.sessions.store import StoreError, Verification

    async def derive() -> Verification:
        loaded = load(config_file or config_path(os.environ), os.environ, registered_engines())
        store = session_store(loaded.config.session.store, os.environ)
        try:
            return await store.verify()
        except StoreError as error:
            raise Ended(str(error)) from None
        finally:
            await store.close()

    found = run(derive())
    if as_json:
        print_json(found)
    else:
        for fault in found.faults:
            echo(f"{fault.session_key}  {fault.message_id}: {fault.problem}")
        echo(f"{found.sessions} session(s), {found.messages} message(s), {len(found.faults)} fault(s).")
    if found.faults:
        raise Ended("The store is damaged. Restore it from a copy, or delete the sessions that are named.")


def _delete_all(user: str, *, yes: bool, as_json: bool, where: Whereabouts) -> None:
    from app.routing.session_key import rest_for_user

    rest = rest_for_user(user)

    async def find() -> list[str]:
        keys: list[str] = []
        async with where.connected() as client:
            seen, more = 0, True
            while more:
                params = SessionsListParams(limit=_AT_A_TIME, offset=seen, search=rest)
                found = await client.request("sessions.list", params, SessionsListResult)
                seen, more = seen + len(found.sessions), bool(found.has_more and found.sessions)
                keys += [row.key for row in found.sessions if row.key.split(":", 2)[-1] == rest]
        return sorted(set(keys))

    async def ask(keys: list[str]) -> list[str]:
        async with where.connected() as client:
            return [
                key
                for key in keys
                if (
                    await client.request("sessions.delete", SessionsDeleteParams(key=key), SessionsDeleteResult)
                ).deleted
            ]

    keys = run(find())
    if keys:
        _confirm(f"Delete {len(keys)} session(s) of {user} and everything that was said in them?", yes=yes)
    deleted = run(ask(keys)) if keys else []
    if as_json:
        print_json({"user": user, "deleted": deleted})
    else:
        echo(f"{len(deleted)} session(s) of {user} are deleted.")


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask here: add --yes.")
    if not click.confirm(question):
        raise Ended("Nothing was changed.")


def _model(row: SessionRow) -> str:
    return f"{row.model_provider}/{row.model}" if row.model and row.model_provider else "-"


def _age(row: SessionRow) -> str:
    return f"{span(time() - row.updated_at / 1000)} ago" if row.updated_at else "-"


def _state(row: SessionRow) -> str:
    if row.status == "killed":
        return "idle; its last run was interrupted: the gateway's process ended"
    return "running" if row.has_active_run else "idle"
