"""The options that say which gateway a command speaks to, and the connection they lead to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from app.cli.output import write_bytes
from app.config import ConfigError, config_path, load

if TYPE_CHECKING:
    from app.client.connection import GatewayClient
    from app.client.destination import Destination
    from app.config import LoadedConfig

F = TypeVar("F", bound=Callable[..., Any])


class Whereabouts(NamedTuple):
    """What the options said."""

    config_file: Path | None
    url: str | None
    token: str | None

    def loaded(self) -> LoadedConfig:
        """Return the configuration.

        Raises:
            ConfigError: If it can't be used.
        """
        from app.engines.registry import registered_engines

        return load(self.config_file or config_path(os.environ), os.environ, registered_engines())

    def destination(self) -> Destination:
        """Return the gateway to speak to.

        Raises:
            ConfigError: If the configuration can't be used, or the URL isn't one.
        """
        from app.client import destination
        from app.config import Config

        if self.url is not None:
            _check_url(self.url)
            return destination.flagged(self.url, self.token, os.environ)
        # Where nobody has written a configuration the defaults hold, as for a gateway started with variables only.
        present = self.config_file is not None or config_path(os.environ).exists()
        return destination.configured(self.loaded().config if present else Config(), os.environ, self.token)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[GatewayClient]:
        """Connect for as long as the block lasts.

        Raises:
            ConfigError: If there is no telling where to.
            Unreachable: If no gateway answers there.
            Unauthorized: If it doesn't let us in.
        """
        from app.client.connection import gateway_client

        async with gateway_client(self.destination()) as client:
            yield client


def whereabouts(function: F) -> F:
    """Give a command the options ``--config``, ``--url`` and ``--token``; it gets them as ``where``."""

    def command(*arguments: Any, config_file: Path | None, url: str | None, token: str | None, **options: Any) -> Any:
        return function(*arguments, where=Whereabouts(config_file, url, token), **options)

    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]  # click's own way
    decorated: Any = command
    for option in (
        click.option("--token", help="Its secret. Others on this machine see flags: ZERO_GATEWAY_TOKEN is better."),
        click.option("--url", help="Another gateway than the configured one, as ws://host:port or wss://host."),
        click.option(
            "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]"
        ),
    ):
        decorated = option(decorated)
    result: F = decorated
    return result


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def print_json(value: Any) -> None:
    """Print a value as JSON, indented, and in UTF-8 wherever it is printed."""
    import msgspec

    write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _check_url(url: str) -> None:
    import msgspec

    from app.config.checks import check
    from app.config.error import RuleError
    from app.config.structs import Config, Gateway, Remote

    try:
        check(msgspec.structs.replace(Config(), gateway=Gateway(remote=Remote(url=url))))
    except RuleError as error:
        raise ConfigError(error.problem, error.advice, path="--url") from None
