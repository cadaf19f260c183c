"""The engine that says what it is told: instant, deterministic, for tests and first steps.

Honours ``n``, ``max_tokens`` / ``max_completion_tokens`` and ``stop``; ignores every other parameter (docs/engines.md).
A token is a word with the blanks behind it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from app.contract.models import CompletionUsage
from app.runs.event import Event, finish_event, text_event
from app.runs.turn import Turn
from app.sessions.message import Message

_TOKEN = re.compile(r"\S+\s*|\s+")


class EchoEngine:
    """Repeats the text of the last user or tool message, word by word."""

    async def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``."""
        tokens = _TOKEN.findall(_until_stop(_last_words(turn.messages), turn.request.stop))
        limit = turn.request.max_completion_tokens or turn.request.max_tokens
        reason = "stop"
        if limit and len(tokens) > limit:
            tokens, reason = tokens[:limit], "length"
        for token in tokens or [""]:
            for index in range(turn.choices):
                yield text_event(token, index=index, more=True)
        for index in range(turn.choices):
            yield finish_event(reason, index=index, more=True)
        prompt = max(1, sum(len(_TOKEN.findall(_text(message))) for message in turn.messages))
        completion = len(tokens) * turn.choices
        yield Event(
            usage=CompletionUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
        )

    async def close(self) -> None:
        """See ``Engine``."""


def _last_words(messages: tuple[Message, ...]) -> str:
    for message in reversed(messages):
        if message.role in ("user", "tool", "function"):
            return _text(message)
    return ""


def _text(message: Message) -> str:
    content: Any = msgspec.json.decode(message.raw).get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _until_stop(text: str, stop: Any) -> str:
    sequences = [stop] if isinstance(stop, str) else stop or ()
    ends = [at for sequence in sequences if sequence and (at := text.find(sequence)) >= 0]
    return text[: min(ends)] if ends else text
