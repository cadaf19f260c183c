"""The secret: where it comes from, how it is compared, and that it never shows."""

from __future__ import annotations

import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Auth, ConfigError
from app.security.secret import Secret, resolve_secret


def resolved(auth: dict[str, str], **environ: str) -> Secret | None:
    """Resolve a secret from a configuration and an environment."""
    return resolve_secret(msgspec.convert(auth, Auth), environ)


@pytest.mark.parametrize(
    ("auth", "environ", "expected"),
    [
        ({"token": "file"}, {}, "file"),
        ({"token": "file"}, {"ZERO_GATEWAY_TOKEN": "env"}, "file"),
        ({}, {"ZERO_GATEWAY_TOKEN": "env"}, "env"),
        ({}, {"ZERO_GATEWAY_TOKEN": "env", "ZERO_GATEWAY_PASSWORD": "other"}, "env"),
        ({"password": "unused"}, {"ZERO_GATEWAY_TOKEN": "env"}, "env"),
        ({"mode": "token", "token": "file"}, {}, "file"),
        ({"mode": "password", "password": "file"}, {"ZERO_GATEWAY_PASSWORD": "env"}, "file"),
        ({"mode": "password"}, {"ZERO_GATEWAY_PASSWORD": "env", "ZERO_GATEWAY_TOKEN": "other"}, "env"),
        ({"mode": "password", "token": "unused"}, {"ZERO_GATEWAY_PASSWORD": "env"}, "env"),
        ({"token": " file\n"}, {}, "file"),
        ({}, {"ZERO_GATEWAY_TOKEN": "\tenv\r\n"}, "env"),
        ({"token": "two words"}, {}, "two words"),
        ({"token": "segredo-é"}, {}, "segredo-é"),
    ],
)
def test_source(auth: dict[str, str], environ: dict[str, str], expected: str) -> None:
    """Each mode has its key and its variable, the file wins, and blanks around the secret don't count."""
    secret = resolved(auth, **environ)
    assert secret is not None
    assert secret.matches(expected.encode())


@pytest.mark.parametrize(
    ("auth", "environ", "key", "variable"),
    [
        ({}, {}, "gateway.auth.token", "ZERO_GATEWAY_TOKEN"),
        ({}, {"ZERO_GATEWAY_PASSWORD": "other"}, "gateway.auth.token", "ZERO_GATEWAY_TOKEN"),
        ({}, {"ZERO_GATEWAY_TOKEN": ""}, "gateway.auth.token", "ZERO_GATEWAY_TOKEN"),
        ({}, {"ZERO_GATEWAY_TOKEN": " \n"}, "gateway.auth.token", "ZERO_GATEWAY_TOKEN"),
        ({"token": ""}, {"ZERO_GATEWAY_TOKEN": "env"}, "gateway.auth.token", "ZERO_GATEWAY_TOKEN"),
        ({"mode": "password"}, {"ZERO_GATEWAY_TOKEN": "other"}, "gateway.auth.password", "ZERO_GATEWAY_PASSWORD"),
        ({"mode": "password", "token": "other"}, {}, "gateway.auth.password", "ZERO_GATEWAY_PASSWORD"),
    ],
)
def test_missing_secret(auth: dict[str, str], environ: dict[str, str], key: str, variable: str) -> None:
    """A mode whose secret is nowhere stops the start, and says which key or variable to set; no secret is shown."""
    with pytest.raises(ConfigError) as caught:
        resolved(auth, **environ)
    assert key == caught.value.path
    assert f"Set {key} in the configuration or {variable} in the environment" in str(caught.value)
    assert "other" not in str(caught.value)


@pytest.mark.parametrize("auth", [{"mode": "none"}, {"mode": "none", "token": "unused"}])
def test_mode_none(auth: dict[str, str]) -> None:
    """Mode none has no secret, whatever lies around."""
    assert resolved(auth, ZERO_GATEWAY_TOKEN="unused") is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary() | st.text().map(str.encode))
def test_only_the_secret_matches(value: str, candidate: bytes) -> None:
    """A candidate of any bytes and any length matches exactly when it is the secret."""
    secret = Secret(value)
    assert secret.matches(value.encode())
    assert (candidate == value.encode()) == secret.matches(candidate)


def test_comparison_is_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison goes through compare_digest with two values of one length, so that time tells nothing."""
    lengths: list[tuple[int, int]] = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        lengths.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    secret = Secret("segredo")
    assert [True, False, False] == [secret.matches(candidate) for candidate in (b"segredo", b"s", b"x" * 1000)]
    assert [(32, 32)] * 3 == lengths


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda secret: f"{secret!r:>80}", lambda secret: [secret]])
def test_never_shown(show: type[str]) -> None:
    """However a secret is turned into text, its value is not in it."""
    assert "hunter2" not in str(show(Secret("hunter2")))


def test_secret_of_undecodable_bytes() -> None:
    """A variable's bytes that aren't UTF-8, which Python hands over as surrogates, are a secret like any other."""
    secret = resolved({}, ZERO_GATEWAY_TOKEN=b"s\xff".decode(errors="surrogateescape"))
    assert secret is not None
    assert secret.matches(b"s\xff")
