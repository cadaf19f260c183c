"""The cut-off rule: how much of a session an engine gets to see. Nothing is deleted by it.

Pure functions over messages and what each costs. The rule for users, with a picture, is docs/sessions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Final

from app.config import Window
from app.sessions.history import Spoken
from app.sessions.message import Message
from app.sessions.totals import Totals

Cost = Callable[[Message], int]
"""Returns a message's tokens; asked for no more messages than can matter."""

DEFAULT_ANSWER: Final = 4_096
"""Tokens left free for an answer of unknown length, if that is no more than a quarter of the window."""
RESULTS: Final = frozenset({"tool", "function"})
"""Roles of messages that belong to the one before them."""


def budget(window: Window, answer: int | None) -> int:
    """Return how many tokens a prompt may have.

    Args:
        window: What the model has room for.
        answer: How many tokens the answer may have, if anybody has said so.
    """
    if answer is None:
        reserved = min(window.answer or DEFAULT_ANSWER, window.tokens // 4)
    else:
        reserved = min(answer, window.tokens // 2)
    # A tenth is for what an estimate misses: every model splits its words in its own way.
    return max(1, window.tokens - window.tokens // 10 - reserved)


def fit(
    system: Sequence[Message],
    history: Sequence[Message],
    new: Sequence[Message],
    budget_tokens: int,
    *,
    pinned_turns: int = 1,
    cost: Cost,
    totals: Totals | None = None,
) -> tuple[Message, ...]:
    """Return the conversation without as much of its history as doesn't fit.

    A turn is a user's words and everything up to the next user's; a step is one message with the tool results behind
    it. Turns go whole, the oldest first but for the pinned ones. Of the last turn, if it is too long by itself, the
    user's words stay and as many of the last steps as fit.

    Args:
        system: What stands at the head; never cut.
        history: What was said before.
        new: The turn to answer; never cut, nor are the tool calls that it brings results for.
        budget_tokens: How many tokens there is room for.
        pinned_turns: How many of the first turns stay as long as they take up no more than half of history's room.
        cost: Returns a message's tokens.
        totals: What is known of the history's costs; remembers what is found out.
    """
    costs = Costs(history, cost, totals)
    end = last_step(history) if new and new[0].role in RESULTS else len(history)
    room = budget_tokens - sum(map(cost, (*system, *new))) - costs.between(end, len(history))
    begin = costs.fitting(partial(begins_turn, history), 0, end, room)
    if begin == 0:
        return (*system, *history, *new)
    pinned = pinned_end(history, list(islice(turns(history, 0, end), pinned_turns + 1)), room // 2, cost)
    room -= costs.between(0, pinned)
    begin = costs.fitting(partial(begins_turn, history), pinned, end, room)
    if begin < end:
        kept = history[_steady(history, pinned, begin, end, budget_tokens) :]
    else:
        kept = [*_end_of_turn(history, next(turns_back(history, end)), end, room, costs), *history[end:]]
    return (*system, *history[:pinned], *kept, *new)


class Costs:
    """What the messages of a history cost together.

    Args:
        history: The history.
        cost: Returns a message's tokens.
        totals: What is known of that already; remembers what is found out.
    """

    def __init__(self, history: Sequence[Message], cost: Cost, totals: Totals | None = None) -> None:
        self._history = history
        self._cost = cost
        self._totals = Totals() if totals is None else totals

    def between(self, begin: int, end: int) -> int:
        """Return what the messages between two places cost."""
        return self._totals.between(self._history, begin, end, self._cost)

    def fitting(self, begins: Callable[[int], bool], begin: int, end: int, room: int) -> int:
        """Return the first place of those that ``begins`` says from which on everything up to ``end`` fits, or ``end``.

        Args:
            begins: Tells whether something begins at a place.
            begin: The first place that may be it.
            end: What is behind isn't counted.
            room: How many tokens there is room for.
        """
        earliest = self._totals.fitting(self._history, begin, end, room, self._cost)
        return next((at for at in range(earliest, end) if begins(at)), end)


def last_step(history: Sequence[Message]) -> int:
    """Return where the last step begins: a message that is no tool result, or the first one."""
    return next((at for at in reversed(range(len(history))) if history[at].role not in RESULTS), 0)


def begins_turn(history: Sequence[Message], at: int) -> bool:
    """Tell whether a turn begins at a place."""
    return at == 0 or (history[at].role == "user" and history[at - 1].role != "user")


def turns(history: Sequence[Message], begin: int, end: int) -> Iterator[int]:
    """Yield where turns begin, from ``begin`` on."""
    return (at for at in range(begin, end) if begins_turn(history, at))


def turns_back(history: Sequence[Message], end: int, begin: int = 0) -> Iterator[int]:
    """Yield where turns begin, the last one first. Of a long history only the end matters, and is looked at."""
    role = history[end - 1].role if begin < end else ""
    for at in range(end - 1, begin - 1, -1):
        before = history[at - 1].role if at else ""
        if not at or (role == "user" and before != "user"):
            yield at
        role = before


def pinned_end(history: Sequence[Message], starts: Sequence[int], room: int, cost: Cost) -> int:
    """Return where the pinned turns end: of those that begin at ``starts`` but the last, as many as fit."""
    for start, stop in pairwise(starts):
        for message in history[start:stop]:
            room -= cost(message)
            if room < 0:
                return start
    return starts[-1]


def _steady(history: Sequence[Message], first: int, begin: int, end: int, budget_tokens: int) -> int:
    """Return where to begin, at ``begin`` or a little later, so that it is the same place for the next turns too.

    Services and local models remember the beginning of the last prompt; one that begins elsewhere each time would have
    to be read anew each time. So the cut is at the first turn behind one of the marks that divide the chain evenly.
    """
    apart = max(1, budget_tokens // 2)  # in bytes: about an eighth of the budget
    before = history.bytes_before if isinstance(history, Spoken) else Spoken.of(history).bytes_before
    previous = next(turns_back(history, begin, first), 0)
    for turn in turns(history, begin, end):
        if before(previous) // apart < before(turn) // apart:
            return turn
        previous = turn
    return begin


def begins_step(history: Sequence[Message], at: int) -> bool:
    """Tell whether a step begins at a place: anything but a tool's result, or the first message."""
    return at == 0 or history[at].role not in RESULTS


def _end_of_turn(history: Sequence[Message], turn: int, end: int, room: int, costs: Costs) -> Sequence[Message]:
    """Return of one turn the user's words and the last steps, as far as they fit; nothing if the words don't."""
    steps = (at for at in range(turn, end) if begins_step(history, at))
    words = next((at for at in steps if history[at].role != "user"), end)
    room -= costs.between(turn, words)
    if room < 0:
        return ()
    begin = costs.fitting(partial(begins_step, history), words, end, room)
    return (*history[turn:words], *history[begin:end])
