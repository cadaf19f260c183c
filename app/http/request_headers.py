"""Reading the headers that mean something to the gateway, and refusing those that say two things at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from app.errors import InvalidRequest

_SORTED: Final = "zero.headers"


class RequestHeaders:
    """A request's headers, looked up by lower-case name.

    Args:
        headers: As ASGI gives them: pairs of lower-case name and value.
    """

    __slots__ = ("_values",)

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of a header."""
        return self._values.get(name, [])

    def text(self, name: bytes) -> str:
        """Return the one value of a header without surrounding blanks, or an empty string when it isn't there.

        Raises:
            InvalidRequest: If it is there twice with different values, or isn't UTF-8.
        """
        values = self._values.get(name)
        if values is None:
            return ""
        if len(values) > 1 and len(set(values)) > 1:
            raise InvalidRequest(
                f"The header {name.decode()} was sent twice with different values.", param=name.decode()
            )
        try:
            return values[0].strip().decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"The header {name.decode()} is not UTF-8.", param=name.decode()) from None

    def joined(self, name: bytes) -> str | None:
        """Return all values of a list header as one, for headers that proxies append to."""
        values = self._values.get(name)
        return b",".join(values).decode("latin-1") if values else None


def leave_headers(scope: Any, headers: RequestHeaders) -> None:
    """Leave a request's headers, once they are sorted, to whoever reads them next."""
    scope[_SORTED] = headers


def headers_of(scope: Any) -> RequestHeaders:
    """Return a request's headers. Those that were left are handed out once: what takes long needn't keep them."""
    left: RequestHeaders | None = scope.pop(_SORTED, None)
    return RequestHeaders(scope["headers"]) if left is None else left
