"""What of another program's configuration holds here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.config import ConfigError, carry_over, dotted, load
from tests.documents import ROOT

AGENT = "An agent here is a system prompt, a model, parameters and a tool policy."


def said(folder: Path, tree: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what is said of a configuration: verdict, path, text."""
    file = folder / "openclaw.json"
    file.write_text(json.dumps(tree))
    return [(each.verdict, dotted(each.path), each.text) for each in carry_over(file)]


def provider(**more: Any) -> dict[str, Any]:
    """Return a configuration with one provider."""
    return {"models": {"providers": {"mock": {"baseUrl": "http://127.0.0.1:1/v1", **more}}}}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({}, []),
        ({"gateway": {"port": 1234}}, [("holds", "gateway.port", "")]),
        ({"frobnicate": {"a": 1}}, [("stays", "frobnicate", "There is nothing like it here.")]),
        (
            {"channels": {"telegram": {"botToken": "123"}}},
            [("stays", "channels", "There are no chat channels here: clients speak HTTP or WebSocket.")],
        ),
        (
            {"agents": {"list": [{"id": "a", "workspace": "~/a"}]}},
            [("stays", "agents.list[0].workspace", AGENT), ("holds", "agents.list[0].id", "")],
        ),
        (
            {"agents": {"entries": {"main": {"default": True}, "b": {}}}},
            [
                ("changes", "agents.entries", "Each becomes an entry of agents.list, its name the id."),
                ("holds", "agents.list[0].id", ""),
                ("holds", "agents.list[0].default", ""),
                ("holds", "agents.list[1].id", ""),
            ],
        ),
        (
            {"gateway": {"bind": "tailnet"}},
            [("changes", "gateway.bind", 'not an address. Write "loopback", "lan" or an IP address.')],
        ),
        (
            {"gateway": {"auth": {"token": {"source": "env", "provider": "default", "id": "TOKEN"}}}},
            [("changes", "gateway.auth.token", 'Write "${TOKEN}".')],
        ),
        (
            provider(api="anthropic-messages"),
            [
                (
                    "changes",
                    "models.providers.mock.api",
                    'expected "openai-completions", got another string. Known here: "openai-completions".',
                ),
                ("holds", "models.providers.mock.baseUrl", ""),
            ],
        ),
        (
            {"models": {"providers": {"mock": {"baseUrl": "${WHERE}"}}}},
            [("holds", "models.providers.mock.baseUrl", "")],
        ),
        (
            {"agents": {"list": [{"id": "a", "model": {"primary": "anthropic/claude", "fallbacks": []}}]}},
            [
                (
                    "changes",
                    "agents.list[0].model.primary",
                    (
                        'the provider "anthropic" is neither built in nor in models.providers. '
                        'Known here: "echo", "local".'
                    ),
                ),
                ("holds", "agents.list[0].id", ""),
            ],
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_key_by_key(tmp_path: Path, tree: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    """A key holds, needs a change that is named, or stays behind for a reason."""
    assert expected == said(tmp_path, tree)


def test_ours_holds_from_end_to_end() -> None:
    """A configuration that the gateway starts with has nothing to change or to leave behind."""
    assert {"holds"} == {each.verdict for each in carry_over(ROOT / "examples" / "zero.json5")}


def test_what_holds_makes_a_configuration(tmp_path: Path) -> None:
    """The keys that hold, and no others, are one that loads."""
    tree = {**provider(api="other", headers={"x": "y"}), "gateway": {"bind": "auto", "port": 1}, "cron": {}}
    assert [("changes", "models.providers.mock.api"), ("changes", "gateway.bind")] == [
        (verdict, path) for verdict, path, _ in said(tmp_path, tree) if verdict == "changes"
    ]
    file = tmp_path / "zero.json"
    file.write_text(json.dumps({**provider(headers={"x": "y"}), "gateway": {"port": 1}}))
    assert load(file, {}).agents


@pytest.mark.parametrize("tree", [{"gateway": []}, {"agents": {"list": "a"}}, {"models": {"providers": [1]}}])
def test_what_is_of_another_kind_needs_a_change(tmp_path: Path, tree: dict[str, Any]) -> None:
    """An end is found, whatever stands where something else is expected."""
    assert ["changes"] == [verdict for verdict, _, _ in said(tmp_path, tree)]


def test_no_value_is_told(tmp_path: Path) -> None:
    """Secrets of the other program stay where they are, wherever they stand."""
    secret = "sk-0123456789"
    tree = {
        **provider(apiKey=secret, headers={"X-Key": secret}, other=secret),
        "gateway": {"auth": {"token": secret, "password": [secret], "mode": secret}, "bind": secret},
        "session": {"store": secret},
        "channels": {"x": {"token": secret}},
    }
    assert secret not in str(said(tmp_path, tree))


@pytest.mark.parametrize(("name", "problem"), [("nothing.json", "does not exist"), ("broken.json", "not JSON5")])
def test_a_file_that_can_not_be_read(tmp_path: Path, name: str, problem: str) -> None:
    """The error names the file."""
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match=f"{name}.*{problem}"):
        carry_over(tmp_path / name)
