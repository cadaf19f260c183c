"""The table of faults: what was done, what the client saw, what was lost, when there was service again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.machine.clocks import clock_jumps
from tests.machine.descriptors import (
    few_descriptors_at_the_start,
    no_descriptors_for_clients,
    no_descriptors_for_the_upstream,
)
from tests.machine.disk_full import disk_full
from tests.machine.killed import killed_amid_streams
from tests.machine.read_only import read_only_from_the_start, read_only_meanwhile
from tests.machine.row import Row
from tests.torture.hostile_clients import hostile_clients
from tests.torture.hostile_upstreams import hostile_upstreams

Fault = Callable[[Path], Row | Iterator[Row]]
"""Does something to a gateway of its own, or one thing after the other; raises where not all is as it must be."""

FAULTS: Final[tuple[Fault, ...]] = (
    hostile_clients,
    hostile_upstreams,
    disk_full,
    read_only_from_the_start,
    read_only_meanwhile,
    clock_jumps,
    no_descriptors_for_clients,
    no_descriptors_for_the_upstream,
    few_descriptors_at_the_start,
    killed_amid_streams,
)
_HEADS: Final = ("Fault", "The client saw", "Lost", "Service again")


def rows(folder: Path, faults: Sequence[Fault] = FAULTS) -> Iterator[tuple[Row, bool]]:
    """Do one fault after the other; yield what is to be told of each, and whether all was as it must be."""
    for fault in faults:
        place = folder / fault.__name__
        place.mkdir()
        try:
            found = fault(place)
            for row in (found,) if isinstance(found, Row) else found:
                yield row, True
        except (AssertionError, OSError, TimeoutError) as error:
            told = (str(error).splitlines() or [repr(error)])[0]
            yield Row(fault.__name__.replace("_", " "), f"FAILED: {told[:300]}", "?", "?"), False


def markdown(found: Sequence[Row]) -> list[str]:
    """Return the table in lines of Markdown, which people can read as it stands."""
    lines = [_HEADS, *found]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADS))]
    ruler = ["-" * width for width in widths]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (_HEADS, ruler, *found)
    ]
