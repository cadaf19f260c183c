"""What a gateway has told its clients, and whether it is there: every turn once, whole and in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.machine.talk import Heard, say, stored, verified
from tests.machine.zero import Zero


class Told:
    """Remembers the turns of some sessions.

    Attributes:
        heard: What was heard, in a few words, and how often.
    """

    def __init__(self) -> None:
        self._turns: dict[str, list[tuple[str, str]]] = {}
        self.heard: Counter[str] = Counter()
        self._said = 0

    def turn(
        self, zero: Zero, key: str, size: int = 10, *, stream: bool = False, headers: Mapping[str, str] | None = None
    ) -> Heard:
        """Say something new of about that size in a session, and remember it if it was answered."""
        self._said += 1
        text = f"{self._said} " + "m" * size
        heard = say(zero, text, key, stream=stream, headers=headers)
        self._turns.setdefault(key, [])
        if heard.complete:
            self._turns[key].append((text, heard.text))
        self.heard[heard.told] += 1
        return heard

    def lost(self, zero: Zero, before: tuple[str, ...] = ()) -> str:
        """Assert that nothing is lost and that the store is whole, and say so."""
        for key, turns in self._turns.items():
            assert [line for text, answer in turns for line in (f"user: {text}", f"assistant: {answer}")] == stored(
                zero, key
            )
        assert "0 fault(s)." in verified(zero, before)
        return f"nothing of {sum(map(len, self._turns.values()))} turns told of"
