"""What a session has said so far, as a value that costs nothing to hand on, to cut behind a message, and to extend.

Many histories share one list that only ever grows; each knows how much of it is its own. So the thousandth turn doesn't
copy what the others said. Knows nothing of where histories come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import eq
from typing import Final, TypeVar, overload

from app.sessions.message import Message
from app.sessions.store import StoredMessage
from app.sessions.totals import Totals

_T = TypeVar("_T")
_OVERHEAD: Final = 720
"""Bytes that a message takes up beside its text: ids, digests, sums, objects."""


class _Shown(Sequence[_T]):
    """A sequence that equals lists and tuples of the same items; what the two below have in common."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # like a list: equal to some that have none

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, tuple, _Shown)) and len(self) == len(other) and all(map(eq, self, other))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class History(_Shown[StoredMessage]):
    """A session's active branch, oldest first; never changes.

    Args:
        stored: The list that it shares; nobody else may change that.
        said: The messages in it, without the rest; shared too, so that they needn't be picked out each turn.
        ends: How many bytes there are up to each message's end; shared too.
        length: How many of them are its own.
        callers: Where messages are that may call a function in the older form of tools; shared too.
        totals: What its last messages are together, by what was asked; shared too.
    """

    __slots__ = ("_callers", "_ends", "_length", "_said", "_stored", "_totals")

    def __init__(
        self,
        stored: list[StoredMessage] | None = None,
        said: list[Message] | None = None,
        ends: list[int] | None = None,
        length: int = 0,
        callers: list[int] | None = None,
        totals: dict[str, Totals] | None = None,
    ) -> None:
        self._stored = [] if stored is None else stored
        self._said = [] if said is None else said
        self._ends = [] if ends is None else ends
        self._length = length
        self._callers = [] if callers is None else callers
        self._totals = {} if totals is None else totals

    @classmethod
    def of(cls, stored: Iterable[StoredMessage]) -> History:
        """Return a history of its own."""
        return cls().extended(stored)

    @property
    def messages(self) -> Spoken:
        """What was said, without ids and digests."""
        return Spoken(self, self._said)

    @property
    def held(self) -> int:
        """How many bytes of memory are held by it, together with all that share its list."""
        return (self._ends[-1] if self._ends else 0) + _OVERHEAD * len(self._ends)

    @property
    def may_call_functions(self) -> bool:
        """Whether the assistant may have called a function, in the older form of tools."""
        return bool(self._callers) and self._callers[0] < self._length

    def totals(self, what: str) -> Totals:
        """Return what is known of its messages together; ``what`` names what is measured of them."""
        return self._totals.setdefault(what, Totals())

    def bytes_before(self, at: int) -> int:
        """Return how many bytes the texts of the first ``at`` messages have."""
        return self._ends[at - 1] if at else 0

    def first(self, count: int) -> History:
        """Return the history as it was after its first ``count`` messages."""
        if count >= self._length:
            return self
        return History(self._stored, self._said, self._ends, count, self._callers, self._totals)

    def up_to(self, message_id: str) -> History | None:
        """Return the history as it was after a message, or ``None`` if it isn't in it."""
        at = next((at for at in reversed(range(self._length)) if self._stored[at].id == message_id), None)
        return None if at is None else self.first(at + 1)

    def extended(self, new: Iterable[StoredMessage]) -> History:
        """Return the history as it is after further messages."""
        stored, said, ends = self._stored, self._said, self._ends
        callers, totals = self._callers, self._totals
        if self._length < len(stored):
            # Another one has grown at this place already: this is a fork, and gets lists of its own.
            stored, said, ends = stored[: self._length], said[: self._length], ends[: self._length]
            callers = [at for at in callers if at < self._length]
            totals = {what: some.up_to(self._length) for what, some in list(totals.items())}
        for one in new:
            if may_call_function(one.message):
                callers.append(len(stored))
            ends.append((ends[-1] if ends else 0) + len(memoryview(one.message.raw)))
            stored.append(one)
            said.append(one.message)
        return History(stored, said, ends, len(stored), callers, totals)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[StoredMessage]:
        return islice(self._stored, self._length)

    @overload
    def __getitem__(self, index: int) -> StoredMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[StoredMessage]: ...

    def __getitem__(self, index: int | slice) -> StoredMessage | list[StoredMessage]:
        if isinstance(index, slice):
            begin, end, step = index.indices(self._length)
            return self._stored[begin:end] if step == 1 else [self._stored[at] for at in range(begin, end, step)]
        return self._stored[_place(index, self._length)]


class Spoken(_Shown[Message]):
    """The messages of a history.

    Args:
        history: The history.
        said: The list of messages that it shares.
    """

    __slots__ = ("_history", "_length", "_said")

    def __init__(self, history: History, said: list[Message]) -> None:
        self._history = history
        self._said = said
        self._length = len(history)

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Spoken:
        """Return messages that are in no session yet."""
        return History.of(StoredMessage("", "", message) for message in messages).messages

    @property
    def may_call_functions(self) -> bool:
        """Whether there may be a function call among them, in the older form of tools."""
        return self._history.may_call_functions

    def totals(self, what: str) -> Totals:
        """Return what is known of them together; see ``History``."""
        return self._history.totals(what)

    def bytes_before(self, at: int) -> int:
        """Return how many bytes the first ``at`` messages have."""
        return self._history.bytes_before(at)

    def __len__(self) -> int:
        return len(self._history)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._said[: self._length])

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        if isinstance(index, slice):
            begin, end, step = index.indices(self._length)
            return self._said[begin:end] if step == 1 else [self._said[at] for at in range(begin, end, step)]
        if 0 <= index < self._length:  # the common case, by the shortest way: a long conversation asks this often
            return self._said[index]
        return self._said[_place(index, self._length)]


def may_call_function(message: Message) -> bool:
    """Tell whether a message may call a function in the older form of tools; if not, it surely doesn't."""
    return message.role == "assistant" and b"function_call" in bytes(message.raw)


def _place(index: int, length: int) -> int:
    place = index + length if index < 0 else index
    if not 0 <= place < length:
        raise IndexError(index)
    return place
