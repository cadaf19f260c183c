"""Which hosts images may come from, as far as an address's text tells."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.config import FetchImages
from app.engines.upstream.image_host import ImageHosts, ImageRefused


def hosts(*patterns: str) -> ImageHosts:
    """Return the hosts of a list; 127.0.0.1 and ::1 count as public."""
    return ImageHosts(FetchImages(allow_hosts=patterns, private_networks=("127.0.0.1", "::1")))


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("images.example.com", "https://images.example.com/a.png"),
        ("Images.Example.com", "HTTPS://IMAGES.example.COM./a.png"),
        ("images.example.com", "http://images.example.com:80/a.png"),
        ("images.example.com:443", "https://images.example.com/a.png"),
        ("images.example.com:8443", "https://images.example.com:8443/a.png"),
        ("images.example.com:8443", "http://images.example.com:8443/a.png"),
        ("*.example.com", "http://a.b.example.com/"),
        ("*.example.com:80", "http://a.example.com/"),
        ("*", "http://anything.example/"),
        ("xn--bcher-kva.example", "http://b\u00fccher.example/"),
        ("xn--bcher-kva.example", "http://xn--bcher-kva.example/"),
        ("127.0.0.1", "http://127.0.0.1/"),
        ("[::1]", "http://[::1]/"),
        ("[0:0::0001]:8080", "http://[0000::1]:8080/"),
        ("8.8.8.8", "http://8.8.8.8/"),
    ],
)
def test_listed(pattern: str, address: str) -> None:
    """A host is listed in whatever letters it is written, with its usual port or without."""
    hosts("other.example", pattern).check(URL(address))


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("images.example.com", "https://images.example.com:8443/"),
        ("images.example.com", "https://images.example.com:80/"),
        ("images.example.com:443", "http://images.example.com/"),
        ("images.example.com", "https://images.example.com.evil.example/"),
        ("images.example.com", "https://evil-images.example.com/"),
        ("*.example.com", "https://example.com/"),
        ("*.example.com", "https://evilexample.com/"),
        ("*.example.com", "https://.example.com/"),
        ("*.example.com:80", "http://a.example.com:8080/"),
        ("*", "http://anything.example:8080/"),
        ("xn--bcher-kva.example", "http://bucher.example/"),
        ("kelvin.example", "http://xn--elvin-6fd.example/"),
        ("[::1]", "http://[::2]/"),
        ("images.example.com", "ftp://images.example.com/"),
        ("images.example.com", "//images.example.com/"),
        ("images.example.com", "http:images.example.com"),
    ],
)
def test_unlisted(pattern: str, address: str) -> None:
    """Nothing else is, however much it looks like it."""
    with pytest.raises(ImageRefused):
        hosts(pattern).check(URL(address))


@given(st.sampled_from(["http://", "https://", "HTTP:", "//", ""]), st.text(), st.text("0123456789abcfx.:%[]@/ \\"))
def test_any_text(scheme: str, start: str, end: str) -> None:
    """Whatever is sent is fetched or refused: no text makes it fail."""
    for text in (scheme + start + end, scheme + end):
        with suppress(ImageRefused):
            try:
                url = URL(text)
            except ValueError:
                continue
            hosts("*").check(url)
