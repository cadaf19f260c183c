"""Images that a conversation names by address, fetched for an upstream that can't reach them itself.

Off unless the provider's ``fetchImages`` is there: an address goes to the upstream as it was sent. Whoever sends one
chooses where this machine connects to, so hosts are listed, and addresses that aren't public are refused after the
lookup and again at each redirect (``image_host``). Rules: docs/engines.md, Images.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from app.config import FetchImages
from app.contract.models import (
    ChatCompletionRequestMessageContentPartImage,
    ChatCompletionRequestUserMessage,
    CreateChatCompletionRequest,
)
from app.engines.upstream.image_data import ImageData
from app.engines.upstream.image_host import ImageHosts, ImageRefused
from app.errors import InvalidRequest
from app.large.aside import LARGE, aside, aside_if
from app.large.shortened import read as decoded
from app.large.written import written
from app.runs.turn import Turn
from app.sessions.message import Message, size_of

if TYPE_CHECKING:
    import aiohttp

MAX_IMAGES: Final = 20
MAX_REDIRECTS: Final = 3
AT_ONCE: Final = 4
"""Images of one run that are fetched at a time, and names of one provider's images that are looked up."""

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Spend: TypeAlias = Callable[[int], None]
"""Takes the bytes that came in off what may come; raises ``ImageRefused`` when it is too much."""


