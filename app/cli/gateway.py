"""``zero gateway``: serve the configuration."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from socket import socket
from typing import Any

import click
import msgspec
import uvicorn

from app.application import Gateway
from app.cli.curl import address, curl_line
from app.cli.descriptors import raise_limit
from app.cli.ending import Ended
from app.cli.example import examples
from app.cli.hangup import Hangup
from app.cli.listening import bound, let_nobody_in
from app.cli.log_lines import CONSOLE, formatter
from app.cli.server import ABORT_SECONDS, Server
from app.cli.shared_counts import forget_counts, share_counts
from app.cli.workers import Workers
from app.config import SQLITE, ConfigError, LoadedConfig, bind_host, config_path, load, port
from app.config import Gateway as GatewaySection
from app.engines.registry import registered_engines
from app.http.uvicorn_connection import UvicornConnection
from app.log import OneLine
from app.log_stream import LogStream
from app.security.secret import ENVIRONMENT, resolve_secret
from app.ws.outbox import MAX_FRAME_BYTES
from app.ws.uvicorn_wire import UvicornWire

_LEVELS = ("critical", "error", "warning", "info", "debug")


@click.command(
    "gateway",
    epilog=examples(
        "zero gateway",
        "ZERO_GATEWAY_TOKEN=... zero gateway --port 18790 --bind lan",
        "zero gateway --config examples/zero.json5 --dev",
    ),
)
@click.argument("action", type=click.Choice(["run"]), default="run", required=False)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]")
@click.option(
    "--port", "port_flag", type=click.IntRange(1, 65535), help="Port. [ZERO_GATEWAY_PORT, gateway.port, 18789]"
)
@click.option("--bind", help='Address: "loopback", "lan" or an IP address. [gateway.bind]')
@click.option(
    "--token",
    metavar="TEXT",
    help="Secret for this run, whatever the configuration says. Others on this machine see flags; "
    "ZERO_GATEWAY_TOKEN, for a configuration without a secret, is better.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share the port; more than 1 need PostgreSQL as session.store.",
)
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True, help="How much to tell.")
@click.option(
    "--dev", is_flag=True, help="For trying it out: print the secret and a curl line; make a token if none is set."
)
def command(
    action: str,
    config_file: Path | None,
    port_flag: int | None,
    bind: str | None,
    token: str | None,
    workers: int,
    log_level: str,
    dev: bool,
) -> None:
    """Serve HTTP and WebSocket on one port, as the configuration says."""
    _log_to_stderr(log_level)
    descriptors = raise_limit()
    environ = dict(os.environ)
    try:
        loaded = load(config_file or config_path(environ), environ, registered_engines())
        if workers > 1 and loaded.config.session.store == SQLITE:
            raise click.BadParameter(
                "several processes would each order the turns of a session by themselves. That needs a session store "
                "that they share: set session.store to the address of a PostgreSQL database.",
                param_hint="--workers",
            )
        if bind is not None:
            gateway_section = msgspec.structs.replace(loaded.config.gateway, bind=bind)
            loaded = _with_gateway(loaded, gateway_section, "--bind")
        if token is not None:
            auth = msgspec.structs.replace(loaded.config.gateway.auth, mode="token", token=token)
            gateway_section = msgspec.structs.replace(loaded.config.gateway, auth=auth)
            loaded = _with_gateway(loaded, gateway_section, "--token")
        if dev:
            _ensure_secret(loaded, environ)
        logs = loaded.config.gateway.logs
        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter(logs.format))
        if workers > 1 and loaded.config.gateway.metrics.enabled:
            share_counts()
        gateway = Gateway(loaded, environ)
        host, listen_port = bind_host(loaded.config), port(loaded.config, environ, port_flag)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    config = uvicorn.Config(
        gateway.app,
        host=host,
        port=listen_port,
        http=UvicornConnection,
        ws=UvicornWire,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        # Who the client is behind a proxy is decided by gateway.trustedProxies, not by uvicorn's own header reading.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=round(loaded.config.gateway.drain_seconds) + ABORT_SECONDS,
        log_config=None,
    )
    banner = _banner(loaded, environ, listen_port, dev=dev)
    with bound(host, listen_port) as listener:
        gateway.admission.fit(descriptors)
        code = _served(config, gateway, banner, listener, workers)
    raise SystemExit(code)


def _served(config: uvicorn.Config, gateway: Gateway, banner: str, listener: socket, workers: int) -> int:
    hangup = Hangup()

    def serve(first: bool) -> int:
        server = Server(config, gateway, banner if first else "", hangup, alone=workers == 1)
        try:
            server.run([listener])
        except SystemExit:  # uvicorn's word for an application that doesn't start
            raise Ended("The gateway could not start.") from None
        return server.exit_code

    def let_go() -> None:
        # The socket is there until the last worker has closed it, and would take clients whom nobody serves.
        let_nobody_in(listener)
        listener.close()

    if workers == 1:
        return serve(True)
    forget_counts(os.getpid())  # of this process, which serves nobody
    return Workers(workers, serve, hangup, let_go, forget_counts).run()


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format=CONSOLE, handlers=[LogStream()])
    for handler in logging.getLogger().handlers:  # what libraries say
        handler.addFilter(OneLine())
    # It would tell of every write beside the configuration, the session store's own included.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # What uvicorn says at this level is about itself; the banner says where we are.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLogger().level))


def _with_gateway(loaded: LoadedConfig, section: GatewaySection, flag: str) -> LoadedConfig:
    from app.config.checks import check
    from app.config.error import RuleError

    config = msgspec.structs.replace(loaded.config, gateway=section)
    try:
        check(config, loaded.engines)
    except RuleError as error:
        raise ConfigError(error.problem, error.advice, path=flag) from None
    return msgspec.structs.replace(loaded, config=config)


def _ensure_secret(loaded: LoadedConfig, environ: dict[str, str]) -> None:
    auth = loaded.config.gateway.auth
    try:
        resolve_secret(auth, environ)
    except ConfigError:
        environ[ENVIRONMENT[auth.mode]] = secrets.token_urlsafe(24)


def _banner(loaded: LoadedConfig, environ: dict[str, str], listen_port: int, *, dev: bool) -> str:
    auth = loaded.config.gateway.auth
    host = bind_host(loaded.config)
    place = f"[{host}]" if ":" in host else host
    lines = [f"ZERO Gateway on http://{place}:{listen_port}  (configuration: {loaded.path})"]
    models = ", ".join(f"zero:{agent.id} ({agent.model})" for agent in loaded.agents.values())
    lines.append(f"  models: zero, {models}")
    if not loaded.config.gateway.http.endpoints.chat_completions.enabled:
        lines.append("  /v1 is switched off: set gateway.http.endpoints.chatCompletions.enabled to true")
    if dev and auth.mode != "none":
        configured: Any = auth.token if auth.mode == "token" else auth.password
        secret = configured or environ[ENVIRONMENT[auth.mode]]
        url = address(host, listen_port)
        lines += [f"  token:  {secret}", "", "Try it:", "", curl_line(url, secret), ""]
        lines += [curl_line(url, secret, stream=True), ""]
    return "\n".join(lines)
