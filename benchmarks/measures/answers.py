"""Whether a target gives the answers whose cost is measured."""

from __future__ import annotations

import http.client
from typing import Final

from benchmarks.load import WrongAnswers
from benchmarks.measures.bursts import CHUNKS
from benchmarks.standing import Standing
from benchmarks.targets.target import BURST, JSON, Request

_WORDS: Final = b"tick tock"


def check(standing: Standing) -> None:
    """Ask once for JSON and once for a stream.

    Raises:
        WrongAnswers: If the words aren't there, or the stream has fewer chunks than it should.
    """
    answer = _answer(standing, standing.request(JSON))
    if _WORDS not in answer:
        raise WrongAnswers(f"no answer in {answer[:200]!r}")
    chunks = _answer(standing, standing.request(BURST, stream=True)).count(b"data: {")
    if chunks < CHUNKS:
        raise WrongAnswers(f"a stream of {chunks} chunks instead of {CHUNKS}")


def _answer(standing: Standing, request: Request) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", standing.server.port, timeout=30)
    try:
        connection.request("POST", request.path, request.body, {"content-type": "application/json", **request.headers})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswers(f"{response.status}: {body[:200]!r}")
    return body
