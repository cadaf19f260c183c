"""What was answered under which ``Idempotency-Key``: the records' protocol, and the records of one process.

Owns the promise that a key stands for one request and one answer, and its bounds. Knows neither runs nor HTTP: an
answer is bytes. Source of the rule: docs/idempotency.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import time
from typing import Final, Protocol

import msgspec

MAX_RECORDS: Final = 10_000
"""Keys that are remembered at most; the oldest is forgotten first."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""What all kept answers may have together; the oldest is given up first, and its key remembered all the same."""
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""What one kept answer may have."""


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


class Record(msgspec.Struct, frozen=True):
    """What is known of a key.

    Attributes:
        asked: Digest of the request that it was first sent with.
        answer: What that was answered.
        expires_at: When the record is forgotten, in seconds since 1970.
    """

    asked: bytes
    answer: KeptAnswer
    expires_at: float


class IdempotencyRecords(Protocol):
    """Keeps records. Every method may raise ``StoreError``."""

    async def find(self, key: str) -> Record | None:
        """Return what is known of a key."""
        ...

    async def keep(self, key: str, asked: bytes, answer: KeptAnswer, seconds: float) -> None:
        """Remember an answer.

        Args:
            key: The key.
            asked: Digest of the request.
            answer: The answer; without its body if that is larger than ``MAX_ANSWER_BYTES``.
            seconds: For how long.
        """
        ...


class MemoryRecords:
    """Records in memory: bounded by number, bytes and time, and gone with the process.

    Args:
        clock: Returns the time, in seconds since 1970.
        max_records: See ``MAX_RECORDS``.
        max_bytes: See ``MAX_BYTES``.
    """

    def __init__(
        self, clock: Callable[[], float] = time, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._clock = clock
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._with_body: OrderedDict[str, int] = OrderedDict()
        """The sizes of the bodies that are kept, the oldest first."""
        self._bytes = 0

    async def find(self, key: str) -> Record | None:
        """See ``IdempotencyRecords``."""
        self._expire()
        return self._records.get(key)

    async def keep(self, key: str, asked: bytes, answer: KeptAnswer, seconds: float) -> None:
        """See ``IdempotencyRecords``."""
        self._expire()
        self._forget(key)
        self._records[key] = Record(asked, answer, self._clock() + seconds)
        if answer.body is not None:
            self._with_body[key] = len(answer.body)
            self._bytes += len(answer.body)
        while len(self._records) > self._max_records:
            self._forget(next(iter(self._records)))
        while self._bytes > self._max_bytes:
            # That it was answered stays known: a request must not run twice because others had long answers.
            oldest = next(iter(self._with_body))
            self._drop_body(oldest)
            record = self._records[oldest]
            bare = msgspec.structs.replace(record.answer, body=None)
            self._records[oldest] = msgspec.structs.replace(record, answer=bare)

    @property
    def size(self) -> tuple[int, int]:
        """How many records there are, and how many bytes their answers have."""
        return len(self._records), self._bytes

    def _expire(self) -> None:
        now = self._clock()
        # All are kept for the same time, so the oldest goes first; a clock that was set back only keeps them longer.
        while self._records and next(iter(self._records.values())).expires_at <= now:
            self._forget(next(iter(self._records)))

    def _forget(self, key: str) -> None:
        if self._records.pop(key, None) is not None:
            self._drop_body(key)

    def _drop_body(self, key: str) -> None:
        self._bytes -= self._with_body.pop(key, 0)
