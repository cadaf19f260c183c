"""References inside a JSON schema: where they lead, and whether they ever arrive.

Pure. llama.cpp resolves plain JSON pointers only, crashes on some circles and stands still on alternatives that
multiply, so both are found here.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from app.engines.local.unfit import Unfit

MAX_STEPS: Final = 64
"""References and combinations that may follow each other without a property or an item between them."""
_PLENTY: Final = 10**6


class References:
    """The references of one document.

    Args:
        root: The document.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._ways: dict[str, int | None] = {}

    def target(self, reference: Any) -> Any:
        """Return what a reference leads to.

        Raises:
            Unfit: If it leads out of the document, nowhere, or to an anchor.
        """
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise Unfit(f"its $ref {str(reference)[:100]!r} isn't a JSON pointer like '#/$defs/...'")
        node = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                raise Unfit(f"its $ref {reference[:100]!r} leads nowhere in this schema")
        return node

    def ways(self, schema: Any, steps: int = 0) -> int:
        """Count the alternatives that a schema is at its outermost, all references followed.

        Raises:
            Unfit: If a reference leads back to itself, so that there is no end.
        """
        if steps > MAX_STEPS:
            raise Unfit("its references and combinations are nested too deeply")
        if not isinstance(schema, dict):
            return 1
        ways = 1
        if "$ref" in schema:
            ways = self._ways_of(schema["$ref"], steps)
        for part in _listed(schema, "allOf"):
            ways *= self.ways(part, steps + 1)
        for keyword in ("anyOf", "oneOf"):
            ways *= sum(self.ways(option, steps + 1) for option in _listed(schema, keyword)) or 1
        return min(ways, _PLENTY)

    def _ways_of(self, reference: Any, steps: int) -> int:
        target = self.target(reference)
        if reference not in self._ways:
            self._ways[reference] = None
            self._ways[reference] = self.ways(target, steps + 1)
        ways = self._ways[reference]
        if ways is None:
            raise Unfit(f"its $ref {reference[:100]!r} leads back to itself")
        return ways


def _listed(schema: dict[str, Any], keyword: str) -> list[Any]:
    parts = schema.get(keyword)
    return parts if isinstance(parts, list) else []
