"""design.md, "Answer" (errors): which bodies are read at all: media type, encoding, size."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.doors.client import CHAT, JSON, VALID_TEXT, ask, head, parsed, post, raw
from tests.live_gateway import LiveGateway, configuration

LIMIT = 2000
pytestmark = pytest.mark.usefixtures("nothing_failed")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that takes bodies of 2000 bytes at most."""
    config = configuration(gateway={"http": {"endpoints": {"chatCompletions": {"maxBodyBytes": LIMIT}}}})
    with LiveGateway(tmp_path_factory.mktemp("small"), config) as live:
        yield live


class TestMediaType:
    """Only JSON, and said so."""

    @pytest.mark.parametrize(
        "content_type",
        [None, "", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
         "application/jsonp", "application/json, text/plain", "json", "*/*", "application/ld+json", "é"],
    )  # fmt: skip
    def test_another_or_none_is_415(self, gateway: LiveGateway, content_type: str | None) -> None:
        """Anything but application/json is 415; browsers can't send that unasked to another site."""
        headers = [] if content_type is None else [("Content-Type", content_type.encode())]
        reply = ask(gateway, "POST", CHAT, headers=headers, body=VALID_TEXT)
        assert reply.summary == (415, "unsupported_media_type", None)
        assert "application/json" in reply.error["message"]

    @pytest.mark.parametrize(
        "content_type",
        ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON",
         " application/json ", "application/json ; x=y"],
    )  # fmt: skip
    def test_json_with_parameters_in_any_case_is_taken(self, gateway: LiveGateway, content_type: str) -> None:
        """Case, blanks and parameters don't matter."""
        assert ask(gateway, "POST", CHAT, headers={"Content-Type": content_type}, body=VALID_TEXT).text == "x"

    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "GZIP", "nonsense"])
    def test_a_packed_body_is_415(self, gateway: LiveGateway, encoding: str) -> None:
        """A content encoding is refused and named, instead of being taken for broken JSON."""
        reply = post(gateway, gzip.compress(VALID_TEXT), headers={"Content-Encoding": encoding})
        assert reply.summary == (415, "unsupported_media_type", None)
        assert encoding in reply.error["message"]

    @pytest.mark.parametrize("encoding", ["identity", "IDENTITY", ""])
    def test_identity_is_no_encoding(self, gateway: LiveGateway, encoding: str) -> None:
        """``identity`` says that the body is not packed."""
        assert post(gateway, VALID_TEXT, headers={"Content-Encoding": encoding}).text == "x"


class TestSize:
    """``maxBodyBytes``."""

    @staticmethod
    def body(size: int) -> bytes:
        """Return a valid body of exactly this many bytes."""
        empty = b'{"model": "zero", "messages": [{"role": "user", "content": ""}]}'
        return empty.replace(b'""', b'"%s"' % (b"x" * (size - len(empty))))

    def test_the_limit_itself_is_allowed(self, small: LiveGateway) -> None:
        """A body of exactly the limit is taken, announced or in chunks."""
        body = self.body(LIMIT)
        assert len(body) == LIMIT
        assert post(small, body).status == 200
        assert (
            parsed(raw(small, head(JSON, "Transfer-Encoding: chunked") + b"7d0\r\n" + body + b"\r\n0\r\n\r\n")).status
            == 200
        )

    def test_an_announced_body_over_it_is_413(self, small: LiveGateway) -> None:
        """One byte more is 413, and the message says which key sets the limit."""
        reply = post(small, self.body(LIMIT + 1))
        assert reply.summary == (413, "request_too_large", None)
        assert "maxBodyBytes" in reply.error["message"]
        assert str(LIMIT) in reply.error["message"]

    @pytest.mark.parametrize("length", [LIMIT + 1, 10**12, 10**18])
    def test_it_is_refused_before_it_is_sent(self, small: LiveGateway, length: int) -> None:
        """The announced length is enough; nobody waits for the body, nor asks for it."""
        received = raw(small, head(JSON, f"Content-Length: {length}", "Expect: 100-continue"))
        assert parsed(received).summary == (413, "request_too_large", None)

    def test_a_chunked_body_over_it_is_413(self, small: LiveGateway) -> None:
        """Without an announced length, reading stops at the limit and doesn't wait for the end."""
        chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
        received = raw(small, head(JSON, "Transfer-Encoding: chunked") + chunk * 3)
        assert parsed(received).summary == (413, "request_too_large", None)
