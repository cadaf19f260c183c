"""What the last messages of a conversation are together, from any place to any other; none is measured twice.

Belongs to a list that only ever grows. Knows nothing of what is measured.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from threading import Lock
from typing import NamedTuple

from app.sessions.message import Message

Measure = Callable[[Message], int]
"""Returns what one message is, not below 0, and the same each time. What it raises leaves the totals as they were."""


class _Known(NamedTuple):
    """Running totals: of what lies before each place from the first one on. Only differences of them mean anything."""

    first: int
    sums: list[int]

    @property
    def last(self) -> int:
        return self.first + len(self.sums) - 1

    def between(self, begin: int, end: int) -> int:
        return self.sums[end - self.first] - self.sums[begin - self.first]


class Totals:
    """Running totals of a list's messages. Any thread may ask, and none waits while another one measures.

    They begin as far back as anybody has asked for: of a long conversation the beginning may never matter.
    """

    __slots__ = ("_known", "_lock")

    def __init__(self, known: _Known | None = None) -> None:
        self._known = known  # its list only grows; where it is to begin elsewhere, another one takes its place
        self._lock = Lock()

    def up_to(self, length: int) -> Totals:
        """Return the totals of a list's first messages, for a list that grows on its own."""
        known = self._known
        if known is None or length < known.first:
            return Totals()
        return Totals(_Known(known.first, known.sums[: length - known.first + 1]))

    def since(self, messages: Sequence[Message], begin: int, measure: Measure) -> int:
        """Return what the messages from a place to the end are together."""
        end = len(messages)
        self.fitting(messages, begin, end, sys.maxsize, measure)
        return self.between(messages, begin, end, measure)

    def between(self, messages: Sequence[Message], begin: int, end: int, measure: Measure) -> int:
        """Return what the messages between two places are together."""
        known = self._known
        if known is not None and known.first <= begin <= end <= known.last:
            return known.between(begin, end)
        return sum(map(measure, messages[begin:end]))

    def fitting(self, messages: Sequence[Message], begin: int, end: int, room: int, measure: Measure) -> int:
        """Return the first place, not before ``begin``, from which on everything up to ``end`` is at most ``room``.

        That is ``end`` if not even the last message is. Of what wasn't measured before, no more is than matters.
        """
        if room < 0:
            return end
        known = self._reaching(messages, end, room, measure)
        known = self._from_further_back(known, messages, begin, end, room, measure)
        place = bisect_left(known.sums, known.sums[end - known.first] - room, hi=end - known.first)
        return max(begin, known.first + place)

    def _reaching(self, messages: Sequence[Message], end: int, room: int, measure: Measure) -> _Known:
        """Return what is known once it goes up to a place; where that is too far behind, it begins anew."""
        while True:
            known = self._known
            if known is not None and end < known.first:
                return _Known(end, [0])
            last = end if known is None else known.last
            new = _sizes_back(messages, last, end, room, measure)
            if known is None or len(new) < end - last:
                self._known = _Known(end - len(new), [*accumulate(reversed(new), initial=0)])
                return self._known
            with self._lock:
                if last == known.last:
                    known.sums.extend(islice(accumulate(reversed(new), initial=known.sums[-1]), 1, None))
                    return known

    def _from_further_back(
        self, known: _Known, messages: Sequence[Message], begin: int, end: int, room: int, measure: Measure
    ) -> _Known:
        """Return what is known once it begins where ``room`` is used up, or at ``begin``."""
        new = _sizes_back(messages, begin, known.first, room - known.between(known.first, end), measure)
        if not new:
            return known
        before = accumulate(reversed(new), initial=known.sums[0] - sum(new))
        more = _Known(known.first - len(new), [*before, *known.sums[1:]])
        if known is self._known:
            self._known = more
        return more


def _sizes_back(messages: Sequence[Message], begin: int, end: int, room: int, measure: Measure) -> list[int]:
    """Return what messages are, the last one first, until there is no room or ``begin`` is reached."""
    sizes: list[int] = []
    for at in reversed(range(begin, end)):
        if room < 0:
            break
        sizes.append(measure(messages[at]))
        room -= sizes[-1]
    return sizes
