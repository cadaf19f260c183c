"""The lock-out: too many wrong secrets from one address, and it has to wait.

Counts failures only, in memory; ``shared_failures`` has several processes count together. Source of the rule:
design.md, "Authentication" (``rateLimit``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from app.config import RateLimit

_MAX_ADDRESSES = 10_000
"""Addresses remembered at once; the one longest silent is forgotten first, so memory stays bounded."""


class _Record:
    __slots__ = ("failures", "locked_until", "window_ends")

    def __init__(self, window_ends: float) -> None:
        self.failures = 0
        self.window_ends = window_ends
        self.locked_until = 0.0


class FailureLimit:
    """Failed authentications per client address.

    Args:
        settings: ``maxFailures`` within ``windowSeconds`` locks an address out for ``lockoutSeconds``.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: RateLimit, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def retry_after(self, address: str) -> float | None:
        """Return the seconds that ``address`` still has to wait, or ``None`` when it may try."""
        if not self._records:
            return None
        record = self._records.get(address)
        if record is None:
            return None
        remaining = record.locked_until - self._clock()
        return remaining if remaining > 0 else None

    def failed(self, address: str) -> None:
        """Count one wrong secret."""
        if not self._settings.enabled:
            return
        now = self._clock()
        record = self._records.get(address)
        if record is None or now >= record.window_ends:
            record = self._records[address] = _Record(now + self._settings.window_seconds)
        self._records.move_to_end(address)
        record.failures += 1
        if record.failures >= self._settings.max_failures:
            record.locked_until = now + self._settings.lockout_seconds
            # The count starts anew after the lock-out.
            record.failures = 0
            record.window_ends = record.locked_until + self._settings.window_seconds
        self._bound()

    def lock(self, address: str, seconds: float) -> None:
        """Lock an address out for so long, unless it is locked out already; its count starts anew after it."""
        now = self._clock()
        record = self._records.get(address)
        if record is not None and record.locked_until > now:
            return
        record = self._records[address] = _Record(now + seconds + self._settings.window_seconds)
        record.locked_until = now + seconds
        self._records.move_to_end(address)
        self._bound()

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address that has shown the right secret."""
        if self._records:
            self._records.pop(address, None)

    def _bound(self) -> None:
        if len(self._records) > _MAX_ADDRESSES:
            self._records.popitem(last=False)
