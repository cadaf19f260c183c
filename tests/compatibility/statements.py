"""What the contract says of requests, as the tests of this folder need it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from contracts.support import ENGINES, REQUEST, Statement, Support
from tests.unit.contract import schemas


class Cell(NamedTuple):
    """One cell of the tables: what one kind of engine does with one member."""

    id: str
    engine: str
    word: str

    def __str__(self) -> str:
        return f"{self.id} on {self.engine}"


@cache
def support(root: str = REQUEST) -> Support:
    """Read the statements about the request, or about an answer."""
    return Support(schemas.components(), root)


@cache
def statements() -> dict[str, Statement]:
    """Return the statements about requests by id."""
    return support().statements


def cells(*words: str) -> list[Cell]:
    """Return the cells about requests that have one of these words."""
    return [
        Cell(one.id, engine, one.words[engine])
        for one in statements().values()
        for engine in ENGINES
        if one.words[engine] in words
    ]


def is_covered(place: str, root: str) -> bool:
    """Tell whether the tables say something about a place of a body: by its name, or of all that is inside another."""
    found = support(root)
    unnamed = {other for other, ids in found.places.items() if any(found.statements[one].unnamed for one in ids)}
    return place in found.places or any(place.startswith(f"{other}.") for other in unnamed)
