"""The command tree: what it says of itself, what docs/cli.md says of it, and how little it loads for that."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.cli import main
from tests.cli.command import environ, zero
from tests.documents import ROOT

DOCUMENT = (ROOT / "docs" / "cli.md").read_text()


def commands(command: click.Command = main, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name, groups included."""
    yield " ".join(["zero", *names]), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, "what is listed is there"
            yield from commands(child, *names, name)


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples(name: str) -> None:
    """``--help`` says what it does and shows a command line to begin with; every option says what it is for."""
    command = COMMANDS[name]

    assert command.help
    assert name == "zero" or f"{name}" in (command.epilog or "")
    assert [] == [option.name for option in command.params if isinstance(option, click.Option) and not option.help]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_documentation_has_every_command_and_option(name: str) -> None:
    """docs/cli.md has a heading for a command, and below it every option and argument."""
    if isinstance(COMMANDS[name], click.Group):
        assert f"{name} " in DOCUMENT
        return
    title = f"## {name}\n"
    assert title in DOCUMENT
    section = DOCUMENT.split(title)[1].split("\n## ")[0]
    if "(#which-gateway)" in section:
        section += DOCUMENT.split("## Which gateway\n")[1].split("\n## ")[0]
    words = [word for parameter in COMMANDS[name].params for word in spellings(parameter)]

    assert [] == [
        word for word in words if not re.search(rf"`[^`]*(?<![\w-]){re.escape(word)}(?![\w-])[^`]*`", section)
    ]


def spellings(parameter: click.Parameter) -> list[str]:
    """Return how an option or an argument is written in a command line."""
    return parameter.opts if isinstance(parameter, click.Option) else [(parameter.name or "").upper()]


def test_help_is_printed_without_loading_what_works(tmp_path: Path) -> None:
    """``zero --help`` is instant, because neither server, client nor JSON library is imported for it."""
    code = "import sys; from app.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(tmp_path), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())

    assert "app.cli" in loaded
    assert set() == loaded & {"litestar", "uvicorn", "msgspec", "websockets", "json5", "aiohttp", "asyncio"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tmp_path: Path, shell: str) -> None:
    """One that asks ``zero`` itself."""
    done = zero(tmp_path, "completion", shell)

    assert 0 == done.returncode
    assert "_ZERO_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("zero s", {"sessions", "status"}),
        ("zero sessions re", {"reset", "restore"}),
        ("zero agent --sess", {"--session-key"}),
    ],
)
def test_completion_offers_what_there_is(tmp_path: Path, typed: str, offered: set[str]) -> None:
    """Commands and options, as the shell asks for them."""
    words = typed.split(" ")
    done = zero(tmp_path, _ZERO_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1), TERM="dumb")

    assert offered == {line.split(",")[1] for line in done.stdout.splitlines()}


def test_an_unknown_command_is_a_wrong_command_line(tmp_path: Path) -> None:
    """With the exit code for that."""
    assert 2 == zero(tmp_path, "nonsense").returncode


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    """``zero --version`` says which one is installed."""
    assert json.dumps(zero(tmp_path, "--version").stdout).startswith('"zero, version ')
