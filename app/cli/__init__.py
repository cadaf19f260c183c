"""The ``zero`` command. Commands are imported when they are called, so that ``zero --help`` is instant."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

_COMMANDS: Final = {
    "init": "Write a configuration with a generated token.",
    "gateway": "Serve the configuration.",
    "doctor": "Say what is wrong with it, and what answers where.",
    "agent": "Say something to an agent.",
    "chat": "Talk with an agent.",
    "agents": "List agents, add one.",
    "sessions": "List sessions, show, reset, delete one.",
    "keys": "Make API keys for others, list them, take them back.",
    "models": "List the models that the agents use.",
    "status": "Say what the gateway is doing.",
    "config": "Look at the configuration, change it, check it.",
    "completion": "Print a script that completes commands in a shell.",
}
"""The commands and what they are for, known without importing them."""


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own: ``app.cli.<name>.command``."""

    def __call__(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Work as a command of its own, and end with the codes of docs/cli.md; without ``standalone_mode`` as click."""
        work: Callable[..., Any] = self.main
        if not standalone_mode:
            return work(*args, standalone_mode=False, **extra)
        from app.cli.ending import concluded

        sys.exit(concluded(lambda: work(*args, standalone_mode=False, **extra)))

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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=about) for name, about in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes, examples: docs/cli.md. NO_COLOR=1 switches colours off.",
)
@click.version_option(package_name="zero-gateway", prog_name="zero")
@click.pass_context
def main(context: click.Context) -> None:
    """ZERO Gateway: your agents behind the OpenAI Chat Completions API.

    To begin: zero init && zero gateway
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
