"""contracts/zero.schema.json lets pass what the gateway lets pass, and says what is wrong with the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import json5
import jsonschema_rs
import pytest

from app.config import json_schema, load
from app.config.decoding import decode
from app.config.error import ConfigError, RuleError
from contracts.configuration import Key, keys, schema
from tests.documents import ROOT, documents, fenced

SCHEMA: dict[str, Any] = json.loads(json_schema())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
WHOLE = [
    pytest.param(block.text, id=f"{document.name}:{block.line}")
    for document in documents()
    for block in fenced(document, "json5")
    if block.text.startswith("// A whole configuration.")
]
FILES = [
    pytest.param(file.read_text(), id=file.name)
    for file in (ROOT / "examples" / "zero.json5", ROOT / "deploy" / "zero.json5")
]
WRONG: list[dict[str, Any]] = [
    {"gatewy": {}},
    {"gateway": {"port": "18789"}},
    {"gateway": {"port": 0}},
    {"gateway": {"auth": {"mode": "nothing"}}},
    {"gateway": {"auth": {"keys": [{"name": "a"}]}}},
    {"agents": {"list": [{}]}},
    {"agents": {"list": [{"id": "a", "maxConcurrent": 1.5}]}},
    {"agents": {"list": [{"id": "a", "model": {}}]}},
    {"agents": {"defaults": {"timeoutSeconds": 0}}},
    {"models": {"providers": {"a": {}}}},
    {"models": {"providers": {"a": {"baseUrl": "http://a", "api": "other"}}}},
    {"models": {"providers": {"a": {"baseUrl": "http://a", "retry": {"attempts": 11}}}}},
    {"session": {"resetTriggers": [""]}},
    {"session": {"reset": {"atHour": 24}}},
]


def test_is_valid_itself() -> None:
    """An editor can use it."""
    jsonschema_rs.meta.validate(SCHEMA)
    assert jsonschema_rs.meta.is_valid(SCHEMA)


@pytest.mark.parametrize("text", [*WHOLE, *FILES])
def test_lets_whole_configurations_pass(text: str) -> None:
    """What a reader can start the gateway with, the editor has nothing to say about."""
    VALIDATOR.validate(json5.loads(text))
    assert VALIDATOR.is_valid(json5.loads(text))


@pytest.mark.parametrize("tree", WRONG, ids=json.dumps)
def test_refuses_what_the_structs_refuse(tree: dict[str, Any]) -> None:
    """An unknown key, a wrong type, a value out of bounds, a missing key."""
    with pytest.raises(RuleError):
        decode(tree)
    assert not VALIDATOR.is_valid(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"$schema": "./zero.schema.json"},
        {"$include": ["./a.json5"], "agents": {"list": [{"$include": "b.json5"}]}},
        {"models": {"providers": {"$include": "providers.json5"}}},
        {"gateway": {"auth": {"mode": "${MODE}", "token": None}}},
        {"agents": {"defaults": {"params": {"anything": [1, {"at": "all"}]}}}},
    ],
    ids=json.dumps,
)
def test_lets_pass_what_is_gone_before_the_structs_are_made(tree: dict[str, Any]) -> None:
    """Includes, variables in the place of words, and the schema's own name are no mistakes."""
    assert VALIDATOR.is_valid(tree)


@pytest.mark.parametrize("key", list(keys(SCHEMA)), ids=lambda key: key.path)
def test_every_key_says_what_it_means(key: Key) -> None:
    """An editor shows it, without the notation of links and code."""
    assert not re.search(r"\]\(|`|^$", key.schema["description"])


def test_a_key_without_words_is_an_error(tmp_path: Path) -> None:
    """A key that is added to the structs has to be in docs/configuration.md before the schema can be made."""
    page = tmp_path / "configuration.md"
    page.write_text((ROOT / "docs" / "configuration.md").read_text().replace("`gateway.bind`", "`gateway.bound`"))
    with pytest.raises(ValueError, match=r"configuration\.md has no row for gateway\.bind"):
        schema(page)


def test_is_found_where_it_is_installed(tmp_path: Path) -> None:
    """In an installed package it is beside the module."""
    (tmp_path / "zero.schema.json").write_text("{}\n")
    assert "{}" == json_schema(tmp_path)


def test_a_configuration_may_name_it(tmp_path: Path) -> None:
    """``$schema`` is for editors, in the file and in those that it includes."""
    (tmp_path / "agents.json5").write_text('{ $schema: "a.json", list: [{ id: "a", model: "echo/echo" }] }')
    file = tmp_path / "zero.json"
    file.write_text('{ $schema: "./zero.schema.json", agents: { $include: "agents.json5" } }')
    assert ["a"] == list(load(file, {}).agents)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{ $schema: 1 }", r"zero\.json: \$schema: not the address of a schema"),
        ('{ gateway: { $schema: "a" } }', r"gateway\.\$schema: unknown key"),
    ],
)
def test_a_schema_that_is_no_address_or_not_at_the_top(tmp_path: Path, text: str, problem: str) -> None:
    """Anything else under that name is a mistake."""
    file = tmp_path / "zero.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load(file, {})
