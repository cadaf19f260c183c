"""The API reference, as pages: of the documents, and of a gateway."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from contracts.generate import CONTRACT
from contracts.reference import reference, reference_page

CONTENT: dict[str, Any] = yaml.safe_load(CONTRACT.read_bytes())
OPERATIONS = [
    (method, path) for path, item in CONTENT["paths"].items() for method in ("get", "post", "delete") if method in item
]


@pytest.fixture(scope="module")
def text() -> str:
    """docs/api.md."""
    return reference(CONTENT)


@pytest.fixture(scope="module")
def page() -> str:
    """The page of /docs."""
    return reference_page(CONTENT)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_is_there(text: str, method: str, path: str) -> None:
    """With its parameters and the statuses that it may answer with."""
    [_, section] = text.split(f"\n### {method.upper()} {path}\n")
    operation = CONTENT["paths"][path][method]
    section = re.split(r"\n##+ ", section)[0]
    assert operation["summary"] in section
    assert list(operation["responses"]) == re.findall(r"^\| (\d{3}) \|", section, re.MULTILINE)


def test_every_schema_is_there_with_every_member(text: str) -> None:
    """Nothing of the contract's schemas is left out."""
    for name, schema in CONTENT["components"]["schemas"].items():
        [_, section] = text.split(f"\n### {name}\n")
        members = re.findall(r"^\| `([^`]+)`", section.split("\n### ")[0], re.MULTILINE)
        assert list(schema.get("properties", {})) == members


def test_every_link_of_the_page_leads_to_a_place_on_it(page: str) -> None:
    """The page needs no other one: its links are to its own headings."""
    places = set(re.findall(r' id="([^"]+)"', page))
    targets = re.findall(r' href="([^"]+)"', page)
    assert len(targets) > 100
    assert [] == [target for target in targets if target[:1] != "#" or target[1:] not in places]


def test_the_page_runs_and_loads_nothing(page: str) -> None:
    """No script, no picture, no style sheet, no frame."""
    assert [] == re.findall(r"<(?:script|img|link|iframe|object|embed)\b|@import|url\(| on\w+=", page)
