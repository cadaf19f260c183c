"""Secrets of API keys: random, recognisable, found by what they hash to, and useless once their time is over."""

from __future__ import annotations

import re

import msgspec
import pytest

from app.config import Config
from app.errors import AuthenticationFailed, KeyExpired, TooManyAuthenticationFailures
from app.security.authenticator import Authenticator
from app.security.keyring import Keyring
from app.security.named_key import NamedKey, hash_of, new_secret
from app.security.secret import Secret
from tests.api_keys import entry, secret


def config(*entries: dict[str, object], **auth: object) -> Config:
    """Return a configuration with API keys."""
    return msgspec.convert({"gateway": {"auth": {"keys": list(entries), **auth}}}, Config)


def shown(authenticator: Authenticator, secret: str) -> NamedKey | None:
    """Show a secret; return the key that it is of, ``None`` for the operator."""
    return authenticator.check(
        [b"Bearer " + secret.encode()], peer="203.0.113.5", forwarded_for=None, server="192.0.2.1"
    )


def test_secrets_are_new_and_long() -> None:
    """256 bits behind a prefix, in letters that every client can send."""
    secrets = {new_secret() for _ in range(100)}

    assert 100 == len(secrets)
    assert all(re.fullmatch(r"zero-[A-Za-z0-9_-]{43}", one) for one in secrets)
    assert re.fullmatch("sha256:[0-9a-f]{64}", hash_of(secrets.pop()))


def test_each_secret_finds_its_key() -> None:
    """And no other; nothing like it finds one."""
    ring = Keyring(config(*(entry(f"k{n}") for n in range(1000))).gateway.auth.keys)

    for n in (0, 1, 500, 999):
        found = ring.find(secret(f"k{n}").encode())
        assert found is not None
        assert f"k{n}" == found.name
    for wrong in (b"", b"zero-", secret("k1000").encode(), secret("k1").encode() + b" ", b"\xff"):
        assert ring.find(wrong) is None
    assert Keyring(()).find(b"anything") is None


def test_the_operator_is_the_one_secret() -> None:
    """The keys are others."""
    authenticator = Authenticator(Secret("s"), config(entry("a", agents=["Main"], maxConcurrent=2)))
    key = shown(authenticator, secret("a"))

    assert shown(authenticator, "s") is None
    assert key is not None
    assert ("a", ("main",), "a", (None, None, 2)) == (key.name, key.agents, key.session_scope, key.limits)


@pytest.mark.parametrize(
    ("expires", "at"),
    [
        ("2027-01-31", 1801353600),
        ("2027-01-31T00:00:00Z", 1801353600),
        ("2027-01-31T01:00:00+01:00", 1801353600),
        ("2027-01-31T18:30:00.5-03:00", 1801431000.5),
    ],
)
def test_a_key_ends_at_its_moment(expires: str, at: float) -> None:
    """Not before, and then at once, also where somebody was let in with it before."""
    now = at - 0.001
    authenticator = Authenticator(Secret("s"), config(entry("a", expires=expires)), clock=lambda: now)
    key = shown(authenticator, secret("a"))
    assert key is not None
    authenticator.check_again(key)
    now = at
    with pytest.raises(KeyExpired):
        shown(authenticator, secret("a"))
    with pytest.raises(KeyExpired):
        authenticator.check_again(key)


def test_a_key_that_was_taken_away() -> None:
    """Who was let in with it is no longer: nor with one that allows something else by now."""
    key = shown(Authenticator(Secret("s"), config(entry("a"))), secret("a"))
    assert key is not None
    for keys in ((), (entry("b"),), (entry("a", agents=["main"]),)):
        with pytest.raises(AuthenticationFailed):
            Authenticator(Secret("s"), config(*keys)).check_again(key)


def test_who_has_a_key_cannot_guess_on() -> None:
    """Showing it doesn't take back wrong guesses, as the operator's secret does; nor is an expired one a guess."""
    limit = {"maxFailures": 3, "lockoutSeconds": 60}
    authenticator = Authenticator(Secret("s"), config(entry("a"), entry("b", expires="2020-01-01"), rateLimit=limit))
    for _ in range(5):
        with pytest.raises(KeyExpired):
            shown(authenticator, secret("b"))
    for guess in range(3):
        with pytest.raises(AuthenticationFailed):
            shown(authenticator, f"guess {guess}")
        if guess < 2:
            assert shown(authenticator, secret("a")) is not None
    with pytest.raises(TooManyAuthenticationFailures):
        shown(authenticator, secret("a"))
