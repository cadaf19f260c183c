"""How a request goes on with a session: what of the session stays, what of the request is new, and where it hangs.

Puts together the rule for what clients resend (``merge``) and those for sessions that begin anew (``reset``,
``reset_command``), or goes on from what they said of the same words the last time (``resent``). Pure; docs/sessions.md
has the rules with examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import overload

import msgspec

from app.sessions.merge import Merge, Sent, merge, never_answered
from app.sessions.message import Message, digest
from app.sessions.resent import Resent, joined, resent
from app.sessions.reset import forgotten_part, mark
from app.sessions.reset_command import behind_command
from app.sessions.store import StoredMessage

_TURN = frozenset({"user", "tool", "function"})


class Continuation(msgspec.Struct, frozen=True):
    """How it goes on.

    Attributes:
        before: Digests of the request's messages from before the last reset, as far as it is the clock's.
        messages: Its messages behind the last reset; none where it says no more than that there is to be one.
        merged: How they are matched with what is stored.
        kept: How many of the stored messages stay.
        new: What is added to them; nothing where the last answer is to be made anew.
        sent: Those of the messages that the session doesn't know, as ``merge`` sees them.
        parent: What the new ones are hung on.
        resent: What to remember of the request until the session's next one.
    """

    before: Sequence[str]
    messages: tuple[Message, ...]
    merged: Merge
    kept: int
    new: tuple[Message, ...]
    sent: Sequence[Sent]
    parent: str | None
    resent: Resent | None = None

    def begun_anew(self, history: Sequence[StoredMessage]) -> Continuation:
        """Return the same for a session that has come to its end since its last turn.

        Of a request that went on with the session, the turn to be answered is new and nothing else, also where it has
        been answered before. Results of tools still belong to the session that called them.

        Args:
            history: The session's active branch; not empty.
        """
        turn = turn_begins(self.messages)
        if self.messages[turn].role != "user":
            return self
        known = turn if self.merged.known else 0
        forgotten = (*self.before, *(self._digest(at, history) for at in range(known)))
        parent = mark(forgotten or [message.digest for message in history])
        return msgspec.structs.replace(self, kept=0, new=self.messages[known:], parent=parent)

    def _digest(self, at: int, history: Sequence[StoredMessage]) -> str:
        kept, known = self.merged
        return history[kept - known + at].digest if at < known else self.sent[at - known].digest


def continued(
    history: Sequence[StoredMessage],
    messages: tuple[Message, ...],
    *,
    whole: bool = False,
    commands: Collection[str] = (),
    last: Resent | None = None,
) -> Continuation:
    """Compare a request with what is stored.

    Args:
        history: The session's active branch, oldest first.
        messages: The request's messages, without system messages.
        whole: Whether the client says that it always sends everything.
        commands: The words with which a user begins a session anew.
        last: What is remembered of the session's last request. It saves work, and changes nothing.
    """
    text = joined(messages)
    if (
        last is not None
        and last.begins(text, history, commands)
        and behind_command(messages[last.count :], commands) is None
        and (going := _gone_on(history, messages, text, last)).kept >= len(history) - 1
    ):
        return going
    behind = behind_command(messages, commands)
    others = 0 if behind is None else len(messages) - len(behind)
    counted = messages if behind is None else behind
    sent = [_sent(message) for message in counted]
    forgotten = forgotten_part(history, sent, whole=whole and behind is None)
    before = [message.digest for message in sent[:forgotten]]
    parent = mark(before) if before else None
    counted, sent = counted[forgotten:], sent[forgotten:]
    whole = whole or behind is not None or forgotten > 0 or never_answered(map(_was_sent, history), sent)
    merged = merge(_Digests(history), sent, whole=whole)
    if merged.kept:
        parent = history[merged.kept - 1].id
    known = merged.known
    own = not known or counted[0] is messages[others]
    return Continuation(
        before,
        counted,
        merged,
        merged.kept,
        counted[known:],
        sent[known:],
        parent,
        resent(text, messages, history, commands, count=others + known, kept=known, first=None if own else counted[0])
        if merged.kept == known and not forgotten
        else None,
    )


def _gone_on(
    history: Sequence[StoredMessage], messages: tuple[Message, ...], text: bytes, last: Resent
) -> Continuation:
    """Return what comes of a request that begins as the last one did, and as the session does.

    Unless that leaves a turn of the session behind: then more of it may be found in the session's middle.
    """
    sent = [_sent(message) for message in messages[last.count :]]
    stored = history[last.kept : last.kept + len(sent)]
    more = sum(1 for _ in takewhile(bool, (had.digest == new.digest for had, new in zip(stored, sent, strict=False))))
    kept, count = last.kept + more, last.count + more
    return Continuation(
        (),
        last.counted(messages),
        Merge(kept, kept),
        kept,
        messages[count:],
        sent[more:],
        history[kept - 1].id,
        resent(text, messages, history, last.commands, count=count, kept=kept, first=last.first, before=last),
    )


def _sent(message: Message) -> Sent:
    return Sent(digest(message), message.role == "assistant")


def _was_sent(stored: StoredMessage) -> Sent:
    return Sent(stored.digest, stored.message.role == "assistant")


class _Digests(Sequence[str]):
    """The digests of stored messages, taken from them when asked for: most requests need none."""

    def __init__(self, history: Sequence[StoredMessage]) -> None:
        self._history = history

    def __len__(self) -> int:
        return len(self._history)

    def __iter__(self) -> Iterator[str]:
        return (stored.digest for stored in self._history)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        found = self._history[index]
        return found.digest if isinstance(found, StoredMessage) else [stored.digest for stored in found]


def turn_begins(messages: Sequence[Message]) -> int:
    """Return where the last turn begins: the user's words or the results that are to be answered, 0 if there are none.

    What comes before is history, whether a client or the session brings it.
    """
    at = next((at for at in reversed(range(len(messages))) if messages[at].role in _TURN), 0)
    while at and messages[at - 1].role in _TURN:
        at -= 1
    return at
