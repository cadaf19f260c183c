"""What a run takes of its caller's allowance: the protocol between a run and whoever keeps count, and the estimate.

Knows no keys and no limits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from app.contract.models import CreateChatCompletionRequest
from app.sessions.message import Message

_BYTES_PER_TOKEN: Final = 4
"""Of English; of other languages fewer. Counting with a tokenizer would cost more than the rest of the request."""
_FILE_TOKENS: Final = 1_000
"""What an image, a recording or a file counts as: no two models agree on that."""
_LARGE: Final = 8 * 1024
_FILE: Final = re.compile(rb"[A-Za-z0-9+/_=-]{4096,}")
"""What only base64 looks like."""


class Allowance(Protocol):
    """What one run may take."""

    async def take(self, run_id: str, tokens: int) -> None:
        """Take a request and so many tokens; ``settle`` follows, however the run ends.

        Raises:
            RateLimited: If there isn't that much left. Nothing was taken then.
        """
        ...

    async def settle(self, tokens: int | None) -> None:
        """Say how many tokens it was in the end; ``None`` if nobody knows."""
        ...


def expected_tokens(request: CreateChatCompletionRequest, messages: Sequence[Message]) -> int:
    """Return about how many tokens a run will take: those of what is said, and of what may be answered at most.

    Args:
        request: Says how long each answer may be, and how many there are to be. Where it doesn't, answers count for
            nothing until they are there.
        messages: All that it says.
    """
    limits = (request.max_completion_tokens, request.max_tokens)
    longest = next((limit for limit in limits if isinstance(limit, int)), 0)
    choices = request.n if isinstance(request.n, int) else 1
    return sum(map(_size, messages)) + longest * choices


def _size(message: Message) -> int:
    raw = bytes(message.raw)
    files = [len(found[0]) for found in _FILE.finditer(raw)] if len(raw) > _LARGE else []
    return (len(raw) - sum(files)) // _BYTES_PER_TOKEN + len(files) * _FILE_TOKENS
