"""Paths with parameters in the middle, told apart by the bytes of the URL and not by what was decoded of it.

A parameter is one segment, percent-decoded once, so that its value may have slashes (``%2F``) and per cent signs
(``%25``) in it; a server's decoded path no longer knows which slash was which. Knows operations, no framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from app.contract.document import Operation

Operations = Mapping[str, Operation]
"""The operations of one path, by method."""


class Place(NamedTuple):
    """A path that was found: its operations, and the values of its parameters."""

    operations: Operations
    parameters: dict[str, str]


class PathGroup:
    """The paths below a common one.

    Args:
        paths: Their templates, with the operations of each.
    """

    def __init__(self, paths: Mapping[str, Operations]) -> None:
        # Of two that fit, the one counts that says more of its segments itself.
        self._templates = sorted(
            ((_segments(template), operations) for template, operations in paths.items()),
            key=lambda entry: [segment.startswith("{") for segment in entry[0]],
        )

    def find(self, raw_path: bytes) -> Place | None:
        """Return the path that a URL means, or ``None``.

        Args:
            raw_path: The URL's path as it was sent, without the query.
        """
        given = [unquote(segment) for segment in _segments(raw_path.decode("latin-1"))]
        for template, operations in self._templates:
            if len(template) == len(given) and all(
                said.startswith("{") or said == here for said, here in zip(template, given, strict=True)
            ):
                pairs = zip(template, given, strict=True)
                return Place(operations, {said[1:-1]: here for said, here in pairs if said.startswith("{")})
        return None


def grouped(paths: Iterable[str], multi_segment: Iterable[str]) -> dict[str, list[str]]:
    """Return the paths that need a group, by what all of a group begin with.

    Args:
        paths: All templates there are.
        multi_segment: Those whose one parameter, at the end, is the rest of the path; they need none.
    """
    apart = set(multi_segment)
    known = list(paths)
    stems = {path.partition("{")[0] for path in known if "{" in path and path not in apart}
    return {stem: [path for path in known if path.startswith(stem)] for stem in sorted(stems)}


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
