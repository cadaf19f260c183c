"""The rule that makes a resent conversation one conversation: what is stored already is not seen twice.

A pure function over digests. The rule with examples is docs/sessions.md; its source is design.md, "Which session".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple


class Sent(NamedTuple):
    """One message of the request: its digest, and whether the assistant is supposed to have said it."""

    digest: str
    from_assistant: bool


class Merge(NamedTuple):
    """How a request continues a session: ``stored[:kept]`` followed by ``sent[known:]`` is the conversation."""

    kept: int
    known: int


def merge(stored: Sequence[str], sent: Sequence[Sent], *, whole: bool = False) -> Merge:
    """Match a request's messages against a session's stored chain.

    Args:
        stored: Digests of the session's active branch, oldest first.
        sent: The request's messages (no system or developer messages), oldest first.
        whole: Whether the client says that it always sends the whole conversation. Then the first rule is out: what
            has no answer yet is the beginning of a conversation, made anew or edited, and not its next turn.

    Returns:
        1. Nothing that the assistant said is among ``sent``: all of it is new and follows what is stored. For those
           whose answers got lost on the way, see ``never_answered``.
        2. ``sent`` begins as the stored chain begins: the common beginning stays, the rest follows. Where that leaves
           stored messages behind, an earlier message was edited or is being answered anew: the conversation forks.
        3. More of ``sent`` goes on from a place in the middle of the stored chain (the client cut old messages off):
           the same, from there.
        4. Otherwise it is another conversation: it forks at the root.
    """
    answers = (position for position, message in enumerate(sent) if message.from_assistant)
    first_answer = next(answers, None)
    if first_answer is None and not whole:
        return Merge(len(stored), 0)
    begins = 0
    for known, message in zip(stored, sent, strict=False):
        if known != message.digest:
            break
        begins += 1
    # From no other place could more match than there is behind it.
    if first_answer is None or begins >= len(stored) - 1 or (begins and whole):
        return Merge(begins, begins)
    matches = match_lengths(stored, [message.digest for message in sent])
    # A user's "yes" stands in many conversations; only words of the assistant prove that this is the place.
    enough = 1 + first_answer
    best = Merge(begins, begins)
    for start, length in enumerate(matches):
        # The beginning comes before others of the same length, and of others the latest.
        longer = length > best.known or (length == best.known and best.kept > best.known)
        if start and length >= enough and longer:
            best = Merge(start + length, length)
    return best


def never_answered(stored: Iterable[Sent], sent: Sequence[Sent]) -> bool:
    """Tell whether a request has all that the assistant was told, and nothing of what it said: that never arrived.

    A single message may be one that is said for the second time; of more than one that would be very odd.

    Args:
        stored: The session's active branch, oldest first.
        sent: The request's messages, oldest first.
    """
    if len(sent) < 2 or any(message.from_assistant for message in sent):
        return False
    told = [message.digest for message in islice((one for one in stored if not one.from_assistant), len(sent) + 1)]
    return bool(told) and told == [message.digest for message in sent[: len(told)]]


def match_lengths(stored: Sequence[str], sent: Sequence[str]) -> list[int]:
    """Return, for each place in ``stored``, how many digests from there on are those that ``sent`` begins with.

    The Z algorithm: in time proportional to the lengths, however often the conversations repeat themselves.
    """
    joined: list[str | None] = [*sent, None, *stored]
    lengths = [0] * len(joined)
    left = right = 0
    for at in range(1, len(joined)):
        length = min(right - at, lengths[at - left]) if at < right else 0
        while at + length < len(joined) and joined[length] == joined[at + length]:
            length += 1
        lengths[at] = length
        if at + length > right:
            left, right = at, at + length
    return lengths[len(sent) + 1 :]
