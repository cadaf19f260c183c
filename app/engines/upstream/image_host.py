"""Which hosts images may be fetched from: those that are listed, at addresses that are public.

Owns how a host is read and an address judged. Connects to nobody and looks no name up. Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from app.config import FetchImages

if TYPE_CHECKING:
    from yarl import URL

Address: TypeAlias = IPv4Address | IPv6Address

_USUAL_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
# What the system's lookup, and browsers, take for an address although it isn't one: 127.1, 2130706433, 0x7f.1.
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Everything else of IPv6 is local, reserved or means something to this machine's own network only.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
# Not public, though some of the Pythons we run on think so.
_NOT_PUBLIC: Final = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"))


class ImageRefused(Exception):
    """Raised with the reason why an image isn't there, for the client to read."""


class ImageHosts:
    """The hosts that a provider's ``fetchImages`` lists.

    Args:
        settings: The list, and the exceptions from what counts as private.
    """

    def __init__(self, settings: FetchImages) -> None:
        self._patterns = [_normal(pattern.lower()) for pattern in settings.allow_hosts]
        self._networks = [ip_network(network) for network in settings.private_networks]

    def check(self, url: URL) -> None:
        """Let an address pass as far as its text tells: what its host's name means is for ``check_address``.

        Raises:
            ImageRefused: If its host isn't listed, or is an address that isn't public.
        """
        if url.scheme not in _USUAL_PORTS or not url.raw_host:
            raise ImageRefused("only http and https are fetched")
        if url.user is not None or url.password is not None:
            raise ImageRefused("the address carries a user name or password")
        # As it goes into the lookup: of an international name the ASCII form.
        host = url.raw_host.lower().removesuffix(".")
        literal = _literal(host)
        shown = _shown(literal or host)
        with_port = f"{shown}:{url.port}"
        usual = url.port == _USUAL_PORTS[url.scheme]
        spellings = (shown, with_port) if usual else (with_port,)
        if not any(_matches(pattern, spellings, usual_port=usual) for pattern in self._patterns):
            raise ImageRefused(f"{spellings[0]!r} is not among the hosts that images are fetched from")
        if literal is not None:
            self.check_address(literal)

    def check_address(self, address: Address) -> None:
        """Let an address to connect to pass.

        Raises:
            ImageRefused: If it isn't public, and no exception either.
        """
        if not any(address in network for network in self._networks) and not is_public(address):
            raise ImageRefused("its host's address is not a public one")


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the internet's, and so is any IPv4 address in it that a gateway would use."""
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    hidden = (address.sixtofour, *(address.teredo or ()))
    inside = all(is_public(form) for form in hidden if form is not None)
    return inside and address in _GLOBAL_UNICAST and address.is_global


def _literal(host: str) -> Address | None:
    """Return the address that a host is, or ``None`` for a name."""
    if ":" in host or _NUMBER.fullmatch(host):
        if "%" not in host:  # behind it is a zone, and no public address has one
            try:
                return ip_address(host)
            except ValueError:
                pass
        raise ImageRefused("its host is neither a name nor an address in its usual form")
    if not _NAME.fullmatch(host):
        raise ImageRefused("its host is not a valid name")
    return None


def _shown(host: str | Address) -> str:
    return f"[{host}]" if isinstance(host, IPv6Address) else str(host)


def _normal(pattern: str) -> str:
    """Return an entry of ``allowHosts`` with its IPv6 address, if it has one, in the usual form."""
    literal, bracket, rest = pattern.removeprefix("[").partition("]")
    return f"{_shown(IPv6Address(literal))}{rest}" if bracket else pattern


def _matches(pattern: str, spellings: tuple[str, ...], *, usual_port: bool) -> bool:
    """Tell whether a host is what an entry of ``allowHosts`` means.

    Args:
        pattern: The entry.
        spellings: The host with its port and, where that is the usual one, without.
        usual_port: Whether it is.
    """
    if pattern == "*":
        return usual_port
    if pattern.startswith("*."):
        return any(host.endswith(pattern[1:]) for host in spellings)
    return pattern in spellings
