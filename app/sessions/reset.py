"""When a session begins anew, and how a chain says that it has: pure functions.

A chain that begins behind a reset has a mark in the place of its first message's parent. The mark is made of the last
two messages that were forgotten, so that they are found again in what a client resends. docs/sessions.md has the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from app.sessions.merge import Sent, match_lengths, merge
from app.sessions.message import chained
from app.sessions.store import StoredMessage

IDLE_MINUTES: Final = 60
"""After how many minutes an idle session is over where nobody says how many."""
_MARK: Final = "reset:"


def is_over(last: float, now: float, *, at_hour: int | None, idle_minutes: int | None) -> bool:
    """Tell whether a session has come to its end since its last turn.

    Args:
        last: When that was, in seconds since 1970.
        now: The present, in the same.
        at_hour: The hour, of this machine's local time, at which a day's sessions end; ``None`` for never.
        idle_minutes: After how many minutes without a turn they end; ``None`` for never.
    """
    if idle_minutes is not None and now - last > idle_minutes * 60:
        return True
    if at_hour is None:
        return False
    local = datetime.fromtimestamp(now)  # noqa: DTZ006 - what counts is this machine's wall clock
    border = local.replace(hour=at_hour, minute=0, second=0, microsecond=0, fold=0)
    if border > local:
        border -= timedelta(days=1)
    return last < border.timestamp() <= now


def mark(forgotten: Sequence[str]) -> str:
    """Return the parent of the first message behind a reset.

    Args:
        forgotten: The digests of the messages before it; the last two count.
    """
    return f"{_MARK}{chained(forgotten[-2] if len(forgotten) > 1 else None, forgotten[-1])}"


def is_mark(parent: str) -> bool:
    """Tell whether a message's parent is none, but a reset's mark."""
    return parent.startswith(_MARK)


def forgotten_part(history: Sequence[StoredMessage], sent: Sequence[Sent], *, whole: bool = False) -> int:
    """Return how many of a request's messages lie before the reset behind which the stored chain begins.

    The messages that the mark is made of may have been said more than once. The reset is where the stored chain follows
    them, unless more of the request goes on with the chain as it stands: then the client sends nothing of before.

    Args:
        history: The stored chain.
        sent: The request's messages.
        whole: Whether they are sure to be the whole conversation, from before the reset.
    """
    if not history or history[0].id == chained(None, history[0].digest):
        return 0
    digests = [message.digest for message in sent]
    places = [at for at in range(1, len(sent)) if _begins_behind(history[0], digests[max(0, at - 2) : at])]
    if not places:
        return int(_begins_with_the_last_one(history, sent))
    stored = [message.digest for message in history]
    followed = match_lengths(digests, stored)
    best = max(places, key=lambda at: (followed[at], at))
    if whole:
        return best
    known = merge(stored, sent, whole=True).known
    return best if followed[best] >= known else 0


def _begins_with_the_last_one(history: Sequence[StoredMessage], sent: Sequence[Sent]) -> bool:
    """Tell whether a window that was cut off begins with one forgotten answer, and goes on with the chain from there.

    The mark can't say so: it is made of two messages. An answer further on says that this is the place.
    """
    if len(sent) < 2 or not sent[0].from_assistant:
        return False
    stored = [message.digest for message in history]
    known = match_lengths(stored, [message.digest for message in sent[1:]])[0]
    return any(message.from_assistant for message in sent[1 : 1 + known]) and not merge(stored, sent).known


def _begins_behind(first: StoredMessage, forgotten: Sequence[str]) -> bool:
    return chained(mark(forgotten), first.digest) == first.id
