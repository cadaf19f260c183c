"""The request body: JSON only, so much only, and all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType
from app.http.body import read_json_body
from app.http.disconnect import ClientDisconnected
from app.http.request_headers import RequestHeaders

GONE = object()


class Wire:
    """A client that sends its body in pieces.

    Args:
        pieces: What it sends; ``GONE`` is where it goes away.
    """

    def __init__(self, pieces: Sequence[object]) -> None:
        self._messages = [
            {"type": "http.disconnect"}
            if piece is GONE
            else {"type": "http.request", "body": piece, "more_body": position < len(pieces) - 1}
            for position, piece in enumerate(pieces)
        ]
        self.received = 0

    async def receive(self) -> Any:
        """ASGI's receive; what comes behind the last message would be waited for forever."""
        assert self._messages, "nothing is left to be received"
        self.received += 1
        return self._messages.pop(0)


def read(*pieces: object, limit: int = 100, wire: Wire | None = None, **headers: bytes) -> bytes:
    """Read a body; headers are given with underscores."""
    sent = {"content_type": b"application/json"} | headers
    named = RequestHeaders([(name.replace("_", "-").encode(), value) for name, value in sent.items()])
    return asyncio.run(read_json_body(named, (wire or Wire(pieces)).receive, limit))


@pytest.mark.parametrize(
    "pieces", [[b"{}"], [b"{", b"}"], [b"", b"{}", b""], [b"{", b"", b"}"], [b"{}", b""], [b" {}\n"]]
)
def test_pieces(pieces: list[bytes]) -> None:
    """A body is all its pieces, to the byte."""
    assert b"".join(pieces) == read(*pieces)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8).filter(any))
def test_any_pieces(pieces: list[bytes]) -> None:
    """However the network cuts a body, it is put together or refused by its length alone."""
    body = b"".join(pieces)
    if len(body) > 50:
        with pytest.raises(BodyTooLarge):
            read(*pieces, limit=50)
    else:
        assert body == read(*pieces, limit=50)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b" application/json ; x=y",
    ],
)
def test_json(content_type: bytes) -> None:
    """JSON is JSON in any case and with any parameters."""
    assert b"{}" == read(b"{}", content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/plain",
        b"application/jsonx",
        b"application/problem+json",
        b"json",
        b"multipart/form-data; boundary=x",
    ],
)
def test_other_media_types(content_type: bytes) -> None:
    """Everything else is 415, before any of the body is read."""
    wire = Wire([b"{}"])
    with pytest.raises(UnsupportedMediaType) as caught:
        read(wire=wire, content_type=content_type)
    assert (415, 0) == (caught.value.status, wire.received)
    assert content_type.decode() in caught.value.message


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"identity, gzip"])
def test_compressed(encoding: bytes) -> None:
    """A compressed body is 415, before any of it is read: it could be anything when unpacked."""
    wire = Wire([b"{}"])
    with pytest.raises(UnsupportedMediaType) as caught:
        read(wire=wire, content_encoding=encoding)
    assert 0 == wire.received
    assert encoding.decode() in caught.value.message


def test_identity() -> None:
    """Identity is no compression."""
    assert b"{}" == read(b"{}", content_encoding=b"Identity")


@pytest.mark.parametrize("declared", [b"101", b"99999999999999999999999999999999", b"0000000000101"])
def test_declared_too_large(declared: bytes) -> None:
    """A body that says it is over the limit is 413 without being read."""
    wire = Wire([b"{}"])
    with pytest.raises(BodyTooLarge) as caught:
        read(wire=wire, content_length=declared)
    assert (413, 0) == (caught.value.status, wire.received)
    assert "100 bytes" in caught.value.message


def test_really_too_large() -> None:
    """A body that grows over the limit is 413 with the piece that does it; what comes behind isn't read."""
    wire = Wire([b"x" * 60, b"x" * 60, b"x" * 60])
    with pytest.raises(BodyTooLarge):
        read(wire=wire, content_length=b"10")
    assert 2 == wire.received


@pytest.mark.parametrize("declared", [b"100", b"-1", b"abc", b"1e9", b"", b"\xd9\xa1"])
def test_limit_is_inclusive(declared: bytes) -> None:
    """A body of just the limit is read; a declared length that is no number doesn't matter."""
    assert b"x" * 100 == read(b"x" * 100, content_length=declared)


@pytest.mark.parametrize("pieces", [[b""], [b"", b""]])
def test_empty(pieces: list[bytes]) -> None:
    """No body at all is 400 and says what to send."""
    with pytest.raises(InvalidRequest) as caught:
        read(*pieces)
    assert (400, "invalid_json") == (caught.value.status, caught.value.code)


@pytest.mark.parametrize("pieces", [[GONE], [b"{", GONE]])
def test_client_goes_away(pieces: list[object]) -> None:
    """Half a body is nobody's request."""
    with pytest.raises(ClientDisconnected):
        read(*pieces)
