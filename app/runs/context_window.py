"""The cut-off rule: how much of a session an engine gets to see. Nothing is deleted by it.

Pure functions over messages and what each costs. The rule for users, with a picture, is docs/sessions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final

from app.config import Window
from app.sessions.message import Message

Cost = Callable[[Message], int]
"""Returns a message's tokens; asked for no more messages than can matter."""

DEFAULT_ANSWER: Final = 4_096
"""Tokens left free for an answer of unknown length, if that is no more than a quarter of the window."""
_RESULTS: Final = frozenset({"tool", "function"})


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
    """
    steps = [at for at, message in enumerate(history) if message.role not in _RESULTS or at == 0]
    end = steps[-1] if steps and new and new[0].role in _RESULTS else len(history)
    room = budget_tokens - sum(cost(message) for message in (*system, *new, *history[end:]))
    turns = [
        at for at in steps if at < end and (at == 0 or (history[at].role == "user" and history[at - 1].role != "user"))
    ]
    begin = _fitting(history, turns, end, room, cost)
    if not turns or begin == 0:
        return (*system, *history, *new)
    pinned = _pinned(history, turns, min(pinned_turns, len(turns) - 1), room // 2, cost)
    room -= sum(cost(message) for message in history[:pinned])
    turns = [at for at in turns if at >= pinned]
    begin = _fitting(history, turns, end, room, cost)
    if begin < end:
        kept = history[_steady(history, turns, begin, budget_tokens) :]
    else:
        kept = [*_end_of_turn(history, [at for at in steps if turns[-1] <= at < end], end, room, cost), *history[end:]]
    return (*system, *history[:pinned], *kept, *new)


def _fitting(history: Sequence[Message], starts: Sequence[int], end: int, room: int, cost: Cost) -> int:
    """Return the first of ``starts`` from which on everything up to ``end`` fits, or ``end``."""
    begin = end
    for start in reversed(starts):
        for message in history[start:begin]:
            room -= cost(message)
            if room < 0:
                return begin
        begin = start
    return begin


def _pinned(history: Sequence[Message], turns: Sequence[int], wanted: int, room: int, cost: Cost) -> int:
    """Return where the pinned turns end: as many of those wanted as fit."""
    for start, stop in pairwise(turns[: wanted + 1]):
        for message in history[start:stop]:
            room -= cost(message)
            if room < 0:
                return start
    return turns[wanted]


def _steady(history: Sequence[Message], turns: Sequence[int], begin: int, budget_tokens: int) -> int:
    """Return where to begin, at ``begin`` or a little later, so that it is the same place for the next turns too.

    Services and local models remember the beginning of the last prompt; one that begins elsewhere each time would have
    to be read anew each time. So the cut is at the first turn behind one of the marks that divide the chain evenly.
    """
    apart = max(1, budget_tokens // 2)  # in bytes: about an eighth of the budget
    before = [0, *accumulate(len(bytes(message.raw)) for message in history)]
    for previous, turn in zip((0, *turns), turns, strict=False):
        if turn >= begin and before[previous] // apart < before[turn] // apart:
            return turn
    return begin


def _end_of_turn(
    history: Sequence[Message], steps: Sequence[int], end: int, room: int, cost: Cost
) -> Sequence[Message]:
    """Return of one turn the user's words and the last steps, as far as they fit; nothing if the words don't."""
    words = next((at for at in (*steps, end) if at == end or history[at].role != "user"), end)
    room -= sum(cost(message) for message in history[steps[0] : words])
    if room < 0:
        return ()
    begin = _fitting(history, [at for at in steps if at >= words], end, room, cost)
    return (*history[steps[0] : words], *history[begin:end])
