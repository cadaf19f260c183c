"""An image as a data URI, whatever pieces its bytes come in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.upstream.image_data import ImageData

PNG = b"\x89PNG\r\n\x1a\n"


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_pieces(pieces: list[bytes]) -> None:
    """The pieces make no difference."""
    image = ImageData()
    for piece in (PNG[:5], PNG[5:], *pieces):
        assert image.feed(piece)
    encoded = base64.b64encode(PNG + b"".join(pieces)).decode()
    assert f"data:image/png;base64,{encoded}" == image.uri()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff", "jpeg"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WEBP", "webp"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    """An image is told by its first bytes, and there may be no others."""
    image = ImageData()
    assert image.feed(data)
    assert f"data:image/{kind};base64,{base64.b64encode(data).decode()}" == image.uri()


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"<html>", b"<svg xmlns=''/>", b"BM", b"RIFF\0\0\0\0WAVE", b"GIF90a", b" " + PNG]
)
def test_no_image(data: bytes) -> None:
    """Nothing else is one."""
    image = ImageData()
    image.feed(data)
    assert image.uri() is None


def test_no_image_is_known_early() -> None:
    """The first bytes tell: the rest needn't be waited for."""
    image = ImageData()
    assert image.feed(b"<html><body")
    assert not image.feed(b">")
