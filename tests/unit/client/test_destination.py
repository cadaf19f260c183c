"""Which gateway a command speaks to, and what it shows there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.client.destination import configured, flagged
from app.config import Config

ENVIRON = {"ZERO_GATEWAY_TOKEN": "env-token", "ZERO_GATEWAY_PASSWORD": "env-password"}
REMOTE = {"url": "wss://far.example"}


def config(**gateway: Any) -> Config:
    """Return a configuration with this gateway section."""
    return msgspec.convert({"gateway": gateway}, Config)


@pytest.mark.parametrize(
    ("gateway", "environ", "url"),
    [
        ({}, {}, "ws://127.0.0.1:18789"),
        ({"port": 1234}, {}, "ws://127.0.0.1:1234"),
        ({"port": 1234}, {"ZERO_GATEWAY_PORT": "4321"}, "ws://127.0.0.1:4321"),
        ({"bind": "lan"}, {}, "ws://127.0.0.1:18789"),
        ({"bind": "::"}, {}, "ws://[::1]:18789"),
        ({"bind": "10.0.0.7"}, {}, "ws://10.0.0.7:18789"),
        ({"remote": REMOTE}, {"ZERO_GATEWAY_PORT": "4321"}, "wss://far.example"),
    ],
)
def test_the_address(gateway: dict[str, Any], environ: dict[str, str], url: str) -> None:
    """Where a gateway of this configuration listens, as seen from its own machine, unless one elsewhere is named."""
    assert url == configured(config(**gateway), environ).url


@pytest.mark.parametrize(
    ("gateway", "environ", "secrets"),
    [
        ({}, ENVIRON, ("env-token", None)),
        ({}, {}, (None, None)),
        ({"auth": {"token": " own \n"}}, ENVIRON, ("own", None)),
        ({"auth": {"mode": "password"}}, ENVIRON, (None, "env-password")),
        ({"auth": {"mode": "password", "password": "own", "token": "unused"}}, ENVIRON, (None, "own")),
        ({"auth": {"mode": "none"}}, ENVIRON, (None, None)),
        ({"remote": REMOTE, "auth": {"token": "own"}}, {}, (None, None)),
        ({"remote": REMOTE, "auth": {"token": "own"}}, ENVIRON, ("env-token", "env-password")),
        ({"remote": {**REMOTE, "token": "theirs"}, "auth": {"token": "own"}}, ENVIRON, ("theirs", None)),
        ({"remote": {**REMOTE, "password": "theirs"}}, ENVIRON, (None, "theirs")),
    ],
)
def test_the_secret(gateway: dict[str, Any], environ: dict[str, str], secrets: tuple[str | None, str | None]) -> None:
    """Each gateway is shown its own, and a remote one never what the own one is protected by."""
    found = configured(config(**gateway), environ)

    assert secrets == (found.token, found.password)


def test_a_flag_goes_before_everything_and_does_for_both_modes() -> None:
    """Whichever mode the gateway is in."""
    for gateway in ({"auth": {"token": "own"}}, {"auth": {"mode": "none"}}, {"remote": {**REMOTE, "token": "theirs"}}):
        found = configured(config(**gateway), ENVIRON, "flag")
        assert ("flag", "flag") == (found.token, found.password)
    assert ("flag", "flag") == (flagged("ws://x", "flag", ENVIRON).token, flagged("ws://x", "flag", ENVIRON).password)
    assert "env-token" == flagged("ws://x", None, ENVIRON).token


@pytest.mark.parametrize(
    ("url", "local"),
    [("ws://127.0.0.1:1", True), ("ws://[::1]:1", True), ("ws://localhost", True), ("wss://far.example", False)],
)
def test_no_proxy_is_asked_for_this_machine(url: str, local: bool) -> None:
    """A proxy would not find it."""
    assert local == flagged(url, None, {}).is_local


def test_secrets_are_not_in_repr() -> None:
    """A log may have it."""
    assert "Destination('ws://x')" == repr(flagged("ws://x", "s3cret", {}))
