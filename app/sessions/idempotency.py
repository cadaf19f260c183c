"""What was answered under which ``Idempotency-Key``: the records' protocol, and the values that cross it.

Owns the promise that a key stands for one request, one run and one answer, and its bounds. Knows neither runs nor HTTP:
an answer is bytes. Source of the rule: docs/idempotency.md. Implementation: ``idempotency_records``.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias

import msgspec

from app.sessions.message import Message

MAX_RECORDS: Final = 10_000
"""Keys that are remembered at most, once they are answered; the oldest is forgotten first."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""What all kept answers may have together; the oldest is given up first, and its key remembered all the same."""
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""What one kept answer may have."""


class Claimant(msgspec.Struct, frozen=True):
    """A run under a key.

    Attributes:
        run_id: Its id, which no other run has: it tells this claim from an earlier or later one.
        agent_id: The agent that answers.
        session_key: The session it belongs to.
    """

    run_id: str
    agent_id: str
    session_key: str


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it went out.

    Attributes:
        run_id: The run that gave it.
        agent_id: The agent whose run that was.
        session_key: The session it belonged to.
        estimated: Whether its usage is an estimate.
        body: Its bytes; ``None`` if they were too many to keep.
    """

    run_id: str
    agent_id: str
    session_key: str
    estimated: bool
    body: bytes | None


class StoredAnswer(msgspec.Struct, frozen=True):
    """What a session has of an answer that was never kept.

    Attributes:
        id: The message's id in the session.
        message: The message; ``None`` if the session has it no longer.
    """

    id: str
    message: Message | None


class Claimed(msgspec.Struct, frozen=True):
    """The key is the caller's, who runs the request and then calls ``keep`` or ``free``.

    Attributes:
        answer: What answers it, where a process stored the turn and died before it kept the answer.
    """

    answer: StoredAnswer | None = None


class UnderWay(msgspec.Struct, frozen=True):
    """Another process is running the request.

    Attributes:
        asked: Digest of the request that it runs.
        claimant: Its run.
    """

    asked: bytes
    claimant: Claimant


class Record(msgspec.Struct, frozen=True):
    """What is known of a key that was answered.

    Attributes:
        asked: Digest of the request that it was first sent with.
        answer: What that was answered.
    """

    asked: bytes
    answer: KeptAnswer


Found: TypeAlias = Claimed | UnderWay | Record


class IdempotencyRecords(Protocol):
    """Keeps records. Every method may raise ``StoreError``."""

    async def claim(self, key: str, asked: bytes, claimant: Claimant, seconds: float) -> Found:
        """Take a key, or tell who has it; of any number who try at once, one gets it.

        Args:
            key: The key.
            asked: Digest of the request.
            claimant: The caller's run. The key is renewed for it until ``keep`` or ``free``; if its process dies, the
                key is free a while later.
            seconds: For how long the key is remembered at most, if that happens after the turn was stored.
        """
        ...

    async def follow(self, key: str, run_id: str) -> bytes | None:
        """Wait for the end of another process's run; ``claim`` tells then what there is.

        Returns:
            What it said to ``free`` about its failure; ``None`` if it didn't fail, or nobody can tell any more.
        """
        ...

    async def keep(self, key: str, answer: KeptAnswer, seconds: float) -> None:
        """Remember an answer.

        Args:
            key: A key that the answer's run has.
            answer: The answer; without its body if that is larger than ``MAX_ANSWER_BYTES``.
            seconds: For how long.
        """
        ...

    async def free(self, key: str, run_id: str, failure: bytes | None = None) -> None:
        """Give a key back without an answer.

        Args:
            key: A key that the run has.
            run_id: The run.
            failure: What to tell those who follow it; without it, one of them runs the request.
        """
        ...
