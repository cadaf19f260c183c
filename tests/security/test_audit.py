"""docs/security.md, "Dependencies": the audit fails where something is wrong, and where nobody can tell."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from tests.documents import ROOT
from tests.security.audit import strangers, weaknesses

RULES: dict[str, Any] = {
    "licences": ["MIT"],
    "unstated": {"known": "its repository says MIT"},
    "programs": {"linter": "GPL-3.0"},
}


def report(*packages: dict[str, Any]) -> str:
    """Return what pip-audit prints."""
    return json.dumps({"dependencies": [{"version": "1", "vulns": [], **package} for package in packages], "fixes": []})


def test_nothing_known_against_anything() -> None:
    """All packages were looked up and none is in the advisories; our own is in no index."""
    assert [] == list(weaknesses(report({"name": "a"}, {"name": "zero-gateway", "skip_reason": "not found"}), "", 0))


def test_a_known_weakness() -> None:
    """It is named, with the version that mends it."""
    found = {"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}
    [problem] = weaknesses(report({"name": "a", "vulns": [found]}), "", 1)
    assert "a 1: PYSEC-1, mended in 1.1" == problem


@pytest.mark.parametrize(
    ("said", "complaint", "expected"),
    [
        ("", "ConnectionError: no route", "ended with 1 and without a report: ConnectionError: no route"),
        ("", "", "it said nothing"),
        (
            report({"name": "a", "skip_reason": "not found"}, {"name": "b"}),
            "",
            "1 of 2 packages could not be looked up (a)",
        ),
        (report(), "", "0 of 0 packages could not be looked up"),
    ],
)
def test_what_can_not_be_known(said: str, complaint: str, expected: str) -> None:
    """Without the advisories, or without those of a package, the audit doesn't pass."""
    [problem] = weaknesses(said, complaint, 1)
    assert expected in problem


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ({"Name": "a", "License": "MIT"}, []),
        ({"Name": "a", "License": "MIT\n\nPermission is hereby granted"}, []),
        ({"Name": "a", "License": "GPL-3.0"}, ["a 1 is under 'GPL-3.0', which is not on the list"]),
        ({"Name": "a", "License": "UNKNOWN"}, ["a 1 is under 'UNKNOWN', which is not on the list"]),
        ({"Name": "known", "License": "UNKNOWN"}, []),
        ({"Name": "known", "License": "GPL-3.0"}, ["known 1 is under 'GPL-3.0', which is not on the list"]),
        ({"Name": "linter", "License": "GPL-3.0"}, []),
        ({"Name": "linter", "License": "BUSL-1.1"}, ["linter 1 is under 'BUSL-1.1', which is not on the list"]),
    ],
)
def test_licences(package: dict[str, str], expected: list[str]) -> None:
    """What isn't on the list is named; what states none must have been looked into."""
    assert expected == list(strangers(json.dumps([{"Version": "1", **package}]), RULES))


def test_no_report_of_licences() -> None:
    """A tool that failed is no good news."""
    assert ["pip-licenses gave no report: boom"] == list(strangers("boom", RULES))


def test_the_list() -> None:
    """It has no licence that would oblige whoever runs or changes the gateway to publish it."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["zero"]["audit"]
    assert not [one for one in rules["licences"] if one.startswith(("GPL", "AGPL", "SSPL", "BUSL"))]
    assert all(rules["unstated"].values())
