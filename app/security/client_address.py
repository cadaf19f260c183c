"""Which address a request comes from, when proxies stand in between.

Source of the rule: design.md, "Authentication" (``gateway.trustedProxies``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
UNKNOWN = "unknown"


class ClientAddresses:
    """Reads a client's address from its connection and, behind trusted proxies only, from ``X-Forwarded-For``.

    Args:
        trusted_proxies: Addresses or networks in CIDR notation whose word about the client is believed.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(entry, strict=False) for entry in trusted_proxies
        )

    def of(self, peer: str | None, forwarded_for: str | None) -> str:
        """Return the client's address as a string that is the same for the same client.

        Args:
            peer: The connection's other end; ``None`` for a Unix socket.
            forwarded_for: All values of ``X-Forwarded-For``, joined by commas in order.

        Returns:
            The rightmost address of the chain that no trusted proxy vouches for being a proxy itself. IPv6 clients
            are grouped by /64, the smallest block that one subscriber gets.
        """
        if not forwarded_for:
            return _name_of_peer(peer or "")
        address = _parse_peer(peer or "")
        if address is None:
            return UNKNOWN
        if self._trusts(address):
            for hop in reversed(forwarded_for.split(",")):
                parsed = _parse(hop)
                if parsed is None:
                    break  # a proxy that writes nonsense: the last believable hop stands
                address = parsed
                if not self._trusts(address):
                    break
        return _name_of(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _name_of(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


@lru_cache(1024)
def _name_of_peer(text: str) -> str:
    address = _parse_peer(text)
    return UNKNOWN if address is None else _name_of(address)


@lru_cache(1024)
def _parse_peer(text: str) -> Address | None:
    # The same few come again and again, and each is as long as an address is; what a header says may be anything.
    return _parse(text)


def _parse(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:192.0.2.1 and 192.0.2.1 are one client.
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def is_local_origin(origin: str) -> bool:
    """Tell whether an ``Origin`` header names a page that this machine itself serves."""
    return _is_local(origin)


def is_local_host(host: str) -> bool:
    """Tell whether a ``Host`` header (``name[:port]``) names this machine itself."""
    return _is_local(f"//{host}")


def _is_local(url: str) -> bool:
    try:
        host = (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return False
    # No public name ends in .localhost (RFC 6761), so none can be made to point here.
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Tell whether a server address (as ASGI's ``server`` gives it) is reachable from this machine only."""
    address = _parse(host)
    return address is not None and address.is_loopback
