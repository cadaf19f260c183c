"""How much of a conversation a model gets: the cut-off rule with tokens counted, once for each message.

Owns the counts and what is counted beside messages. The rule itself is ``context_window``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, compress, islice
from itertools import count as numbers
from operator import is_, is_not
from threading import Lock
from typing import Any, Final

import msgspec

from app.config import Window
from app.runs.context_window import budget, fit
from app.runs.past import Past
from app.runs.token_count import Size, can_count, count, largest_size, measured
from app.sessions.history import Spoken
from app.sessions.message import Message

REMEMBERED: Final = 50_000
"""Messages whose size is kept: some 7 MB."""
AT_ONCE_MESSAGES: Final = 1_000
AT_ONCE_BYTES: Final = 128 * 1024
AT_ONCE_NEW_BYTES: Final = 2 * 1024
"""What is looked at, and of it counted for the first time, without a thread: some two milliseconds at most."""
_DESCRIBED: Final = ("tools", "functions", "response_format")
_LIMITS: Final = ("max_completion_tokens", "max_tokens")


class Conversation(msgspec.Struct, frozen=True):
    """What a model could be sent.

    Attributes:
        system: The system message, if there is one.
        history: What may be left out.
        new: What may not.
        past: Where the history is in its session; ``None`` unless what is left out is to be summed up.
    """

    system: Sequence[Message]
    history: Sequence[Message]
    new: Sequence[Message]
    past: Past | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it, in order."""
        return (*self.system, *self.history, *self.new)

    def is_all_in(self, told: Sequence[Message]) -> bool:
        """Tell whether nothing of it was left out."""
        return len(told) == len(self.system) + len(self.history) + len(self.new)


class _TooMuch(Exception):
    """Raised when something takes more work than an event loop may do."""


class _AtOnce:
    """How much may still be looked at, and counted, on the event loop."""

    __slots__ = ("bytes", "messages", "new_bytes")

    def __init__(self) -> None:
        self.messages = AT_ONCE_MESSAGES
        self.bytes = AT_ONCE_BYTES
        self.new_bytes = AT_ONCE_NEW_BYTES if can_count() else 0

    def look(self, size: int) -> None:
        """Take note that a text is looked at."""
        self.messages -= 1
        self.bytes -= size
        if self.messages < 0 or self.bytes < 0:
            raise _TooMuch

    def count(self, size: int) -> None:
        """Take note that a text is counted."""
        self.new_bytes -= size
        if self.new_bytes < 0:
            raise _TooMuch


