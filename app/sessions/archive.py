"""Looking after stored sessions: what a store says of all their branches, what it takes in, what has grown old.

Owns the protocol and the values that cross it, and the pure questions about a session's outline. Runs don't need any of
it. Implementation: ``sql_archive``. Source of the rules: docs/sessions.md, "Looking after sessions".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Literal, Protocol

import msgspec

from app.sessions.reset import is_mark
from app.sessions.store import SessionRecord

_AT_A_TIME: Final = 500


class Selection(msgspec.Struct, frozen=True):
    """Which sessions are meant; all of them when nothing is said.

    Attributes:
        agent_id: Only this agent's.
        rest: Only those whose key is ``agent:<agentId>:`` and this, of whichever agent.
        search: Only those whose key contains this text, in upper or lower case.
    """

    agent_id: str | None = None
    rest: str | None = None
    search: str = ""


class Link(msgspec.Struct, frozen=True):
    """A stored message without its text, whose ``size`` is in bytes; times in seconds since 1970."""

    id: str
    parent: str | None
    created_at: float
    size: int


class Outline(msgspec.Struct, frozen=True):
    """A session and where its messages hang.

    Attributes:
        record: The session.
        head: The message that it goes on from; ``None`` where it is empty.
        links: Every message of every branch, each behind the one that it hangs on.
    """

    record: SessionRecord
    head: str | None
    links: tuple[Link, ...]


class Branch(msgspec.Struct, frozen=True):
    """A way through a session, from its beginning to a message that nothing hangs on, or that the session goes on from.

    Attributes:
        id: Its last message's.
        active: Whether it is the one that the session goes on from.
        messages: How many it has.
        updated_at: When its last message came.
    """

    id: str
    active: bool
    messages: int
    updated_at: float


class ArchivedMessage(msgspec.Struct, frozen=True):
    """A stored message with all that is known of it; ``body`` is its JSON text."""

    id: str
    parent: str | None
    digest: str
    role: str
    run_id: str
    created_at: float
    body: msgspec.Raw


class ArchivedSession(msgspec.Struct, frozen=True):
    """A whole session, as it is taken in: every hash has been derived anew, and every parent is there."""

    record: SessionRecord
    head: str | None
    messages: tuple[ArchivedMessage, ...]


class Page(msgspec.Struct, frozen=True):
    """Some messages of a branch, the newest first, and whether older ones follow."""

    messages: tuple[ArchivedMessage, ...]
    more: bool


Outcome = Literal["created", "continued", "merged", "unchanged"]


class TakenIn(msgspec.Struct, frozen=True):
    """What became of a session that was taken in.

    Attributes:
        outcome: It was new; it goes on from a later message now; it has further branches; it had everything already.
        added: How many messages are new.
    """

    outcome: Outcome
    added: int


class SessionArchive(Protocol):
    """Looks after sessions. Every method may raise ``StoreError``."""

    async def listing(
        self, selection: Selection, *, limit: int, after: SessionRecord | None = None
    ) -> list[SessionRecord]:
        """Return sessions, the last created first.

        Args:
            selection: Which ones.
            limit: How many at most.
            after: Only those that come behind this one, whether it is still there or not.
        """
        ...

    async def outline(self, session_key: str) -> Outline | None:
        """Return where a session's messages hang, or ``None`` if there is no such session."""
        ...

    async def texts(self, session_key: str, ids: Collection[str]) -> list[ArchivedMessage]:
        """Return messages of a session in any order; of those only that are there."""
        ...

    async def page(
        self, session_key: str, *, branch: str | None = None, after: str | None = None, limit: int, max_bytes: int
    ) -> Page:
        """Return messages of a branch, the newest first.

        Args:
            session_key: The session.
            branch: Its branch, by its last message; the active one when not given.
            after: A message; only those that it hangs on. ``branch`` doesn't count then.
            limit: How many at most.
            max_bytes: What their texts may have together; one comes always.

        Raises:
            LookupError: If there is no message of the id ``branch`` or ``after``.
        """
        ...

    async def restore(self, session_key: str, branch: str, *, fence: int | None = None) -> SessionRecord | None:
        """Have a session go on from the end of a branch. Return it, or ``None`` if it has no such branch.

        Args:
            session_key: The session.
            branch: The branch's last message.
            fence: As in ``SessionStore.append``.

        Raises:
            SessionConflict: If the lease that ``fence`` stands for was taken over; nothing is changed then.
        """
        ...

    async def take_in(self, session: ArchivedSession, *, fence: int | None = None) -> TakenIn:
        """Write what isn't there yet of a session, all of it or nothing.

        A session that is there already keeps all that it has, and gets the others as branches. It goes on from another
        message only if what it goes on from now is in the way there, or if it was empty.

        Raises:
            SessionConflict: As ``restore``.
        """
        ...

    async def unchanged(self, since: float, *, limit: int, after: SessionRecord | None = None) -> list[SessionRecord]:
        """Return sessions that haven't changed since then, the oldest change first.

        Args:
            since: In seconds since 1970.
            limit: How many at most.
            after: Only those behind this one.
        """
        ...


async def every(archive: SessionArchive, selection: Selection) -> AsyncIterator[SessionRecord]:
    """Yield all sessions that are meant, the last created first, reading some at a time."""
    after: SessionRecord | None = None
    while records := await archive.listing(selection, limit=_AT_A_TIME, after=after):
        for record in records:
            yield record
        after = records[-1]


def branches_of(outline: Outline) -> list[Branch]:
    """Return a session's branches: the active one first, then those that changed last."""
    lengths: dict[str, int] = {}
    for link in outline.links:
        lengths[link.id] = 1 + (lengths.get(link.parent, 0) if link.parent is not None else 0)
    followed = {link.parent for link in outline.links}
    branches = [
        Branch(link.id, link.id == outline.head, lengths[link.id], link.created_at)
        for link in outline.links
        if link.id == outline.head or link.id not in followed
    ]
    return sorted(branches, key=lambda branch: (not branch.active, -branch.updated_at, branch.id))


def in_order(links: Collection[Link]) -> tuple[Link, ...]:
    """Return messages in the order in which they came, each behind the one that it hangs on."""
    by_id = {link.id: link for link in links}
    placed: list[Link] = []
    seen: set[str] = set()
    for link in sorted(links, key=lambda link: (link.created_at, link.id)):
        waiting: list[Link] = []
        step: Link | None = link
        while step is not None and step.id not in seen:
            seen.add(step.id)
            waiting.append(step)
            step = by_id.get(step.parent) if step.parent is not None else None
        placed.extend(reversed(waiting))
    return tuple(placed)


def leads_to(messages: Sequence[ArchivedMessage], start: str | None, end: str | None) -> bool:
    """Tell whether ``end`` is ``start`` itself, or hangs on it however far up; all hang on no message."""
    parents = {message.id: message.parent for message in messages}
    while end is not None and not is_mark(end):
        if end == start:
            return True
        end = parents.get(end)
    return start is None
