"""``zero gateway`` itself, with its own way to log; it says all there is to say."""

from __future__ import annotations

from tests.cli.command import ZERO
from tests.live_gateway import LiveGateway


class ServedGateway(LiveGateway):
    """See ``LiveGateway``."""

    def _command(self) -> list[str]:
        return [str(ZERO), "gateway", "--port", str(self.port), "--log-level", "debug", *self._arguments]
