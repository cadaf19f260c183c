"""The documents say what the code says: every key, every error code, every link.

Their examples are tried in tests/snippets.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app import errors
from app.config.structs import Config
from tests.documents import ROOT, anchors, documents, links, rows

CONFIGURATION = ROOT / "docs" / "configuration.md"
ERRORS = ROOT / "docs" / "errors.md"
KEY = re.compile(r"`([A-Za-z]+(?:\.[A-Za-z<>\[\]]+)+)`")


class Key(typing.NamedTuple):
    """A key that a configuration may have, by the path under which the documentation has it."""

    path: str
    default: str


def keys(struct: type[msgspec.Struct] = Config, path: str = "") -> Iterator[Key]:
    """Yield every key of a section and of the sections in it; objects that are only sections are no keys themselves."""
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        here = f"{path}{field.encode_name}"
        if not is_section(hints[field.name]):
            yield Key(here, shown(field))
        for section, place in sections(hints[field.name], here):
            yield from keys(section, f"{place}.")


def sections(hint: Any, path: str) -> Iterator[tuple[type[msgspec.Struct], str]]:
    """Yield the sections inside a field's type, each with the path that leads to its keys."""
    if is_section(hint):
        yield hint, path
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        inside = [(argument, path) for argument in arguments]
    elif origin is tuple:
        inside = [(argument, f"{path}[]") for argument in arguments]
    elif origin is dict:
        inside = [(arguments[1], f"{path}.<name>")]
    else:
        inside = []
    for argument, place in inside:
        yield from sections(argument, place)


def is_section(hint: Any) -> bool:
    """Tell whether a type is an object of the configuration."""
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def shown(field: msgspec.structs.FieldInfo) -> str:
    """Return a key's default as the tables show it."""
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    if field.default is msgspec.NODEFAULT:
        return "required"
    return "none" if field.default is None else f"`{msgspec.json.encode(field.default).decode()}`"


def documented_keys() -> dict[str, str]:
    """Return the keys of docs/configuration.md's tables, with the defaults they are said to have."""
    table = rows(CONFIGURATION.read_text())
    return {path: cells[2] for cells in table if len(cells) == 4 for path in KEY.findall(cells[0])}


def error_rows() -> list[list[str]]:
    """Return the rows of the table of errors: status, type, code, param, headers, again, when."""
    return [cells for cells in rows(ERRORS.read_text()) if len(cells) == 7 and cells[0].isdigit()]


def limit_rows() -> list[list[str]]:
    """Return the rows of docs/limits.md that have a number in brackets and a key of the configuration."""
    table = [cells for cells in rows((ROOT / "docs" / "limits.md").read_text()) if re.search(r"\(\d", cells[0])]
    return [cells for cells in table if set(KEY.findall(cells[1])) & {key.path for key in keys()}]


def quantities(default: str) -> Iterator[str]:
    """Yield how a number may be written, with its unit or without."""
    number = float(default)
    yield f"{number:,.0f}"
    yield f"{number:.0f} s"
    for unit, size in (("KiB", 1024), ("MB", 10**6)):
        yield f"{number / size:g} {unit}"


def failures() -> list[type[errors.GatewayError]]:
    """Return every class of failure with a status and a code of its own."""
    found = (thing for _, thing in inspect.getmembers(errors, inspect.isclass))
    return [thing for thing in found if issubclass(thing, errors.GatewayError) and thing is not errors.GatewayError]


def sources() -> Iterator[ast.AST]:
    """Yield every node of the application's source, but for the WebSocket's, whose protocol has codes of its own."""
    for path in (ROOT / "app").rglob("*.py"):
        if not {"ws", "cli", "client"} & set(path.relative_to(ROOT / "app").parts):
            yield from ast.walk(ast.parse(path.read_text()))


def codes_raised() -> set[str]:
    """Return every error code that the application writes out as an argument."""
    arguments = (keyword for node in sources() if isinstance(node, ast.Call) for keyword in node.keywords)
    values = (keyword.value for keyword in arguments if keyword.arg == "code")
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}


def texts() -> set[str]:
    """Return every string that stands in the application's source."""
    return {node.value for node in sources() if isinstance(node, ast.Constant) and isinstance(node.value, str)}


class TestConfiguration:
    """docs/configuration.md."""

    def test_has_every_key_and_no_other(self) -> None:
        """A key that is added, renamed or removed in the code has to be so in the tables."""
        assert {key.path for key in keys()} == documented_keys().keys()

    def test_has_the_defaults_that_the_code_has(self) -> None:
        """What the tables call the default is what a configuration without the key gets."""
        assert {key.path: key.default for key in keys()} == documented_keys()


class TestErrors:
    """docs/errors.md."""

    @pytest.mark.parametrize("failure", failures(), ids=lambda failure: failure.__name__)
    def test_has_a_row_for_every_class_of_failure(self, failure: type[errors.GatewayError]) -> None:
        """Status, type and code stand together in a row, as a client gets them."""
        code = "null" if failure.default_code is None else f"`{failure.default_code}`"

        assert [str(failure.status), f"`{failure.type}`", code] in [cells[:3] for cells in error_rows()]

    def test_has_every_code_that_is_raised(self) -> None:
        """Also the codes that belong to no class of their own are in the table."""
        assert codes_raised() - {cells[2].strip("`") for cells in error_rows()} == set()

    def test_has_no_code_that_nothing_raises(self) -> None:
        """A row whose code is nowhere in the application any more has to go."""
        composed = {"session_queue_full", "agent_queue_full"}

        assert {cells[2].strip("`") for cells in error_rows()} - texts() - composed <= {"null"}


class TestLimits:
    """docs/limits.md."""

    @pytest.mark.parametrize("row", limit_rows(), ids=lambda row: row[0])
    def test_has_the_defaults_that_the_code_has(self, row: list[str]) -> None:
        """The number in brackets is what a configuration without the key gets."""
        defaults = {key.path: key.default.strip("`") for key in keys()}
        named = [key for key in KEY.findall(row[1]) if key in defaults]

        assert [] == [key for key in named if not {*quantities(defaults[key])} & {*re.findall(r"[\d,]+ ?\w*", row[0])}]


class TestLinks:
    """The links of every document."""

    @pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.relative_to(ROOT)))
    def test_lead_somewhere(self, document: Path) -> None:
        """A relative link names a file or folder that is there, and a heading that it has."""
        dead = []
        for link in links(document):
            target, _, anchor = link.partition("#")
            if "://" in target:
                continue
            file = (document.parent / target).resolve() if target else document
            if not file.exists() or (anchor and anchor not in anchors(file)):
                dead.append(link)

        assert [] == dead
