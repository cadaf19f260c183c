"""What is noted of a request while it is answered, by whom it comes along: one object in its scope.

In one place, because with more than 21 keys a scope takes twice the memory. Knows nothing of what is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeAlias

from litestar.types import Receive, Send

Answering: TypeAlias = Callable[[Receive, Send], Coroutine[Any, Any, None]]
"""Answers a request. May raise as long as nothing has been sent."""

_KEY: Final = "zero.notes"


class Notes:
    """What is noted of one request.

    Attributes:
        request_id: Under which it is answered and logged.
        route: The path of the contract that it has come to; empty if it is none of them.
        revision: The header that says which configuration it is answered by.
        identity: The headers that say what agent, session and run it is about.
        late: Returns headers that are known when the response begins.
        answer: What answers it behind the router, if the handler doesn't.
    """

    __slots__ = ("answer", "identity", "late", "request_id", "revision", "route")

    def __init__(self, request_id: bytes) -> None:
        self.request_id = request_id
        self.route = ""
        self.revision: tuple[tuple[bytes, bytes], ...] = ()
        self.identity: tuple[tuple[bytes, bytes], ...] = ()
        self.late: Callable[[], Iterable[tuple[bytes, bytes]]] | None = None
        self.answer: Answering | None = None

    @classmethod
    def begun(cls, scope: Any, request_id: bytes) -> Notes:
        """Begin to note what becomes of a request."""
        notes = scope[_KEY] = cls(request_id)  # ASGI lets an application add keys of its own
        return notes

    @classmethod
    def of(cls, scope: Any) -> Notes:
        """Return a request's notes; those that nobody will read, if it has none."""
        notes: Notes | None = scope.get(_KEY)
        return notes if notes is not None else cls(b"unknown")
