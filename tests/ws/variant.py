"""The gateway with little patience, for tests of time: it loses it after a moment, and ticks several times a second.

The real application over a real port; only the two numbers are smaller. Loaded by uvicorn as
``tests.ws.variant:gateway``.
"""

from __future__ import annotations

from typing import Any, Final

from app.ws import connection

HANDSHAKE_SECONDS: Final = 0.3
TICK_SECONDS: Final = 0.1

# Before the door is imported, which says in its hello how often the gateway ticks.
_numbers: Any = connection
_numbers.HANDSHAKE_SECONDS = HANDSHAKE_SECONDS
_numbers.TICK_SECONDS = TICK_SECONDS

from app.application import from_environment  # noqa: E402 - the numbers come first

gateway = from_environment()
