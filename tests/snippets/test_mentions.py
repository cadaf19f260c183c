"""What the documents mention in their sentences and tables exists: commands and options, keys, extras, operations."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from app.cli import main
from tests.documents import ROOT, documents
from tests.snippets.snippet import mentions
from tests.unit.test_docs import keys
from tests.ws.contract import METHODS

VERBS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MENTIONS: Final = mentions()
KEYS: Final = [key.path for key in keys()]
PATHS: Final = yaml.safe_load((ROOT / "openapi.yaml").read_bytes())["paths"]
EXTRAS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
KEY: Final = re.compile(
    r"((?:gateway|agents|models|session)(?:\.[A-Za-z]\w*(?:\[\d*\])?|\.<\w+>|\.\*)+)(?:[:=].*)?", re.DOTALL
)
OPERATION: Final = re.compile(r"(GET|POST|DELETE) (/[^?\s]*)(?:\?.*)?")


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


def is_key(path: str) -> bool:
    """Tell whether a path is a key's, or a section's; ``*``, a name or a number stand for any."""
    pattern = re.escape(re.sub(r"\[\d+\]", "[]", path))
    pattern = re.sub(r"<\w+>|\\\*", r"[\\w<>\[\]]+", pattern)
    return any(re.match(rf"{pattern}(?:[.\[]|$)", key) for key in KEYS)


@pytest.mark.parametrize(
    ("place", "key"), [(place, found[1]) for place, text in MENTIONS if (found := KEY.fullmatch(text))]
)
def test_keys(place: str, key: str) -> None:
    """Each key of the configuration is one, unless it is a method of the WebSocket."""
    assert is_key(key) or key in METHODS, place


@pytest.mark.parametrize(
    ("place", "method", "path"),
    [(place, found[1], found[2]) for place, text in MENTIONS if (found := OPERATION.fullmatch(text))],
)
def test_operations(place: str, method: str, path: str) -> None:
    """Each is in the contract."""
    same = [each for each in PATHS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    assert [method.lower() in PATHS[each] for each in same].count(True) > 0, place


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_extras(document: Path) -> None:
    """What `pip` is told to install besides is there to be installed."""
    named = re.findall(r"zero-gateway\[([\w,]+)\]", document.read_text())
    assert [] == [each for names in named for each in names.split(",") if each not in EXTRAS]


def test_the_checks_find_something() -> None:
    """What doesn't exist is found."""
    assert [True, True, True, False, False] == [
        is_key(key)
        for key in (
            "gateway.limits",
            "agents.*.contextTokens",
            "agents.list[0].model",
            "gateway.limit",
            "agents.list[].x",
        )
    ]
    assert ["agentz", "--mesage", None, None] == [
        unknown(words)
        for words in commands("zero agentz list; zero agent --mesage x; zero status || A=1 zero gateway --port 1")
    ]
    assert len(VERBS) > 10
