"""What an upstream may take with one request: time for its first byte, time between two, time and bytes in all.

Owns the limits' errors, each of which names its setting. Knows nothing of what is said in those bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from app.config import Provider
from app.errors import EngineFailed
from app.time_limit import TimeLimit

if TYPE_CHECKING:
    import aiohttp


class FirstByteTimeout(TimeoutError):
    """Raised when nothing has come by the time the first byte should have."""


class Allowance:
    """The limits of one request.

    Args:
        provider: The upstream's name in the configuration.
        settings: Its settings.

    Attributes:
        begun: Whether the first byte has come.
    """

    __slots__ = ("_provider", "_received", "_settings", "begun")

    def __init__(self, provider: str, settings: Provider) -> None:
        self._provider = provider
        self._settings = settings
        self.begun = False
        self._received = 0

    async def head(self, sending: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
        """Return the response to a request.

        Also bounds an upstream that doesn't take the request in, and one that sends interim responses for ever.

        Raises:
            FirstByteTimeout: If its head takes too long.
        """
        limit = TimeLimit(self._settings.timeouts.first_byte_seconds or None)
        try:
            with limit:
                return await sending
        except TimeoutError as error:
            if limit.expired:
                raise FirstByteTimeout from error
            raise

    @property
    def silence(self) -> float:
        """How long nothing may come, in seconds; 0 is no limit."""
        limits = self._settings.timeouts
        return limits.idle_seconds if self.begun else limits.first_byte_seconds

    def heard(self, response: aiohttp.ClientResponse, count: int) -> None:
        """Take note of bytes of the answer.

        Args:
            response: What they belong to.
            count: How many; 0 for its end.

        Raises:
            EngineFailed: If they are too many.
        """
        self.begun = True
        self._received += count
        if self._received > self._settings.max_answer_bytes:
            response.close()
            raise EngineFailed(
                f"The answer of the provider {self._provider!r} is larger than {self._settings.max_answer_bytes} "
                f"bytes, the limit set by models.providers.{self._provider}.maxAnswerBytes.",
                code="upstream_answer_too_large",
            )

    def exceeded(self, problem: TimeoutError) -> EngineFailed:
        """Return the failure that a timeout of the HTTP client's means."""
        import aiohttp

        limits = self._settings.timeouts
        match problem:
            case aiohttp.ConnectionTimeoutError():
                what, code = "could not be reached within", "upstream_connect_timeout"
                setting, seconds = "connectSeconds", limits.connect_seconds
            case aiohttp.SocketTimeoutError() if self.begun:
                what, code = "said nothing more for", "upstream_idle_timeout"
                setting, seconds = "idleSeconds", limits.idle_seconds
            case aiohttp.SocketTimeoutError() | FirstByteTimeout():
                what, code = "said nothing for", "upstream_first_byte_timeout"
                setting, seconds = "firstByteSeconds", limits.first_byte_seconds
            case _:
                what, code = "was not done within", "upstream_total_timeout"
                setting, seconds = "totalSeconds", limits.total_seconds
        return EngineFailed(
            f"The provider {self._provider!r} {what} {seconds:g} s, the limit set by "
            f"models.providers.{self._provider}.timeouts.{setting}.",
            status=504,
            code=code,
        )


def client_timeout(settings: Provider) -> aiohttp.ClientTimeout:
    """Return the limits that the HTTP client is to watch.

    Not those of silence: aiohttp 3.14 may let such a timer run on when the connection serves the next request.
    """
    import aiohttp

    limits = settings.timeouts
    return aiohttp.ClientTimeout(total=limits.total_seconds or None, connect=limits.connect_seconds)