class Sizing:
    """Cuts conversations to size, and remembers how large messages are."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[int, Size] = OrderedDict()
        self._lock = Lock()

    async def fitted(
        self, conversation: Conversation, window: Window | None, parameters: Mapping[str, Any], pinned_turns: int
    ) -> tuple[Message, ...]:
        """Return as much of a conversation as a model has room for.

        Args:
            conversation: All there is.
            window: What the model has room for; ``None`` is for everything.
            parameters: The request's other fields: tools and schemas take up room, limits say what the answer needs.
            pinned_turns: How many of the first turns to keep if possible.
        """
        if window is None or not conversation.history:
            return conversation.messages
        room = budget(window, _limit(parameters))
        described = [_text(parameters[name]) for name in _DESCRIBED if name in parameters]
        if _surely_fits(conversation, room - sum(map(len, described))):
            return conversation.messages
        # From turn to turn two messages are new; a thread costs more than to count them.
        try:
            return self._fit(conversation, room, described, pinned_turns, _AtOnce())
        except _TooMuch:
            return await asyncio.to_thread(self._fit, conversation, room, described, pinned_turns)

    async def room(self, window: Window, parameters: Mapping[str, Any]) -> int:
        """Return how many tokens of a conversation a model has room for, beside what else it is sent."""
        described = [_text(parameters[name]) for name in _DESCRIBED if name in parameters]
        return budget(window, _limit(parameters)) - await asyncio.to_thread(self._described, described)

    async def halved(
        self, conversation: Conversation, told: Sequence[Message], pinned_turns: int
    ) -> tuple[Message, ...] | None:
        """Return a conversation of half the size of what a model found too long, or ``None`` if there is none."""
        return await asyncio.to_thread(self._halve, conversation, told, pinned_turns)

    def size(self, message: Message) -> int:
        """Return a message's tokens, counted at most once as long as they are remembered. Any thread may call this."""
        return self._once(bytes(message.raw), partial(measured, message)).tokens

    def words_in(self, conversation: Conversation, told: Sequence[Message]) -> int:
        """Count the tokens of what a model was told, files as nothing. Any thread may call this.

        Of a history's last messages, only what has come since the last time: it knows what they were until then.
        """

        def words(message: Message) -> int:
            return self._once(bytes(message.raw), partial(measured, message)).words

        history = conversation.history
        if not isinstance(history, Spoken) or (kept := _kept(conversation, told)) is None:
            return sum(map(words, told))
        pinned, tail = kept
        others = sum(map(words, (*conversation.system, *history[:pinned], *conversation.new)))
        return others + history.totals("words").since(history, tail, words)

    def _once(self, raw: bytes, counting: Callable[[], Size], at_once: _AtOnce | None = None) -> Size:
        if at_once is not None:
            at_once.look(len(raw))
        key = hash(raw)
        with self._lock:
            if (known := self._sizes.get(key)) is not None:
                self._sizes.move_to_end(key)
                return known
        if at_once is not None:
            at_once.count(len(raw))
        counted = counting()
        with self._lock:
            self._sizes[key] = counted
            if len(self._sizes) > REMEMBERED:
                self._sizes.popitem(last=False)
        return counted

    def _fit(
        self,
        conversation: Conversation,
        room: int,
        described: Sequence[bytes],
        pinned_turns: int,
        at_once: _AtOnce | None = None,
    ) -> tuple[Message, ...]:
        room -= self._described(described, at_once)

        def cost(message: Message) -> int:
            return self._once(bytes(message.raw), partial(measured, message), at_once).tokens

        system, history, new = conversation.system, conversation.history, conversation.new
        totals = history.totals("tokens") if isinstance(history, Spoken) else None
        return fit(system, history, new, room, pinned_turns=pinned_turns, cost=cost, totals=totals)

    def _described(self, texts: Sequence[bytes], at_once: _AtOnce | None = None) -> int:
        return sum(self._once(text, partial(_words, text), at_once).words for text in texts)

    def _halve(
        self, conversation: Conversation, told: Sequence[Message], pinned_turns: int
    ) -> tuple[Message, ...] | None:
        room = sum(map(self.size, told)) // 2
        less = self._fit(conversation, room, (), pinned_turns)
        return less if len(less) < len(told) else None


def _kept(conversation: Conversation, told: Sequence[Message]) -> tuple[int, int] | None:
    """Return how many of a history's first messages a model was told, and from where on the last ones.

    ``None`` if it was told something else: a summary, say, or a turn without its first steps.
    """
    system, history, new = conversation.system, conversation.history, conversation.new
    middle = told[len(system) : len(told) - len(new)]
    if len(told) < len(system) + len(new) or len(middle) > len(history):
        return None
    differing = compress(numbers(), map(is_not, middle, history))
    pinned = next(differing, 0 if len(middle) == len(history) else len(middle))
    tail = len(history) - len(middle) + pinned
    expected = chain(system, islice(history, pinned), history[tail:], new)
    return (pinned, tail) if all(map(is_, told, expected)) else None


def _surely_fits(conversation: Conversation, room: int) -> bool:
    """Tell whether messages fit that need no counting for that; no more of them are looked at than it takes."""
    history = conversation.history
    others = chain(conversation.system, conversation.new)
    if isinstance(history, Spoken):
        if history.bytes_before(len(history)) > room:
            return False
        room -= history.totals("largest").since(history, 0, largest_size)
    else:
        others = chain(others, history)
    for message in others:
        if len(message.raw) > room:
            return False
        room -= largest_size(message)
    return room >= 0


def _limit(parameters: Mapping[str, Any]) -> int | None:
    for name in _LIMITS:
        value = parameters.get(name)
        if isinstance(value, msgspec.Raw):
            value = msgspec.json.decode(value)
        if isinstance(value, int):
            return value
    return None


def _words(raw: bytes) -> Size:
    return Size(count(raw.decode()))


def _text(value: Any) -> bytes:
    return bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)
