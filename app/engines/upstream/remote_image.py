"""Images that a conversation names by address, fetched for an upstream that can't reach them itself.

Off unless the provider's ``fetchImages`` is there: an address goes to the upstream as it was sent. Whoever sends one
chooses where this machine connects to, so hosts are listed, and addresses that aren't public are refused after the
lookup and again at each redirect. Rules: docs/engines.md, Images.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.config import FetchImages
from app.contract.models import (
    ChatCompletionRequestMessageContentPartImage,
    ChatCompletionRequestUserMessage,
    CreateChatCompletionRequest,
)
from app.errors import InvalidRequest
from app.runs.turn import Turn
from app.sessions.message import Message

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

MAX_IMAGES: Final = 20
MAX_REDIRECTS: Final = 3

_USUAL_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NAT64: Final = IPv6Network("64:ff9b::/96")


class ImageRefused(Exception):
    """Raised with the reason why an image isn't there, for the client to read."""


class RemoteImages:
    """Fetches images and puts them in place of their addresses.

    Args:
        settings: From where, how large, how long.
    """

    def __init__(self, settings: FetchImages) -> None:
        self._settings = settings
        self._networks = [ip_network(network) for network in settings.private_networks]

    async def inlined(self, turn: Turn) -> tuple[Message, ...]:
        """Return a turn's messages with a data URI for each address of an image.

        Raises:
            InvalidRequest: If an image can't be had, or there are too many; ``param`` is its place in the request.
        """
        read = dict(_with_images(turn.messages))
        addresses = list(dict.fromkeys(part["url"] for fields in read.values() for part in _remote(fields)))
        if not addresses:
            return turn.messages
        if len(addresses) > MAX_IMAGES:
            raise InvalidRequest(
                f"The conversation names {len(addresses)} images by address; {MAX_IMAGES} is the most.",
                param="messages",
                code="invalid_image_url",
            )
        images = await self._fetch_all(addresses, turn.request)
        for fields in read.values():
            for part in _remote(fields):
                part["url"] = images[part["url"]]
        return tuple(
            Message.of(message.role, read[index]) if index in read else message
            for index, message in enumerate(turn.messages)
        )

    async def _fetch_all(self, addresses: list[str], request: CreateChatCompletionRequest) -> dict[str, str]:
        import aiohttp

        budget = _Budget(self._settings.max_bytes)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver(), limit=4),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as client:
            tasks = [asyncio.create_task(self._fetch_named(client, url, budget, request)) for url in addresses]
            try:
                return dict(zip(addresses, await asyncio.gather(*tasks), strict=True))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_named(
        self, client: aiohttp.ClientSession, address: str, budget: _Budget, request: CreateChatCompletionRequest
    ) -> str:
        import aiohttp

        try:
            return await self._fetch(client, address, budget)
        except ImageRefused as refusal:
            reason = str(refusal)
        except TimeoutError:
            reason = f"it took longer than {self._settings.timeout_seconds:g} seconds"
        except aiohttp.ClientError:
            reason = "the connection failed"
        raise InvalidRequest(
            f"The image at {address[:200]!r} can't be fetched: {reason}.",
            param=_place(request, address),
            code="invalid_image_url",
        )

    async def _fetch(self, client: aiohttp.ClientSession, address: str, budget: _Budget) -> str:
        from yarl import URL

        try:
            url = URL(address)
        except ValueError:
            raise ImageRefused("the address is not a URL") from None
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
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
                data = bytearray()
                async for piece in response.content.iter_any():
                    budget.spend(len(piece))
                    data += piece
                return f"data:{_media_type(data)};base64,{base64.b64encode(data).decode()}"
        raise ImageRefused(f"it redirects more than {MAX_REDIRECTS} times")

    def _check(self, url: URL) -> None:
        """Refuse an address whose host isn't listed, or that names an address which isn't public."""
        if url.scheme not in _USUAL_PORTS or not url.host:
            raise ImageRefused("only http and https are fetched")
        if url.user or url.password:
            raise ImageRefused("the address carries a user name or password")
        port = "" if url.port == _USUAL_PORTS[url.scheme] else f":{url.port}"
        host = url.host.rstrip(".").lower()
        shown = f"[{host}]{port}" if ":" in host else f"{host}{port}"
        if not any(_matches(pattern.lower(), shown, usual_port=not port) for pattern in self._settings.allow_hosts):
            raise ImageRefused(f"{shown!r} is not among the hosts that images are fetched from")
        try:
            literal = ip_address(host.partition("%")[0])
        except ValueError:
            return  # a name: the resolver looks at what it means
        self._check_address(literal)

    def _check_address(self, address: IPv4Address | IPv6Address) -> None:
        if any(address in network for network in self._networks):
            return
        if not all(_is_public(form) for form in _forms(address)):
            raise ImageRefused("its host's address is not a public one")

    def _resolver(self) -> aiohttp.abc.AbstractResolver:
        import aiohttp

        check = self._check_address

        class CheckedResolver(aiohttp.ThreadedResolver):
            """Looks a name up and refuses it if any of its addresses is private: what was checked is connected to."""

            async def resolve(self, *args: Any, **kwargs: Any) -> list[aiohttp.abc.ResolveResult]:
                found = await super().resolve(*args, **kwargs)
                for entry in found:
                    check(ip_address(entry["host"].partition("%")[0]))
                return found

        return CheckedResolver()


class _Budget:
    """The bytes that the images of one request may have together."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ImageRefused(f"the images are larger than {self._limit} bytes together")


def _with_images(messages: tuple[Message, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, message in enumerate(messages):
        if message.role == "user" and b"image_url" in bytes(message.raw):
            yield index, msgspec.json.decode(message.raw)


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


def _matches(pattern: str, host: str, *, usual_port: bool) -> bool:
    """Tell whether a host, with its port unless it is the scheme's own, is what an entry of ``allowHosts`` means."""
    if pattern == "*":
        return usual_port
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _forms(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield an address and the IPv4 addresses hidden in it, to which a gateway on the way may translate it."""
    yield address
    if isinstance(address, IPv6Address):
        hidden = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        yield from (form for form in hidden if form is not None)
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        # One that only wraps an IPv4 address is judged by that.
        return address.ipv4_mapped is not None or (address.is_global and not address.is_multicast)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _media_type(data: bytearray) -> str:
    """Return what an image is by its first bytes; what its host calls it decides nothing."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    raise ImageRefused("it is not a PNG, JPEG, GIF or WebP image")
