"""``zero keys``: API keys for others than the operator, made, listed and taken back in the configuration file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from app.cli.ending import Ended, endings
from app.cli.example import examples
from app.cli.output import echo
from app.cli.table import table
from app.cli.whereabouts import print_json
from app.config import REMOVED, ApiKey, Change, config_path, edit, escape, is_key_name, load, moment
from app.config.json_value import JsonValue
from app.engines.registry import registered_engines
from app.security.named_key import hash_of, new_secret

_SPAN = re.compile(r"(?P<count>[1-9][0-9]{0,4})(?P<unit>[hd])")
_LATER = "A gateway that runs with this file takes it over by itself."

_file = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]"
)
_count = click.IntRange(min=1)


@click.group(
    "keys",
    epilog=examples(
        "zero keys add team-a --agents support --rpm 60 --expires 90d", "zero keys list", "zero keys revoke team-a"
    ),
)
def command() -> None:
    """Make API keys for others, list them, take them back (gateway.auth.keys)."""


@command.command(
    "add",
    epilog=examples(
        "zero keys add team-a",
        "zero keys add shop --agents support,sales --rpm 60 --tpm 100000 --concurrency 5",
        "zero keys add guest --no-session-key --expires 30d",
    ),
)
@click.argument("name")
@click.option("--agents", metavar="ID,...", help="The agents that it may use; all when not given.")
@click.option("--no-session-key", is_flag=True, help="It may not say which session a request belongs to.")
@click.option("--session-scope", metavar="NAME", help="Keys with the same one share their sessions. [its name]")
@click.option("--rpm", type=_count, metavar="N", help="Requests per minute.")
@click.option("--tpm", type=_count, metavar="N", help="Tokens per minute.")
@click.option("--concurrency", type=_count, metavar="N", help="Runs at the same time.")
@click.option("--expires", metavar="WHEN", help="A day (2027-01-31), a moment (2027-01-31T18:00:00Z), or 30d, 12h.")
@_file
def add(
    name: str,
    agents: str | None,
    no_session_key: bool,
    session_scope: str | None,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    expires: str | None,
    config_file: Path | None,
) -> None:
    """Make a key and print its secret, which is shown this once and kept nowhere. Comments in the file stay."""
    if not is_key_name(name):
        raise click.BadParameter("use lower-case letters, digits, '_' and '-'; 64 at most.", param_hint="NAME")
    secret = new_secret()
    entry: dict[str, JsonValue] = {
        "name": name,
        "hash": hash_of(secret),
        "agents": [escape(agent.strip()) for agent in agents.split(",")] if agents is not None else None,
        "sessionKey": False if no_session_key else None,
        "sessionScope": escape(session_scope) if session_scope is not None else None,
        "requestsPerMinute": rpm,
        "tokensPerMinute": tpm,
        "maxConcurrent": concurrency,
        "expires": _moment(expires) if expires is not None else None,
    }
    said: JsonValue = {key: value for key, value in entry.items() if value is not None}

    def changes(keys: tuple[ApiKey, ...]) -> list[Change]:
        if name in [key.name for key in keys]:
            raise Ended(f"There is a key {name!r} already. Take it back first: zero keys revoke {name}")
        return [(("gateway", "auth", "keys", len(keys)), said)]

    with endings():
        path = _edited(config_file, changes)
    click.echo(f"Added key {name} to {path}. {_LATER}\nIts secret, shown only now:", err=True)
    echo(secret)


@command.command("list", epilog=examples("zero keys list", "zero keys list --json"))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_file
def list_(as_json: bool, config_file: Path | None) -> None:
    """List the keys of the configuration file. No secrets: they are kept nowhere."""
    with endings():
        loaded = load(config_file or config_path(os.environ), os.environ, registered_engines())
    keys = loaded.config.gateway.auth.keys
    if as_json:
        print_json([_told(key) for key in keys])
    elif not keys:
        echo("There are no keys. Make one: zero keys add NAME")
    else:
        heads = ("NAME", "AGENTS", "SESSIONS", "REQUESTS/MIN", "TOKENS/MIN", "AT ONCE", "EXPIRES")
        echo(table(heads, [_row(key) for key in keys]))


@command.command("revoke", epilog=examples("zero keys revoke team-a"))
@click.argument("name")
@_file
def revoke(name: str, config_file: Path | None) -> None:
    """Take a key back: its secret opens nothing any more. Its sessions stay, for a new key of the same name."""

    def changes(keys: tuple[ApiKey, ...]) -> list[Change]:
        index = next((at for at, key in enumerate(keys) if key.name == name), None)
        if index is None:
            raise Ended(f"There is no key {name!r}. zero keys list shows those there are.")
        return [(("gateway", "auth", "keys", index), REMOVED)]

    with endings():
        path = _edited(config_file, changes)
    echo(f"Removed key {name} from {path}. {_LATER} Until then the key works.")


def _edited(config_file: Path | None, changes: Callable[[tuple[ApiKey, ...]], list[Change]]) -> Path:
    path, engines = config_file or config_path(os.environ), registered_engines()

    def now() -> list[Change]:
        # What others have changed meanwhile counts.
        return changes(load(path, os.environ, engines).config.gateway.auth.keys)

    return edit(path, now, os.environ, engines).path


def _moment(text: str) -> str:
    span = _SPAN.fullmatch(text)
    if span is not None:
        hours = int(span["count"]) * (24 if span["unit"] == "d" else 1)
        return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        moment(text)
    except ValueError:
        raise click.BadParameter(
            "write a day (2027-01-31), a moment with its zone (2027-01-31T18:00:00Z), or a length (30d, 12h).",
            param_hint="--expires",
        ) from None
    return text


def _expired(key: ApiKey) -> bool:
    return key.expires is not None and moment(key.expires) <= datetime.now(UTC)


def _told(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "agents": list(key.agents) if key.agents is not None else None,
        "sessionKey": key.session_key,
        "sessionScope": key.session_scope or key.name,
        "requestsPerMinute": key.requests_per_minute,
        "tokensPerMinute": key.tokens_per_minute,
        "maxConcurrent": key.max_concurrent,
        "expires": key.expires,
        "expired": _expired(key),
    }


def _row(key: ApiKey) -> tuple[str, ...]:
    limits = (key.requests_per_minute, key.tokens_per_minute, key.max_concurrent)
    return (
        key.name,
        ", ".join(key.agents) if key.agents is not None else "all",
        (key.session_scope or key.name) + ("" if key.session_key else ", not by key"),
        *("-" if limit is None else str(limit) for limit in limits),
        "-" if key.expires is None else f"{key.expires}{' (over)' if _expired(key) else ''}",
    )
