"""What an upstream can do wrong, as scripts for the fake one. Pure values."""

from __future__ import annotations

import zlib
from typing import Final

from tests.fakes.script import (
    DONE,
    Close,
    Pause,
    Repeat,
    Reset,
    Script,
    Send,
    Step,
    chunk,
    event,
    stream,
    whole,
)

HELLO: Final = event(chunk({"content": "Hello,"}))
FINISH: Final = event(chunk({}, finish_reason="stop"))
_HALF: Final = event(chunk({"content": "é"})).replace(b"\xa9", b"")
_PAGE: Final = b"<html><body>502 Bad Gateway</body></html>"
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED: Final = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

BROKEN: Final = "upstream_invalid_response"
LOST: Final = "upstream_connection_lost"
SHORT: Final = "upstream_truncated"
FAILED: Final = "upstream_error"
TOO_LARGE: Final = "upstream_answer_too_large"

BEFORE: Final[dict[str, tuple[Script, str]]] = {
    "garbage": (stream(b"data: \x00\xff\xfe{{{\n\n", FINISH, DONE), BROKEN),
    "garbage in one piece": (whole(200, b"\x00\xff\xfe{{{"), BROKEN),
    "half a character": (stream(_HALF, FINISH, DONE), BROKEN),
    "half a character in one piece": (whole(200, b'{"choices": [{"message": {"content": "\xc3"}}]}'), BROKEN),
    "a 200 with HTML": (whole(200, _PAGE, content_type="text/html; charset=utf-8"), BROKEN),
    "a 200 with HTML that calls itself JSON": (whole(200, _PAGE), BROKEN),
    "a 200 with HTML that calls itself a stream": (stream(_PAGE), SHORT),
    "a redirect": (whole(302, b"", headers={"location": "http://169.254.169.254/latest"}), FAILED),
    "an upgrade": ([Send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")], FAILED),
    "an endless stream": (stream(Repeat(b": nothing\n\n")), TOO_LARGE),
    "an endless answer in one piece": (
        [Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"), Repeat(b" ")],
        TOO_LARGE,
    ),
    "a huge single chunk": ([Send(_CHUNKED + b"40000000\r\ndata: "), Repeat(b"x")], TOO_LARGE),
    "a chunk with a size that is none": ([Send(_CHUNKED + b"xyz\r\n")], LOST),
    "a negative length": ([Send(_HEAD + b"Content-Length: -5\r\n\r\nxxxxx")], LOST),
    "two lengths": ([Send(_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx")], LOST),
    "a truncated stream": ([*stream()[:1], Close()], LOST),
    "a truncated answer in one piece": (
        [Send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"choices"'), Close()],
        LOST,
    ),
    "a header without end": ([Send(b"HTTP/1.1 200 OK\r\nX: "), Repeat(b"x")], LOST),
    "headers without end": ([Send(b"HTTP/1.1 200 OK\r\n"), Repeat(b"X: y\r\n")], LOST),
    "not HTTP": ([Send(b"SSH-2.0-OpenSSH_9.6\r\n"), Close()], LOST),
    "a reset": ([Reset()], LOST),
    "a close": ([Close()], LOST),
}
"""Misbehaviour instead of an answer: what the upstream does, and the code that the client gets with a 502."""

AMID: Final[dict[str, tuple[list[bytes | Step], str]]] = {
    "garbage": ([b"data: \x00\xff\xfe{{{\n\n", FINISH, DONE], BROKEN),
    "half a character": ([_HALF, FINISH, DONE], BROKEN),
    "HTML": ([b"data: " + _PAGE + b"\n\n", FINISH, DONE], BROKEN),
    "a truncated stream": ([], SHORT),
    "a truncated stream that says it is whole": ([DONE], SHORT),
    "a truncated event": ([HELLO[:20]], BROKEN),
    "an endless stream": ([Repeat(b": nothing\n\n")], TOO_LARGE),
    "an endless answer": ([Repeat(HELLO)], TOO_LARGE),
    "a huge single chunk": ([Repeat(b"x" * 4096)], TOO_LARGE),
    "a chunk with a size that is none": ([Send(b"xyz\r\n")], LOST),
    "a reset": ([Reset()], LOST),
    "a close": ([Close()], LOST),
}
"""Misbehaviour behind the first words."""


def bomb(size: int) -> Script:
    """Return an answer in one piece that is small on the wire, and ``size`` bytes large when it is unpacked."""
    packing = zlib.compressobj(9, wbits=31)
    block = b" " * 1_000_000
    data = b"".join(packing.compress(block) for _ in range(size // len(block))) + packing.flush()
    return whole(200, data, headers={"content-encoding": "gzip"})


def silent() -> Script:
    """Return an answer that never comes."""
    return [Pause()]
