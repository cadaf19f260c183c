"""The fold over what engines say beside the contract's words: pieces become wholes, as far as that can be told. Pure.

The rule, since nobody here knows the fields: texts are put together, lists grow, objects are merged field by field, and
of anything else the latest counts. A list's objects with the same ``index`` and ``type`` are one. What names something
(``id``, ``type``, ...) is no piece of a text. docs/streaming.md, "Reasoning and other fields".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.contract.models import ChatCompletionAnnotation
from app.runs.event import ChoiceExtra, Extra, Fields
from app.runs.recording import Recording

_NAMES: Final = frozenset({"format", "id", "index", "name", "object", "role", "signature", "type"})
_REASON: Final = "_reason"


class ExtraFold:
    """Everything that was said beside an answer, as it grows."""

    def __init__(self) -> None:
        self.whole = Extra()
        self.recordings: dict[int, Recording] = {}
        """What was spoken, by choice."""
        self._waiting: Fields = {}

    def add(self, extra: Extra) -> None:
        """Take in what came with one event, and give the objects of its lists an ``index`` where they have none.

        Without one, openai-python's accumulator of streams raises at the second of them.
        """
        self.whole.chunk.update(extra.chunk)
        self.whole.usage.update(extra.usage)
        for index, more in extra.choices.items():
            had = self.whole.choices.setdefault(index, ChoiceExtra())
            for name, value in more.choice.items():
                # Whatever else is an object here (content filters, say) is a state and not a piece.
                had.choice[name] = value if isinstance(value, dict) else _joined(name, had.choice.get(name), value)
            for name, value in more.delta.items():
                if name == "audio" and isinstance(value, dict):
                    self.recordings.setdefault(index, Recording()).add(value)
                    continue
                more.delta[name] = _indexed(value, had.delta.get(name))
                had.delta[name] = _joined(name, had.delta.get(name), value)

    def add_call(self, index: int, place: int, fields: Fields) -> None:
        """Take in what came with a piece of the tool call at ``place`` of choice ``index``."""
        calls = self.whole.choices.setdefault(index, ChoiceExtra()).calls
        _merged(calls.setdefault(place, {}), fields)

    def hold(self, extra: Extra) -> None:
        """Keep what came with an event that isn't passed on, for the next one that is."""
        self._waiting.update(extra.chunk)

    def with_held(self, extra: Extra | None) -> Extra | None:
        """Return ``extra`` with what was kept for it."""
        if not self._waiting:
            return extra
        held, self._waiting = self._waiting, {}
        if extra is None:
            return Extra(chunk=held)
        extra.chunk = {**held, **extra.chunk}
        return extra


def citations(found: Any) -> list[Fields]:
    """Return those annotations that OpenAI's schema of a message has room for."""
    return [item for item in found if _is_citation(item)] if isinstance(found, list) else []


def _is_citation(item: Any) -> bool:
    try:
        msgspec.convert(item, ChatCompletionAnnotation)
    except msgspec.ValidationError:
        return False
    return "type" in item


def _joined(name: str, had: Any, more: Any) -> Any:
    """Put a value to what there is of it; ``had`` is our own and may grow, ``more`` is not and mayn't."""
    if isinstance(more, dict):
        return _merged(had if isinstance(had, dict) else {}, more)
    if isinstance(more, list):
        return _grown(had if isinstance(had, list) else [], more)
    if isinstance(had, str) and isinstance(more, str) and name not in _NAMES and not name.endswith(_REASON):
        return had + more
    return more


def _merged(had: Fields, more: Fields) -> Fields:
    for name, value in more.items():
        if value is not None:
            had[name] = _joined(name, had.get(name), value)
    return had


def _grown(had: list[Any], more: list[Any]) -> list[Any]:
    for item in more:
        at = _place_of(item, had)
        if at is None:
            had.append(_merged({}, item) if isinstance(item, dict) else item)
        else:
            _merged(had[at], item)
    return had


def _place_of(item: Any, among: list[Any]) -> int | None:
    if not isinstance(item, dict) or not isinstance(item.get("index"), int):
        return None
    for at, other in enumerate(among):
        if (
            isinstance(other, dict)
            and other.get("index") == item["index"]
            and other.get("type", item.get("type")) == item.get("type", other.get("type"))
        ):
            return at
    return None


def _indexed(value: Any, had: Any) -> Any:
    if not isinstance(value, list):
        return value
    begin = len(had) if isinstance(had, list) else 0
    return [
        {"index": begin + at, **item} if isinstance(item, dict) and "index" not in item else item
        for at, item in enumerate(value)
    ]