class RemoteImages:
    """Fetches images and puts them in place of their addresses.

    Args:
        settings: From where, how large, how long.
    """

    def __init__(self, settings: FetchImages) -> None:
        self._settings = settings
        self._hosts = ImageHosts(settings)
        # The event loop has few threads for lookups. A client that makes them wait for a name server of its own may
        # hold up other images by that, but not the way to the upstreams.
        self._lookups = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image-lookup")

    async def inlined(self, turn: Turn) -> tuple[Message, ...]:
        """Return a turn's messages with a data URI for each address of an image.

        Raises:
            InvalidRequest: If an image can't be had, or there are too many; ``param`` is its place in the request.
        """
        read = await aside_if(size_of(turn.messages) > LARGE, _with_addresses, turn.messages)
        times = Counter(part["url"] for fields in read.values() for part in _remote(fields))
        if not times:
            return turn.messages
        if times.total() > MAX_IMAGES:
            raise InvalidRequest(
                f"The conversation names {times.total()} images by address; {MAX_IMAGES} is the most.",
                param="messages",
                code="invalid_image_url",
            )
        images = await self._fetch_all(times, turn.request)
        for fields in read.values():
            for part in _remote(fields):
                part["url"] = images[part["url"]]
        return await aside(_put_in, turn.messages, read)

    async def _fetch_all(self, times: Counter[str], request: CreateChatCompletionRequest) -> dict[str, str]:
        import aiohttp

        budget = _Budget(self._settings.max_bytes)
        places = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver(), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),  # each image has one for all of its redirects
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as client:

            async def fetch(address: str) -> str:
                async with places:
                    return await self._fetch_named(client, address, partial(budget.spend, times[address]), request)

            tasks = [asyncio.create_task(fetch(address)) for address in times]
            try:
                return dict(zip(times, await asyncio.gather(*tasks), strict=True))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_named(
        self, client: aiohttp.ClientSession, address: str, spend: Spend, request: CreateChatCompletionRequest
    ) -> str:
        import aiohttp

        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._fetch(client, address, spend)
        except ImageRefused as refusal:
            reason = str(refusal)
        except TimeoutError:
            reason = f"it took longer than {seconds:g} seconds"
        except (aiohttp.ClientError, OSError):
            reason = "the connection failed"
        raise InvalidRequest(
            f"The image at {address[:200]!r} can't be fetched: {reason}.",
            param=_place(request, address),
            code="invalid_image_url",
        )

    async def _fetch(self, client: aiohttp.ClientSession, address: str, spend: Spend) -> str:
        from yarl import URL

        try:
            url = URL(address)
        except ValueError:
            raise ImageRefused("the address is not a URL") from None
        for _ in range(MAX_REDIRECTS + 1):
            self._hosts.check(url)
            headers = {"accept": "image/png, image/jpeg, image/webp, image/gif", "accept-encoding": "identity"}
            async with client.get(url, allow_redirects=False, headers=headers) as response:
                if response.status in _REDIRECTS and "location" in response.headers:
                    try:
                        url = url.join(URL(response.headers["location"]))
                    except ValueError:
                        raise ImageRefused("it redirects to something that is not a URL") from None
                    continue
                if response.status != 200:
                    raise ImageRefused(f"its host answered with status {response.status}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ImageRefused("its host sent it compressed, unasked")
                image = ImageData()
                async for piece in response.content.iter_any():
                    spend(len(piece))
                    if not image.feed(piece):
                        break
                uri = image.uri()
                if uri is None:
                    raise ImageRefused("it is not a PNG, JPEG, GIF or WebP image")
                return uri
        raise ImageRefused(f"it redirects more than {MAX_REDIRECTS} times")

    def _resolver(self) -> aiohttp.abc.AbstractResolver:
        import aiohttp

        lookups, check = self._lookups, self._hosts.check_address

        class CheckedResolver(aiohttp.abc.AbstractResolver):
            """Looks a name up and refuses it if any of its addresses is private: what was checked is connected to."""

            async def resolve(
                self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
            ) -> list[aiohttp.abc.ResolveResult]:
                ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
                found: list[aiohttp.abc.ResolveResult] = []
                for kind, _, protocol, _, place in await asyncio.get_running_loop().run_in_executor(lookups, ask):
                    address = str(place[0])
                    check(ip_address(address))
                    found.append(
                        aiohttp.abc.ResolveResult(
                            hostname=host, host=address, port=port, family=kind, proto=protocol, flags=_NUMERIC
                        )
                    )
                return found

            async def close(self) -> None:
                """Keep the threads: they are the provider's."""

        return CheckedResolver()


class _Budget:
    """The bytes that the images of one request may have together."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def spend(self, times: int, count: int) -> None:
        """Take off what came in, as often as the conversation has that image."""
        self._left -= times * count
        if self._left < 0:
            raise ImageRefused(f"the images are larger than {self._limit} bytes together")


def _with_addresses(messages: tuple[Message, ...]) -> dict[int, dict[str, Any]]:
    """Return the messages that have an image's address, decoded, under their positions."""
    found: dict[int, dict[str, Any]] = {}
    for index, message in enumerate(messages):
        if message.role != "user":
            continue
        text = bytes(message.raw)
        # Most have none, and may be large. With a backslash in it JSON spells any text in other ways.
        if b"\\" in text or (b"image_url" in text and b"://" in text):
            fields = decoded(text)
            if any(True for _ in _remote(fields)):
                found[index] = fields
    return found


def _put_in(messages: tuple[Message, ...], instead: Mapping[int, dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(
        Message(message.role, msgspec.Raw(written(instead[index]))) if index in instead else message
        for index, message in enumerate(messages)
    )


def _remote(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the ``image_url`` objects of a message that name an address."""
    content = fields["content"]
    for part in content if isinstance(content, list) else ():
        if part["type"] == "image_url" and part["image_url"]["url"][:5].lower() != "data:":
            yield part["image_url"]


def _place(request: CreateChatCompletionRequest, address: str) -> str:
    """Return where the request names an image; one that only the session's history names has no place there."""
    for position, message in enumerate(request.messages):
        if isinstance(message, ChatCompletionRequestUserMessage) and isinstance(message.content, list):
            for at, part in enumerate(message.content):
                if isinstance(part, ChatCompletionRequestMessageContentPartImage) and part.image_url.url == address:
                    return f"messages[{position}].content[{at}].image_url.url"
    return "messages"
