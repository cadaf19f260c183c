"""The contract's statements about engines: complete, well formed, and one for every place."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from contracts.compatibility import compatibility
from contracts.support import ANSWERS, ENGINES, REQUEST, Support
from tests.official import Json
from tests.unit.contract import schemas

Change = Callable[[dict[str, Json]], object]


def changed(change: Change) -> dict[str, Json]:
    """Return the contract's schemas after a change to them."""
    found = copy.deepcopy(schemas.components())
    change(found)
    return found


@pytest.mark.parametrize("root", [REQUEST, *ANSWERS])
def test_every_place_has_a_statement(root: str) -> None:
    """There is no place in a body that nothing is said about."""
    assert [] == [place for place, ids in Support(schemas.components(), root).places.items() if not ids]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c[REQUEST]["properties"].update(new={"type": "string"}), id="a new field"),
        pytest.param(lambda c: c["ToolChoiceMode"]["enum"].append("perhaps"), id="a new word"),
        pytest.param(
            lambda c: c["ResponseFormat"]["discriminator"]["mapping"].update(xml="#/components/schemas/X"),
            id="a new kind",
        ),
        pytest.param(lambda c: c[REQUEST]["properties"].pop("seed"), id="a field that is gone"),
        pytest.param(lambda c: c[REQUEST]["x-zero-support"]["seed"].pop("local"), id="an engine left out"),
        pytest.param(lambda c: c[REQUEST]["x-zero-support"]["seed"].update(local="maybe"), id="another word"),
        pytest.param(lambda c: c[REQUEST]["x-zero-support"]["seed"].update(remote="ignored"), id="another engine"),
        pytest.param(lambda c: c[REQUEST]["x-zero-support"]["seed"].pop("note"), id="ignored for no reason"),
    ],
)
def test_what_is_missing_is_noticed(change: Change) -> None:
    """A member without a statement, or one that says nothing usable, stops the generator and names the place."""
    with pytest.raises(
        ValueError, match=r"x-zero-support of (CreateChatCompletionRequest|ToolChoiceMode|ResponseFormat)"
    ):
        Support(changed(change), REQUEST)


def test_fields_inside_share_the_fate() -> None:
    """A new field deep inside one that is treated as a whole needs no statement of its own."""
    found = Support(changed(lambda c: c["WebSearchLocation"]["properties"].update(planet={"type": "string"})), REQUEST)
    place = "web_search_options.user_location.approximate.planet"
    assert ["CreateChatCompletionRequest.web_search_options"] == found.places[place]


def test_the_page_has_every_statement() -> None:
    """Each statement is a row with a word for each engine, and each table has a title."""
    page = compatibility(schemas.document())
    for root in (REQUEST, *ANSWERS):
        for one in Support(schemas.components(), root).statements.values():
            name = "any other" if one.member == "*" else f"`{one.member}`"
            assert f"| {name} | {' | '.join(one.words[engine] for engine in ENGINES)} |" in page, one.id


def test_a_table_without_a_title() -> None:
    """A schema that begins to make statements needs a title for its table."""
    document = copy.deepcopy(schemas.document())
    location = document["components"]["schemas"]["WebSearchLocation"]
    location["x-zero-support"] = {member: {"all": "forwarded"} for member in location["properties"]}
    with pytest.raises(ValueError, match=r"without a title, or the reverse: .*WebSearchLocation"):
        compatibility(document)
