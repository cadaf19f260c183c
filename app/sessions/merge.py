"""The rule that makes a resent conversation one conversation: what is stored already is not seen twice.

A pure function over digests. The rule with examples is docs/sessions.md; its source is design.md, "Which session".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Sent(NamedTuple):
    """One message of the request: its digest, and whether the assistant is supposed to have said it."""

    digest: str
    from_assistant: bool


class Merge(NamedTuple):
    """How a request continues a session: ``stored[:kept]`` followed by ``sent[known:]`` is the conversation."""

    kept: int
    known: int


def merge(stored: Sequence[str], sent: Sequence[Sent]) -> Merge:
    """Match a request's messages against a session's stored chain.

    Args:
        stored: Digests of the session's active branch, oldest first.
        sent: The request's messages (no system or developer messages), oldest first.

    Returns:
        1. Nothing that the assistant said is among ``sent``: all of it is new and follows what is stored.
        2. ``sent`` begins as the stored chain begins: the common beginning stays, the rest follows. Where that leaves
           stored messages behind, an earlier message was edited or is being answered anew: the conversation forks.
        3. ``sent`` begins in the middle of the stored chain (the client cut old messages off): the same, from there.
        4. Otherwise it is another conversation: it forks at the root.
    """
    if not any(message.from_assistant for message in sent):
        return Merge(len(stored), 0)
    common = _common_length(stored, 0, sent)
    if common:
        return Merge(common, common)
    best = Merge(0, 0)
    for start in range(1, len(stored)):
        length = _common_length(stored, start, sent)
        # A user's "yes" stands in many conversations; only words of the assistant prove that this is the place.
        if length and length >= best.known and any(message.from_assistant for message in sent[:length]):
            best = Merge(start + length, length)
    return best


def _common_length(stored: Sequence[str], start: int, sent: Sequence[Sent]) -> int:
    length = 0
    for have, message in zip(stored[start:] if start else stored, sent, strict=False):
        if have != message.digest:
            break
        length += 1
    return length
