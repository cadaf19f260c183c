"""``make torture`` in small: the whole way is gone, and what it would find is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.machine.row import Row
from tests.torture.soak import LEAK, LEAKED_BLOCKS, leaks, soak
from tests.torture.table import markdown, rows
from tests.torture.vitals import Slope, Vitals, slope

SECONDS: Final = 3.0
_REST: Final = Vitals(0.0, 90, 80, files=14, stored=24, sockets=3, threads=11, tasks=7, blocks=9, named="{}")
_FLAT: Final = Slope(0.0, 0.1)
_NONE: Final = _FLAT, _FLAT


def test_soak(tmp_path: Path) -> None:
    """A few seconds of all kinds of requests, some of them given up: all as it must be, and nothing is left behind."""
    outcome = soak(tmp_path, SECONDS, tell=False)
    assert [] == outcome.faults, "\n".join(outcome.report)
    assert "bytes a client" in "\n".join(outcome.report)


@pytest.mark.parametrize(
    ("after", "growth", "fault"),
    [
        ({"files": 15}, _NONE, "1 more files"),
        ({"sockets": 5}, _NONE, "2 more sockets"),
        ({"tasks": 8, "named": "{'left': 1}"}, _NONE, "1 more tasks at rest than before: {'left': 1}"),
        ({"stored": 60}, _NONE, "60 files of the session store"),
        ({"threads": 30}, None, "30 threads"),
        ({}, (Slope(LEAK + 20, 10.0), _FLAT), "memory grows by 52 ± 10 bytes"),
        ({}, (_FLAT, Slope(LEAKED_BLOCKS + 0.3, 0.1)), "Python's objects grow by 0.50 ± 0.10 blocks"),
    ],
)
def test_leaks_are_found(after: dict[str, Any], growth: tuple[Slope, Slope] | None, fault: str) -> None:
    """Whatever is more than before at rest, and memory that surely grows, is a fault of its own."""
    found = list(leaks(_REST, _REST._replace(**after), growth))
    assert 1 == len(found)
    assert found[0].startswith(fault)


def test_no_leaks() -> None:
    """Less than before is none, nor is growth that may as well be chance, or of a soak too short to tell."""
    by_chance = Slope(LEAK + 20, 30.0), Slope(LEAKED_BLOCKS + 1, 2.0)
    assert [] == list(leaks(_REST, _REST._replace(tasks=6, sockets=0, blocks=99), by_chance))
    assert [] == list(leaks(_REST, _REST, None))


def test_slope() -> None:
    """A line is found as it is, with the confidence that its points allow."""
    exact = slope([(float(n), 3.0 * n + 5) for n in range(120)])
    assert (3.0, 0.0) == (round(exact.rise, 9), round(exact.give_or_take, 9))
    assert Slope(1.5, 0.5) == Slope(3.0, 1.0).by(2.0)
    noisy = slope([(float(n), 100.0 if n // 10 % 2 else 0.0) for n in range(120)])
    assert abs(noisy.rise) < noisy.give_or_take


def test_table(tmp_path: Path) -> None:
    """A fault that ends as it must is a line; one that doesn't is a line that says so, and those after it are done."""

    def bears_it(folder: Path) -> Row:
        assert folder.is_dir()
        return Row("pulled the plug", "nothing", "nothing", "at once")

    def bears_it_not(_folder: Path) -> Row:
        raise AssertionError("two turns are gone")

    found = list(rows(tmp_path, (bears_it_not, bears_it)))
    assert [False, True] == [good for _, good in found]
    assert [
        "| Fault           | The client saw             | Lost    | Service again |",
        "| --------------- | -------------------------- | ------- | ------------- |",
        "| bears it not    | FAILED: two turns are gone | ?       | ?             |",
        "| pulled the plug | nothing                    | nothing | at once       |",
    ] == markdown([row for row, _ in found])
