"""``zero config``: the configuration file, looked at, changed, checked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.ending import endings
from app.cli.example import examples
from app.cli.output import echo
from app.cli.whereabouts import print_json
from app.config import (
    ConfigError,
    KeyPath,
    LoadedConfig,
    RuleError,
    config_path,
    displayed,
    dotted,
    edit,
    json_schema,
    key_path,
    load,
    read_value,
    value_at,
)
from app.engines.registry import registered_engines

_file = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]"
)


@click.group(
    "config",
    epilog=examples(
        "zero config get agents.defaults.timeoutSeconds",
        "zero config set 'agents.list[0].model' '\"local/smollm2\"'",
        "zero config validate",
    ),
)
def command() -> None:
    """Look at the configuration, change it, check it. Every key: docs/configuration.md."""


@command.command(
    "get",
    epilog=examples("zero config get gateway", "zero config get 'agents.list[0].model'", "zero config get --json"),
)
@click.argument("path", required=False)
@click.option("--show-secrets", is_flag=True, help="Show them; otherwise they are ***.")
@click.option("--json", "as_json", is_flag=True, help="Print a text with its quotes, too.")
@_file
def get(path: str | None, show_secrets: bool, as_json: bool, config_file: Path | None) -> None:
    """Print a value as it is in force, with includes, variables and defaults; without PATH everything."""
    with endings():
        loaded = _loaded(config_file)
        try:
            value = value_at(displayed(loaded.config, secrets=show_secrets), _path(path) if path else ())
        except RuleError as fault:
            raise ConfigError(fault.problem, fault.advice, path=dotted(fault.path)) from None
    if isinstance(value, str) and not as_json:
        echo(value)
    else:
        print_json(value)


@command.command(
    "set",
    epilog=examples(
        "zero config set gateway.port 18790",
        "zero config set agents.defaults.params '{ temperature: 0.2 }'",
        "zero config set --text 'agents.list[0].systemPrompt' 'Answer briefly.'",
        "pass show gateway | zero config set --text gateway.auth.token -",
    ),
)
@click.argument("path")
@click.argument("value")
@click.option("--text", "as_text", is_flag=True, help="VALUE is a text as it stands, not JSON5.")
@_file
def set_(path: str, value: str, as_text: bool, config_file: Path | None) -> None:
    """Write a value (JSON5; "-" reads it from stdin) into the configuration file.

    Comments and layout stay. Nothing is written unless the result is valid. null unsets a key.
    """
    text = _stdin() if value == "-" else value
    place = _path(path)
    try:
        parsed = text if as_text else read_value(text)
    except RuleError:
        raise click.BadParameter(
            "it is not JSON5. A text needs quotes inside those of the shell ('\"text\"'), or the option --text.",
            param_hint="VALUE",
        ) from None
    with endings():
        loaded = edit(config_file or config_path(os.environ), [(place, parsed)], os.environ, registered_engines())
    echo(f"{dotted(place)} is set in {loaded.path}.")
    if place[0] == "gateway" and place[:2] != ("gateway", "remote"):
        echo("A running gateway takes it over when it is restarted.")


@command.command("validate", epilog=examples("zero config validate", "zero config validate ./draft.json5"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
def validate(file: Path | None) -> None:
    """Check a configuration file without starting anything; the one in force when none is named."""
    with endings():
        loaded = _loaded(file)
    echo(f"{loaded.path} is valid: {len(loaded.agents)} agent(s), the default one is {loaded.default_agent}.")
    for included in loaded.files[1:]:
        echo(f"It includes {included}.")


@command.command("schema", epilog=examples("zero config schema > ~/.zero/zero.schema.json"))
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check it.

    Put it beside zero.json, and into that: $schema: "./zero.schema.json".
    """
    echo(json_schema())


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.BadParameter("stdin is not UTF-8.", param_hint="VALUE") from None


def _loaded(config_file: Path | None) -> LoadedConfig:
    return load(config_file or config_path(os.environ), os.environ, registered_engines())


def _path(text: str) -> KeyPath:
    try:
        return key_path(text)
    except ValueError:
        raise click.BadParameter(
            'it is not a path. Write it like agents.list[0].model or models.providers["my.one"].baseUrl.',
            param_hint="PATH",
        ) from None
