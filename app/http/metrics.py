"""``getMetrics``: what Prometheus collects. Who counts it is not known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from litestar.types import Receive, Scope, Send

from app.errors import MetricsDisabled
from app.http.response import send_response

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class MetricsPage:
    """Answers scrapes.

    Args:
        exposition: Returns the metrics as text; ``None`` if there are none.
    """

    def __init__(self, exposition: Callable[[], bytes] | None) -> None:
        self._exposition = exposition

    async def show(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the metrics.

        Raises:
            MetricsDisabled: If there are none.
        """
        if self._exposition is None:
            raise MetricsDisabled
        await send_response(send, 200, self._exposition(), CONTENT_TYPE)
