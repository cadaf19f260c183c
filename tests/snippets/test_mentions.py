"""The commands that the documents mention in their sentences and tables exist, with the options they are given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final

import click
import pytest

from app.cli import main
from tests.documents import ROOT
from tests.snippets.snippet import mentions

VERBS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MENTIONS: Final = mentions()


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each ``zero`` command in a line."""
    for part in re.split(r"\|\|?|&&|;|\$ ", text):
        words = shlex.split(part.replace("...", "").replace("…", ""), comments=True)
        while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] in {"exec", "nohup"}):
            words = words[1:]
        if words and words[0].rpartition("/")[2] == "zero":
            yield words[1:]


def unknown(words: list[str]) -> str | None:
    """Return the first word of a command that ``zero`` doesn't know."""
    command: click.Command = main
    context = click.Context(command)
    for word in words:
        name, _, _ = word.partition("=")
        if name.startswith("-") and len(name) > 1:
            options = {each for parameter in command.get_params(context) for each in parameter.opts}
            if name not in options | {"--help", "-h"}:
                return word
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return word
            command = found
    return None


@pytest.mark.parametrize(
    ("place", "text"),
    [pytest.param(*each, id=f"{each[0]} {each[1]}") for each in MENTIONS if re.search(r"\bzero [a-z-]", each[1])],
)
def test_zero(place: str, text: str) -> None:
    """Each command, subcommand and option is one."""
    assert [] == [word for words in commands(text) if (word := unknown(words))], place


@pytest.mark.parametrize(
    ("place", "verb"),
    [(place, verb) for place, text in MENTIONS for verb in re.findall(r"(?:^| )make ([a-z-]+)", text)],
)
def test_make(place: str, verb: str) -> None:
    """Each verb is in the Makefile."""
    assert verb in VERBS, place


def test_the_checks_find_something() -> None:
    """Commands that don't exist are found."""
    assert ["agentz", "--mesage", None, None] == [
        unknown(words)
        for words in commands("zero agentz list; zero agent --mesage x; zero status || A=1 zero gateway --port 1")
    ]
    assert len(VERBS) > 10
