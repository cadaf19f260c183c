"""A client's address: whose word is believed, and who counts as one client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.client_address import UNKNOWN, ClientAddresses, is_loopback

PROXIES = ("10.0.0.0/8", "192.0.2.7", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("testclient", UNKNOWN),
    ],
)
def test_peer(peer: str | None, expected: str) -> None:
    """Without proxies the connection's other end is the client; an IPv6 client is its /64, a mapped one its IPv4."""
    assert expected == ClientAddresses(()).of(peer, None)


@pytest.mark.parametrize("peer", ["203.0.113.5", "192.0.2.8", "11.0.0.1"])
@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_strangers_are_not_believed(peer: str, proxies: tuple[str, ...]) -> None:
    """X-Forwarded-For from anyone but a trusted proxy is ignored."""
    assert peer == ClientAddresses(proxies).of(peer, "198.51.100.9")


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        (None, "10.1.1.1"),
        ("", "10.1.1.1"),
        ("198.51.100.9", "198.51.100.9"),
        (" 198.51.100.9 ", "198.51.100.9"),
        ("198.51.100.9:4711", "198.51.100.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("::ffff:198.51.100.9", "198.51.100.9"),
        # Only the last hop that isn't ours is a fact; what stands before it anybody may have written.
        ("1.2.3.4, 198.51.100.9", "198.51.100.9"),
        ("1.2.3.4, 198.51.100.9, 10.2.2.2", "198.51.100.9"),
        ("1.2.3.4,198.51.100.9,192.0.2.7,10.2.2.2", "198.51.100.9"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("198.51.100.9, ", "10.1.1.1"),
        ("198.51.100.9, unknown", "10.1.1.1"),
        ("198.51.100.9, nonsense, 10.2.2.2", "10.2.2.2"),
        ("198.51.100.9, fd00::7", "198.51.100.9"),
    ],
)
def test_forwarded(forwarded_for: str | None, expected: str) -> None:
    """Behind trusted proxies the client is the rightmost hop that is no proxy of ours; nonsense ends the chain."""
    assert expected == ClientAddresses(PROXIES).of("10.1.1.1", forwarded_for)


def test_mapped_proxy_is_trusted() -> None:
    """A dual-stack socket shows an IPv4 proxy as a mapped address; it is trusted all the same."""
    assert "198.51.100.9" == ClientAddresses(PROXIES).of("::ffff:10.1.1.1", "198.51.100.9")


@given(st.text(), st.none() | st.text() | st.text("0123456789.:,[]% f"))
def test_any_text_gives_an_address(peer: str, forwarded_for: str | None) -> None:
    """No peer and no header, however odd, makes it fail."""
    for text in (peer, "10.1.1.1"):
        assert ClientAddresses(PROXIES).of(text, forwarded_for)


@given(st.ip_addresses(v=4).map(str), st.text("0123456789abcdef.:, "))
def test_a_client_cannot_choose_its_address(client: str, forged: str) -> None:
    """Whatever a client behind one proxy puts into the header, the hop that the proxy appends decides."""
    addresses = ClientAddresses(["fd00::1"])
    assert client == addresses.of("fd00::1", f"{forged}, {client}")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("2001:db8::1", False),
        ("testserver", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only an address that this machine alone can reach is loopback; a name proves nothing."""
    assert expected == is_loopback(host)
