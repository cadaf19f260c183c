"""The cut-off rule where a summary stands for what is left out: which summary will do, and how far a new one reaches.

Pure, like ``context_window``, whose rule this is but for two things: the summary has room of its own, and a new one
takes so much with it that the next turns can do without another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec

from app.runs.context_window import (
    RESULTS,
    Cost,
    Costs,
    begins_step,
    begins_turn,
    last_step,
    pinned_end,
    turns,
    turns_back,
)
from app.sessions.message import Message
from app.sessions.totals import Totals


class Cut(msgspec.Struct, frozen=True):
    """What of a history stays as it was said.

    Attributes:
        pinned: Its first messages up to here.
        words: Where the user's words begin and end of a turn whose first steps are left out; empty where there is none.
        tail: Everything from here on. A summary is to tell what came before.
    """

    pinned: int
    words: tuple[int, int]
    tail: int

    def kept(self, history: Sequence[Message]) -> tuple[Message, ...]:
        """Return these messages."""
        return (*history[: self.pinned], *history[slice(*self.words)], *history[self.tail :])


class CompactionRule:
    """The rule, for a conversation that is too long.

    Args:
        system: What stands at the head.
        history: What was said before; not empty.
        new: The turn to answer.
        room: How many tokens there is room for, the summary's included.
        largest: How many tokens a summary may have.
        pinned_turns: How many of the first turns stay, as long as they take up no more than half of history's room.
        cost: Returns a message's tokens.
        totals: What is known of the history's costs; remembers what is found out.
    """

    def __init__(
        self,
        system: Sequence[Message],
        history: Sequence[Message],
        new: Sequence[Message],
        room: int,
        largest: int,
        *,
        pinned_turns: int,
        cost: Cost,
        totals: Totals | None = None,
    ) -> None:
        self._history = history
        self._costs = costs = Costs(history, cost, totals)
        self._largest = largest
        self._end = last_step(history) if new and new[0].role in RESULTS else len(history)
        free = room - sum(map(cost, (*system, *new))) - costs.between(self._end, len(history))
        first = list(islice(turns(history, 0, self._end), pinned_turns + 1))
        self._pinned = pinned_end(history, first, (free - largest) // 2, cost) if first else 0
        self._free = free - costs.between(0, self._pinned)

    def with_one_of(self, summaries: Sequence[tuple[int, int]]) -> tuple[int, Cut] | None:
        """Choose among summaries the one that leaves most as it was said.

        Args:
            summaries: Of each, how many of the history's messages it tells of, and its own tokens.

        Returns:
            Its place among them and the cut that goes with it, or ``None`` if none goes far enough.
        """
        found: tuple[int, Cut] | None = None
        at, tail = self._end, 0
        for place in sorted(range(len(summaries)), key=lambda place: summaries[place][0], reverse=True):
            told, tokens = summaries[place]
            if not self._pinned < told <= self._end:
                continue
            tail += self._costs.between(told, at)
            at = told
            if tail + tokens > self._free:
                break  # and so do those behind which there is more
            found = place, self._cut(told, self._free - tail - tokens)
        return found

    def anew(self) -> Cut | None:
        """Return the cut that goes with a summary yet to be made, or ``None`` if there is nothing to sum up.

        What stays has half of the room, if a turn fits into that: the other half is for the turns to come.
        """
        room = self._free - self._largest
        if self._end <= self._pinned or room < 0:
            return None
        tail = self._last(begins_turn, self._pinned, room)
        if tail == self._end:
            words = self._said(next(turns_back(self._history, self._end, self._pinned)), self._end)
            tail = self._last(begins_step, words[1], room - self._costs.between(*words))
        if tail <= self._pinned:
            return None
        return self._cut(tail, room - self._costs.between(tail, self._end))

    def _last(self, begins: Callable[[Sequence[Message], int], bool], first: int, room: int) -> int:
        """Return the first place of those that ``begins`` says from which what follows fits into half of the room.

        If there is none, it is the last such place, if what follows fits into all of the room, and else the end.
        """
        begin = self._costs.fitting(partial(begins, self._history), first, self._end, room // 2)
        if begin < self._end:
            return begin
        last = next((at for at in reversed(range(first, self._end)) if begins(self._history, at)), self._end)
        return last if self._costs.between(last, self._end) <= room else self._end

    def _cut(self, tail: int, spare: int) -> Cut:
        words = self._words(tail)
        return Cut(self._pinned, words if self._costs.between(*words) <= spare else (tail, tail), tail)

    def _words(self, at: int) -> tuple[int, int]:
        """Return the user's words of the turn in whose middle a place is."""
        if at == len(self._history) or begins_turn(self._history, at):
            return at, at
        return self._said(next(turns_back(self._history, at)), at)

    def _said(self, turn: int, stop: int) -> tuple[int, int]:
        return turn, next((end for end in range(turn, stop) if self._history[end].role != "user"), stop)


def places(ids: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield of those wanted that are among the ids the place in ``wanted``, and how many ids go up to it."""
    position = {one: at + 1 for at, one in enumerate(ids)}
    return ((place, position[one]) for place, one in enumerate(wanted) if one in position)
