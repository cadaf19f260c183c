"""Request headers: one value or none, and no saying two things at once."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from app.http.request_headers import RequestHeaders


def headers(*values: bytes) -> RequestHeaders:
    """Return headers in which x-zero-agent has the given values."""
    return RequestHeaders([(b"host", b"a"), *((b"x-zero-agent", value) for value in values), (b"accept", b"*/*")])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([b""], ""),
        ([b" "], ""),
        ([b"a"], "a"),
        ([b" \ta b\t "], "a b"),
        ([b"A,b"], "A,b"),
        ([b"a", b"a"], "a"),
        (["josé".encode()], "josé"),
    ],
)
def test_text(values: list[bytes], expected: str) -> None:
    """A header's text has no blanks around it; absent is empty, and sent twice alike is sent once."""
    assert expected == headers(*values).text(b"x-zero-agent")


@pytest.mark.parametrize("values", [[b"a", b"b"], [b"a", b"A"], [b"a", b""], [b"a", b"a", b"b"]])
def test_two_values(values: list[bytes]) -> None:
    """A header that says two things is 400 and named: guessing which counts would let a proxy and us differ."""
    with pytest.raises(InvalidRequest) as caught:
        headers(*values).text(b"x-zero-agent")
    assert (400, "x-zero-agent") == (caught.value.status, caught.value.param)


@pytest.mark.parametrize("value", [b"\xff", b"jos\xe9", b"\xed\xa0\x80"])
def test_not_utf8(value: bytes) -> None:
    """A header that isn't UTF-8 is 400 and named."""
    with pytest.raises(InvalidRequest) as caught:
        headers(value).text(b"x-zero-agent")
    assert "x-zero-agent" == caught.value.param


def test_names_are_exact() -> None:
    """A header is found by its own name only; ASGI gives names in lower case."""
    assert "" == headers(b"a").text(b"x-zero-agent-id")


@pytest.mark.parametrize(
    ("values", "all_of_them", "joined"),
    [
        ([], [], None),
        ([b"a"], [b"a"], "a"),
        ([b"a, b", b"c"], [b"a, b", b"c"], "a, b,c"),
        ([b"\xff"], [b"\xff"], "\xff"),
    ],
)
def test_lists(values: list[bytes], all_of_them: list[bytes], joined: str | None) -> None:
    """All values are there in their order, apart or as one list."""
    assert all_of_them == headers(*values).all(b"x-zero-agent")
    assert joined == headers(*values).joined(b"x-zero-agent")
