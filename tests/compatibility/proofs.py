"""Which tests show that a field is honoured or emulated, since each of them shows it in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=Callable[..., object])

PROVEN: dict[tuple[str, str], str] = {}
"""The tests by statement and engine, filled while the modules with ``proves`` are imported."""


def proves(*ids: str, on: tuple[str, ...]) -> Callable[[T], T]:
    """Mark a test as the one that shows what some statements say of some engines.

    Args:
        ids: The statements, as in ``ToolChoiceMode.required``.
        on: The engines, as the contract calls them.
    """

    def mark(test: T) -> T:
        for id_ in ids:
            for engine in on:
                PROVEN[id_, engine] = f"{test.__module__}.{test.__qualname__}"
        return test

    return mark
