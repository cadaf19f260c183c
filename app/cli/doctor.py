"""``zero doctor``: check the configuration, say what is wrong and what answers where, or what of another's holds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import click

from app.cli.curl import address
from app.cli.ending import endings, run
from app.cli.example import examples
from app.cli.output import echo
from app.config import (
    SQLITE,
    Carried,
    ConfigError,
    LoadedConfig,
    Provider,
    bind_host,
    carry_over,
    config_path,
    dotted,
    load,
    port,
    state_dir,
)
from app.engines.local.supervisor import local_model_installed
from app.engines.registry import registered_engines
from app.machinery import STORE_FILE
from app.security.secret import resolve_secret
from app.sessions.deferred import open_sqlite, reach_postgresql
from app.sessions.store import StoreError

_SECONDS = 5.0


class Finding(NamedTuple):
    """One line of the diagnosis."""

    verdict: Literal["ok", "note", "wrong"]
    subject: str
    text: str


@click.command(
    "doctor",
    epilog=examples(
        "zero doctor", "zero doctor --config ./draft.json5", "zero doctor --from ~/.openclaw/openclaw.json"
    ),
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]")
@click.option(
    "--from",
    "other",
    type=click.Path(path_type=Path),
    help="Another program's configuration (OpenClaw's or a ZERO's): say what of it holds here. Nothing is written.",
)
def command(config_file: Path | None, other: Path | None) -> None:
    """Check the configuration and everything it points to. Exits with 1 when something is wrong."""
    if other is not None:
        with endings():
            _compare(carry_over(other, registered_engines()))
        return
    wrong = run(_diagnose(config_file))
    if wrong:
        raise SystemExit(1)


async def _diagnose(config_file: Path | None) -> int:
    wrong = 0
    async for finding in examine(config_file, os.environ):
        colour = {"ok": "green", "note": "yellow", "wrong": "red"}[finding.verdict]
        echo(f"{click.style(f'{finding.verdict:5}', fg=colour)}  {finding.subject}: {finding.text}")
        wrong += finding.verdict == "wrong"
    echo("\nEverything is in order." if not wrong else f"\n{wrong} thing(s) to put right.")
    return wrong


def _compare(found: list[Carried]) -> None:
    colours = {"holds": "green", "changes": "yellow", "stays": "red"}
    for verdict, path, text in found:
        shown = click.style(f"{verdict:7}", fg=colours[verdict])
        echo(f"{shown}  {dotted(path)}" + (f": {text}" if text else ""))
    holds, changes, stays = (sum(each.verdict == verdict for each in found) for verdict in colours)
    echo(f"\n{holds} key(s) hold here as they are, {changes} need a change, {stays} stay behind. Nothing was written.")


async def examine(config_file: Path | None, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Yield what there is to say about a configuration, most basic things first.

    Args:
        config_file: The file, or ``None`` for the one in force.
        environ: Environment variables.
    """
    try:
        loaded = load(config_file or config_path(environ), environ, registered_engines())
    except ConfigError as error:
        yield Finding("wrong", "configuration", str(error))
        return
    yield Finding("ok", "configuration", f"{loaded.path} is valid")
    yield _secret(loaded, environ)
    yield _switch(loaded)
    for agent in loaded.agents.values():
        default = " (default)" if agent.id == loaded.default_agent else ""
        models = ", then ".join(str(ref) for ref in (agent.model, *agent.fallbacks))
        yield Finding("ok", f"agent {agent.id}{default}", f"model zero:{agent.id}, answered by {models}")
    if any(ref.provider == "local" for agent in loaded.agents.values() for ref in (agent.model, *agent.fallbacks)):
        missing = local_model_installed()
        yield Finding("wrong", "local model", missing) if missing else Finding("ok", "local model", "is installed")
    for name, provider in loaded.config.models.providers.items():
        yield await _provider(name, provider)
    yield await _store(loaded, environ)
    async for finding in _gateway(loaded, environ):
        yield finding


