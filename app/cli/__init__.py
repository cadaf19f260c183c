"""The ``zero`` command. Commands are imported when they are called, so that ``zero --help`` is instant."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

_COMMANDS: Final = {
    "init": "Write a configuration with a generated token.",
    "gateway": "Serve the configuration.",
    "doctor": "Say what is wrong with it, and what answers where.",
}
"""The commands and what they are for, known without importing them."""


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own: ``app.cli.<name>.command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"app.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zero-gateway", prog_name="zero")
def main() -> None:
    """ZERO Gateway: your agents behind the OpenAI Chat Completions API.

    To begin: zero init && zero gateway
    """
