"""What the engines of a fault test say: every answer another one, at a walking pace, now and then broken off.

Owns the answers and their pace. Knows nothing of gateways, sessions and clients.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Sequence

from tests.fakes.script import DONE, Pause, Reset, Script, Step, chunk, error, event, stream
from tests.fakes.upstream import Exchange, FakeUpstream

_TICK_SECONDS = 0.02
_PIECES = 8
_FAULTY = 0.04


def answers(chance: random.Random, count: int, *, faulty: float = _FAULTY) -> list[Script]:
    """Return so many different answers; such a part of them are errors or end in the middle."""
    return [_broken(chance, number) if chance.random() < faulty else _answer(chance, number) for number in range(count)]


def _answer(chance: random.Random, number: int) -> Script:
    pieces = chance.randint(1, _PIECES)
    texts = [f"answer {number}", *(f" and {n}" for n in range(1, pieces))]
    return stream(*_told(chance, texts), event(chunk({}, finish_reason="stop")), DONE)


def _broken(chance: random.Random, number: int) -> Script:
    if chance.random() < 0.5:
        return error(500, {"message": "Out of order.", "type": "server_error"})
    return stream(*_told(chance, [f"never {number}"]), Reset())


def _told(chance: random.Random, texts: Sequence[str]) -> list[bytes | Step]:
    """Return the beginning of an answer, with a pause before some of its pieces."""
    parts: list[bytes | Step] = [event(chunk({"role": "assistant", "content": ""}))]
    for text in texts:
        if chance.random() < 0.7:
            parts.append(Pause())
        parts.append(event(chunk({"content": text})))
    return parts


class Pace(threading.Thread):
    """Lets answers go on behind their pauses, each after a random time; runs until ``end()``.

    Args:
        upstream: Whose answers.
        chance: What the times come from.
    """

    def __init__(self, upstream: FakeUpstream, chance: random.Random) -> None:
        super().__init__(name="pace", daemon=True)
        self._upstream = upstream
        self._chance = chance
        self._ended = threading.Event()

    def run(self) -> None:
        """Release pauses. An answer gets as many releases as it can have pauses, and is forgotten then."""
        seen = 0
        waiting: dict[Exchange, int] = {}
        while not self._ended.wait(_TICK_SECONDS):
            exchanges = self._upstream.exchanges
            waiting.update(dict.fromkeys(itertools.islice(exchanges, seen, None), _PIECES))
            seen = len(exchanges)
            for exchange in list(waiting):
                if self._chance.random() < 0.5:
                    exchange.release()
                    waiting[exchange] -= 1
                    if not waiting[exchange]:
                        del waiting[exchange]

    def end(self) -> None:
        """Stop, and wait for that."""
        self._ended.set()
        self.join()
