"""All of a gateway's telemetry, as its configuration says; what is switched off isn't imported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from litestar.types import ASGIApp

from app.config import ConfigError, Gateway, Standing
from app.runs.observer import RunObserver
from app.telemetry.facts import Sink
from app.telemetry.records import AccessLines, AuditLog, access_lines_are_read
from app.telemetry.watch import Watch

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Traces

SAMPLE_SECONDS: Final = 0.5


class Telemetry:
    """Watches a gateway, if it is to be watched.

    Args:
        settings: The configuration's ``gateway``.
        waiting: Returns how many runs wait for their session and for their agent.
        standing: Returns how the configuration stands.
        provider: Where spans go; without one, where OpenTelemetry's environment variables say.

    Attributes:
        observer: What runs tell; ``None`` if nobody wants to know.
        outgoing: What requests to providers have in their headers besides, if anything.

    Raises:
        ConfigError: If something can't be watched as the configuration wants it.
    """

    def __init__(
        self,
        settings: Gateway,
        waiting: Callable[[], tuple[int, int]],
        standing: Callable[[], Standing],
        provider: TracerProvider | None = None,
    ) -> None:
        self._waiting = waiting
        self._standing = standing
        self._metrics = self._counting() if settings.metrics.enabled else None
        self._traces = _tracing(provider, content=settings.traces.content) if settings.traces.enabled else None
        self._audit = AuditLog(settings.logs.audit) if settings.logs.audit is not None else None
        access = AccessLines() if settings.logs.access and access_lines_are_read() else None
        sinks: list[Sink] = [one for one in (self._metrics, access, self._audit) if one is not None]
        self._watch = Watch(sinks, self._traces) if sinks or self._traces is not None else None
        self.observer: RunObserver | None = self._watch
        self.outgoing: Callable[[], Mapping[str, str]] | None = (
            self._traces.outgoing if self._traces is not None else None
        )

    @property
    def exposition(self) -> Callable[[], bytes] | None:
        """What returns the metrics, if there are any."""
        return self._metrics.exposition if self._metrics is not None else None

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application, watched if need be."""
        return app if self._watch is None else self._watch.around(app)

    async def keep(self) -> None:
        """Look again and again how late the event loop is and how full things are. Ends when it is cancelled."""
        if self._metrics is None:
            return
        self._metrics.measure()  # or a process that has just begun would say that its configuration is of 1970
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self._metrics.sample(clock() - due)

    async def close(self) -> None:
        """Let go of files, and send what hasn't been sent."""
        if self._audit is not None:
            self._audit.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)

    def _counting(self) -> Metrics:
        from app.telemetry.metrics import Level, Metrics

        def level() -> Level:
            assert self._watch is not None, "there are metrics"
            now = self._watch.open
            return Level(now.requests, now.runs, now.streams, now.websockets, *self._waiting())

        return Metrics(level, self._standing)


def _tracing(provider: TracerProvider | None, *, content: bool) -> Traces:
    try:
        from app.telemetry.traces import Traces, exporting_provider
    except ImportError:
        raise ConfigError(
            "OpenTelemetry is not installed", "Run: pip install 'zero-gateway[otel]'", path="gateway.traces.enabled"
        ) from None
    return Traces(provider or exporting_provider(), content=content)