def _secret(loaded: LoadedConfig, environ: Mapping[str, str]) -> Finding:
    auth = loaded.config.gateway.auth
    try:
        secret = resolve_secret(auth, environ)
    except ConfigError as error:
        return Finding("wrong", "secret", str(error))
    if secret is None:
        return Finding("note", "secret", "none: everybody on this machine may use the API")
    return Finding("ok", "secret", f"gateway.auth.mode is {auth.mode!r} and its secret is set")


def _switch(loaded: LoadedConfig) -> Finding:
    if loaded.config.gateway.http.endpoints.chat_completions.enabled:
        return Finding("ok", "endpoint", "/v1/chat/completions is switched on")
    return Finding(
        "note", "endpoint", "/v1 is switched off; gateway.http.endpoints.chatCompletions.enabled: true switches it on"
    )


async def _provider(name: str, provider: Provider) -> Finding:
    subject = f"provider {name}"
    headers = dict(provider.headers)
    if provider.api_key is not None:
        headers.setdefault("Authorization", f"Bearer {provider.api_key}")
    status, problem = await _get(f"{provider.base_url.rstrip('/')}/models", headers)
    if status is None:
        return Finding("wrong", subject, f"{provider.base_url} doesn't answer: {problem}")
    if status in (401, 403):
        return Finding("wrong", subject, f"{provider.base_url} refuses the key (status {status})")
    if status >= 500:
        return Finding("wrong", subject, f"{provider.base_url} answers with status {status}")
    # Not every service lists its models: any answer below 500 shows that somebody is there.
    return Finding("ok", subject, f"{provider.base_url} answers")


async def _store(loaded: LoadedConfig, environ: Mapping[str, str]) -> Finding:
    setting = loaded.config.session.store
    try:
        if setting != SQLITE:
            await reach_postgresql(setting)
            return Finding("ok", "sessions", "are kept in a PostgreSQL database, which answers")
        folder = state_dir(environ)
        if not (folder / STORE_FILE).exists():
            return _store_to_be(folder)
        store = await open_sqlite(str(folder / STORE_FILE))
        try:
            await store.ping()
        finally:
            await store.close()
    except (ConfigError, StoreError) as error:
        return Finding("wrong", "sessions", str(error))
    return Finding("ok", "sessions", f"are kept in {folder / STORE_FILE}")


def _store_to_be(folder: Path) -> Finding:
    """Look whether the store can be made, without making it: a check leaves nothing behind."""
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if place.is_dir() and os.access(place, os.W_OK):
        return Finding("ok", "sessions", f"will be kept in {folder / STORE_FILE}")
    return Finding("wrong", "sessions", f"{folder} can't be made: {place} is not a directory that can be written to")


async def _gateway(loaded: LoadedConfig, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    try:
        listen_port = port(loaded.config, environ, None)
    except ConfigError as error:
        yield Finding("wrong", "port", str(error))
        return
    url = address(bind_host(loaded.config), listen_port)
    status, problem = await _get(f"{url}/healthz", {})
    if status is None:
        yield Finding("note", "gateway", f"nothing answers at {url} ({problem}); start it with: zero gateway")
        return
    if status != 200:
        yield Finding("wrong", "gateway", f"something else answers at {url} (status {status} to /healthz)")
        return
    ready, _ = await _get(f"{url}/readyz", {})
    if ready == 200:
        yield Finding("ok", "gateway", f"answers at {url} and is ready")
    else:
        yield Finding("wrong", "gateway", f"answers at {url} but isn't ready (status {ready} to /readyz)")


async def _get(url: str, headers: Mapping[str, str]) -> tuple[int | None, str]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, ""
    except TimeoutError:
        return None, f"no answer within {_SECONDS:g} s"
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return None, "the connection is refused" if refused else error.strerror or "connection failed"
    except (aiohttp.ClientError, ValueError) as error:
        return None, str(error) or type(error).__name__
