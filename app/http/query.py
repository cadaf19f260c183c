"""Reading a URL's query: every parameter at most once, and none that the operation doesn't have."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from litestar.types import Scope

from app.errors import InvalidRequest

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
_MAX_FIELDS: Final = 100


class Query:
    """A request's query, looked up by name.

    Args:
        scope: The request's.
        known: The names of the parameters that the operation has.

    Raises:
        InvalidRequest: If it has others, one twice, or isn't UTF-8. So a misspelt parameter changes nothing by its
            absence.
    """

    def __init__(self, scope: Scope, known: Collection[str] = ()) -> None:
        try:
            pairs = parse_qsl(
                scope["query_string"].decode("latin-1"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except ValueError:  # a UnicodeDecodeError is one
            raise InvalidRequest("The URL's query can't be read.") from None
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                having = f"Those there are: {', '.join(sorted(known))}." if known else "It has none."
                raise InvalidRequest(f"This operation has no parameter {name[:100]!r}. {having}", param=name[:100])
            if name in self._values:
                raise InvalidRequest(f"The parameter {name!r} was sent twice.", param=name)
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """Return a parameter, if it is there.

        Raises:
            InvalidRequest: If it is there and empty.
        """
        value = self._values.get(name)
        if value == "":
            raise InvalidRequest(f"The parameter {name!r} is empty.", param=name)
        return value

    def anything(self, name: str) -> str:
        """Return a parameter that may be empty, and is if it isn't there."""
        return self._values.get(name, "")

    def required(self, name: str) -> str:
        """Return a parameter that has to be there.

        Raises:
            InvalidRequest: If it isn't, or is empty.
        """
        value = self.text(name)
        if value is None:
            raise InvalidRequest(
                f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter"
            )
        return value

    def limit(self) -> int:
        """Return ``limit``: how many entries a page has at most.

        Raises:
            InvalidRequest: If it isn't a whole number from 1 to 100.
        """
        value = self._values.get("limit")
        if value is None:
            return DEFAULT_LIMIT
        if not (value.isascii() and value.isdecimal() and len(value) < 10 and 1 <= int(value) <= MAX_LIMIT):
            raise InvalidRequest(f"'limit' must be a whole number from 1 to {MAX_LIMIT}.", param="limit")
        return int(value)
