"""``zero completion``: the script with which a shell completes ``zero``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from app.cli.example import examples
from app.cli.output import echo


@click.command(
    "completion",
    epilog=examples(
        'eval "$(zero completion bash)"                                # in ~/.bashrc',
        'eval "$(zero completion zsh)"                                 # in ~/.zshrc',
        "zero completion fish > ~/.config/fish/completions/zero.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands and options."""
    completion = get_completion_class(shell)
    assert completion is not None, "one of click's own"
    echo(completion(context.find_root().command, {}, "zero", "_ZERO_COMPLETE").source())
