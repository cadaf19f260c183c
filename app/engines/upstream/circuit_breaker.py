"""A provider that keeps failing is left alone for a while: its runs fail, or go on to a fallback, at once.

Owns one provider's record of failures, in this process. Knows nothing of HTTP: who asks the provider says what became
of it. Closed until so many requests in a row have failed within the window. Then open: nobody passes until the pause is
over. Then one run is let through on trial, and a further one whenever a trial has said nothing for as long as a pause.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

from app.config import CircuitBreaker
from app.errors import EngineFailed
from app.log import logger

_log = logger("zero.engines")


class Circuit:
    """The way to one provider.

    Args:
        provider: Its name in the configuration.
        settings: When it opens and for how long.
        clock: Returns the time, in seconds, that only goes forward.
    """

    def __init__(self, provider: str, settings: CircuitBreaker, clock: Callable[[], float] = monotonic) -> None:
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self.counts_rate_limits = settings.count_rate_limits
        self._failures: deque[float] = deque(maxlen=settings.failures)
        self._open_until: float | None = None
        self._on_trial: str | None = None

    def visit(self, run_id: str) -> Visit:
        """Let a request pass.

        Args:
            run_id: The run it belongs to. All requests of a run on trial pass.

        Returns:
            What is told of the request; to be used as a context manager.

        Raises:
            EngineFailed: If the provider is left alone at the moment.
        """
        if self._open_until is None:
            return Visit(self, run_id, on_trial=False)
        if run_id != self._on_trial:
            now = self._clock()
            if now < self._open_until:
                raise self._refusal(self._open_until - now)
            self._open_until = now + self._settings.pause_seconds
            self._on_trial = run_id
            _log.warning("provider %s: run %s finds out whether it works again", self._provider, run_id)
        return Visit(self, run_id, on_trial=True)

    def works(self, visit: Visit) -> None:
        """Note that a request on trial is being answered."""
        if visit.on_trial and self._open_until is not None:
            self._open_until = self._on_trial = None
            _log.warning("provider %s works again: it is asked as usual", self._provider)

    def succeeded(self, visit: Visit) -> None:
        """Note that a request was answered: what failed before is forgotten."""
        self.works(visit)
        if self._open_until is None:
            self._failures.clear()

    def failed(self, visit: Visit) -> None:
        """Note that a request failed."""
        now, settings = self._clock(), self._settings
        if self._open_until is not None:
            if visit.on_trial:
                self._open_until, self._on_trial = now + settings.pause_seconds, None
                _log.warning("provider %s fails still: %g s more", self._provider, settings.pause_seconds)
            return  # else it began before the others failed, and says nothing new
        if not settings.enabled:
            return
        self._failures.append(now)
        if len(self._failures) == settings.failures and now - self._failures[0] <= settings.window_seconds:
            self._failures.clear()
            self._open_until = now + settings.pause_seconds
            _log.warning(
                "provider %s failed %d times in a row: it isn't asked for %g s",
                self._provider,
                settings.failures,
                settings.pause_seconds,
            )

    def given_up(self, visit: Visit) -> None:
        """Note that nobody will know what became of a request: if it was the trial, the next one is."""
        if visit.on_trial and self._on_trial == visit.run_id:
            self._open_until, self._on_trial = self._clock(), None

    def _refusal(self, seconds: float) -> EngineFailed:
        return EngineFailed(
            f"The provider {self._provider!r} failed too often in a row and isn't asked for the next "
            f"{max(1, math.ceil(seconds))} s, a pause set by models.providers.{self._provider}.circuitBreaker.",
            status=503,
            code="upstream_circuit_open",
            retry_after=seconds,
        )


class Visit:
    """One request to a provider, and what became of it: the first that is said at its end counts."""

    __slots__ = ("_circuit", "_told", "on_trial", "run_id")

    def __init__(self, circuit: Circuit, run_id: str, *, on_trial: bool) -> None:
        self._circuit = circuit
        self._told = False
        self.run_id = run_id
        self.on_trial = on_trial

    def works(self) -> None:
        """Say that an answer has begun."""
        if self.on_trial:
            self._circuit.works(self)

    def succeeded(self) -> None:
        """Say that the provider did its work, be it to refuse a request that was wrong."""
        if not self._told:
            self._told = True
            self._circuit.succeeded(self)

    def failed(self) -> None:
        """Say that the provider failed."""
        if not self._told:
            self._told = True
            self._circuit.failed(self)

    def answered(self, status: int) -> None:
        """Say that the provider answered with an error."""
        if status >= 500 or (status == 429 and self._circuit.counts_rate_limits):
            self.failed()
        else:
            self.succeeded()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self._told:
            self._circuit.given_up(self)
