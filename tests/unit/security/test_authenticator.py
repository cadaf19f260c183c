"""The authenticator: who is let in, who is sent away, and who has to wait."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.config import Config
from app.errors import AuthenticationFailed, PermissionDenied, TooManyAuthenticationFailures
from app.security.authenticator import Authenticator, bearer_credentials
from app.security.secret import Secret

RIGHT = b"Bearer segredo"
WRONG = b"Bearer errado"


def authenticator(secret: str | None = "segredo", **gateway: object) -> Authenticator:
    """Return an authenticator; three failures lock an address out for a minute."""
    limits = {"auth": {"rateLimit": {"maxFailures": 3, "lockoutSeconds": 60}}}
    config = msgspec.convert({"gateway": {**limits, **gateway}}, Config)
    return Authenticator(None if secret is None else Secret(secret), config)


def check(
    subject: Authenticator, *authorization: bytes, peer: str | None = "203.0.113.5", via: str | None = None
) -> None:
    """Show authorization headers from an address."""
    subject.check(list(authorization), peer=peer, forwarded_for=via, server="192.0.2.1")


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer segredo",
        b"bearer segredo",
        b"BEARER segredo",
        b"bEaReR segredo",
        b"Bearer   segredo",
        b"  Bearer segredo  ",
        b"Bearer segredo\t",
        b"Bearer \tsegredo",
    ],
)
def test_let_in(header: bytes) -> None:
    """The scheme's case and the blanks around the secret don't matter."""
    check(authenticator(), header)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"segredo"],
        [b"Basic segredo"],
        [b"Basic OnNlZ3JlZG8="],
        [b"Bearersegredo"],
        [b"Bearer segredo2"],
        [b"Bearer Segredo"],
        [b"Bearer segred"],
        [b"Bearer segre do"],
        [b'Bearer "segredo"'],
        [b"Bearer segredo, Bearer segredo"],
        [b"Bearer \xff\xfe"],
        [RIGHT, RIGHT],
        [RIGHT, WRONG],
        [WRONG, RIGHT],
    ],
)
def test_sent_away(headers: list[bytes]) -> None:
    """A missing, wrong or doubled header is 401 invalid_api_key with a challenge, and the same words for all."""
    with pytest.raises(AuthenticationFailed) as caught:
        check(authenticator(), *headers)
    error = caught.value
    assert (401, "invalid_request_error", "invalid_api_key") == (error.status, error.type, error.code)
    assert [("www-authenticate", "Bearer")] == error.headers
    assert AuthenticationFailed().message == error.message


@given(st.binary())
@example(b"bearer  ")
def test_only_the_secret_lets_in(header: bytes) -> None:
    """No other bytes than the secret's let anybody in."""
    assert bearer_credentials(header) != b"segredo"
    with pytest.raises(AuthenticationFailed):
        check(authenticator(), header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Bearer a b", b"a b"),
        (b"Bearer  a ", b"a"),
        (b"Bearer", None),
        (b"Bearer  ", None),
        (b"", None),
        (b"Token a", None),
        (b"Bearer\ta", None),
    ],
)
def test_bearer_credentials(header: bytes, expected: bytes | None) -> None:
    """What follows the scheme and a blank are the credentials; no other scheme has any."""
    assert expected == bearer_credentials(header)


def locked_out(subject: Authenticator, **where: str | None) -> bool:
    """Tell whether even the right secret is refused from an address."""
    try:
        check(subject, RIGHT, **where)
    except TooManyAuthenticationFailures as error:
        return error.retry_after is not None and 0 < error.retry_after <= 60
    return False


def test_lock_out() -> None:
    """Three wrong secrets lock the address out, even for the right one, and others stay welcome."""
    subject = authenticator()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            check(subject, WRONG)
    with pytest.raises(TooManyAuthenticationFailures) as caught:
        check(subject, RIGHT)
    assert (429, "too_many_auth_failures") == (caught.value.status, caught.value.code)
    assert [("retry-after", "60"), ("x-should-retry", "false")] == caught.value.headers
    assert not locked_out(subject, peer="203.0.113.6")


def test_right_secret_resets() -> None:
    """The right secret in between means that nobody is guessing."""
    subject = authenticator()
    for header in (WRONG, WRONG, RIGHT, WRONG, WRONG):
        if header == RIGHT:
            check(subject, header)
        else:
            with pytest.raises(AuthenticationFailed):
                check(subject, header)
    assert not locked_out(subject)


def test_probes_without_secret_do_not_count() -> None:
    """Who sends no Authorization at all isn't guessing."""
    subject = authenticator()
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            check(subject)
    assert not locked_out(subject)


@pytest.mark.parametrize("guess", [[WRONG, RIGHT], [b"Basic x"], [b""]])
def test_every_other_guess_counts(guess: list[bytes]) -> None:
    """Doubled headers and other schemes are guesses too."""
    subject = authenticator()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            check(subject, *guess)
    assert locked_out(subject)


def test_lock_out_behind_a_proxy() -> None:
    """Behind a trusted proxy its client is locked out, not the proxy; a stranger can't blame somebody else."""
    subject = authenticator(trustedProxies=["10.0.0.1"])
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            check(subject, WRONG, peer="10.0.0.1", via="198.51.100.9")
        with pytest.raises(AuthenticationFailed):
            check(subject, WRONG, peer="203.0.113.5", via="198.51.100.8")
    assert locked_out(subject, peer="10.0.0.1", via="198.51.100.9")
    assert locked_out(subject, peer="203.0.113.5")
    assert not locked_out(subject, peer="10.0.0.1", via="198.51.100.8")
    assert not locked_out(subject, peer="10.0.0.1")


@pytest.mark.parametrize("server", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None])
@pytest.mark.parametrize("headers", [[], [WRONG], [RIGHT, RIGHT]])
def test_mode_none_on_loopback(server: str | None, headers: list[bytes]) -> None:
    """Without a secret, connections accepted on loopback or a Unix socket are let in, whatever they show."""
    authenticator(None).check(headers, peer="127.0.0.1", forwarded_for=None, server=server)


@pytest.mark.parametrize("server", ["0.0.0.0", "192.168.1.2", "2001:db8::1", "testserver", "localhost", ""])
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.5", None])
def test_mode_none_from_outside(server: str, peer: str | None) -> None:
    """Without a secret, a connection accepted anywhere else is refused, whoever started the server how."""
    with pytest.raises(PermissionDenied) as caught:
        authenticator(None).check([RIGHT], peer=peer, forwarded_for="127.0.0.1", server=server)
    assert 403 == caught.value.status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "localhost:18789", "127.0.0.1:18789", "[::1]:18789", "LOCALHOST.:1", "app.localhost:80"],
)
def test_mode_none_for_a_local_name(host: str) -> None:
    """Without a secret, a request for this machine by any of its own names is let in."""
    authenticator(None).check([], peer="127.0.0.1", forwarded_for=None, server="127.0.0.1", hosts=[host])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:18789", "localhost.evil.example", "192.0.2.1", "", "[", "127.0.0.1.nip.io"]
)
def test_mode_none_for_a_foreign_name(host: str) -> None:
    """Without a secret, a request for another name is refused: that is how a rebound web page asks."""
    with pytest.raises(PermissionDenied) as caught:
        authenticator(None).check([], peer="127.0.0.1", forwarded_for=None, server="127.0.0.1", hosts=[host])
    assert 403 == caught.value.status
    authenticator(None).check([], peer=None, forwarded_for=None, server=None, hosts=[host])
