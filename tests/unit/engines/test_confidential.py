"""What a service was sent stays out of what is said of its failures."""

from __future__ import annotations

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from app.engines.upstream.confidential import cause_of, discreet, without_secrets
from app.errors import EngineFailed, InvalidRequest

HEADERS = {"authorization": "Bearer sk-123456", "x-partner": "partner-7", "x-app": "abc"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-123456!", "key ***!"),
        ("Bearer sk-123456", "***"),
        ("partner-7 and sk-123456", "*** and ***"),
        ("abc Bearer sk-12", "abc ***"),
        ("cut: partner", "cut: ***"),
        ("cut: par", "cut: par"),
        ("nothing", "nothing"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    """Values and credentials are hidden, whole or cut off at the end; what is too short to be a secret stays."""
    assert expected == without_secrets(text, HEADERS)


def test_failures() -> None:
    """Nothing of a failure has it: message, code, param, and what the log says of it."""
    failure = discreet(InvalidRequest("sk-123456?", param="sk-123456", code="partner-7"), HEADERS)
    assert ("***?", "***", "***", "***?") == (failure.message, failure.param, failure.code, str(failure))
    assert "upstream_error" == discreet(EngineFailed("x"), HEADERS).code


def test_causes() -> None:
    """aiohttp's error has the request in it, with its headers: only its words are kept."""
    url = URL("http://x/")
    request = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(CIMultiDict(HEADERS)), url)
    problem = aiohttp.ClientResponseError(request, (), message="bad line sk-123456")
    assert "sk-123456" in repr(problem)
    assert "Unsaid('ClientResponseError: bad line ***')" == repr(cause_of(problem, HEADERS))
    assert "Unsaid('OSError: gone')" == repr(cause_of(OSError("gone"), HEADERS))
