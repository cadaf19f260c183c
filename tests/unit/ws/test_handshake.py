"""``admit``: version, role, secret and scopes of the first request. The rest of the handshake: tests/ws."""

from __future__ import annotations

import msgspec
import pytest

from app.config import Config
from app.contract.frames import ConnectParams
from app.security.authenticator import Authenticator
from app.security.secret import Secret
from app.ws.handshake import PROTOCOLS, Admission, HandshakeFailed, Peer, admit
from tests.official import Json

CLIENT = {"id": "test", "version": "1", "platform": "linux", "mode": "test"}
NEAR = Peer("127.0.0.1", None, "127.0.0.1")
FAR = Peer("203.0.113.5", None, "192.0.2.1")


def admitted(params: Json, mode: str = "token", peer: Peer = FAR, maker: Authenticator | None = None) -> Admission:
    """Ask to be let in, with these params over the fewest that can be sent; the secret is ``segredo``."""
    config = msgspec.convert({"gateway": {"auth": {"mode": mode, "rateLimit": {"maxFailures": 2}}}}, Config)
    authenticator = maker or Authenticator(None if mode == "none" else Secret("segredo"), config)
    whole = {"minProtocol": 3, "maxProtocol": 4, "client": CLIENT, **params}
    return admit(msgspec.convert(whole, ConnectParams), peer, config.gateway.auth, authenticator)


def refused(params: Json, mode: str = "token", peer: Peer = FAR) -> tuple[str, object, int]:
    """Ask in vain; return the code, the details' code, and the close code."""
    with pytest.raises(HandshakeFailed) as failure:
        admitted(params, mode, peer)
    shape = failure.value.failure.shape
    return shape.code, getattr(shape.details, "code", None), failure.value.close_code


@pytest.mark.parametrize("lowest", range(1, 7))
@pytest.mark.parametrize("highest", range(1, 7))
def test_the_newest_version_in_common(lowest: int, highest: int) -> None:
    """Whatever range the client speaks; none in common is a failure of its own."""
    common = [version for version in PROTOCOLS if lowest <= version <= highest]
    params = {"minProtocol": lowest, "maxProtocol": highest, "auth": {"token": "segredo"}}

    if common:
        assert max(common) == admitted(params).protocol
    else:
        assert ("INVALID_REQUEST", "PROTOCOL_MISMATCH", 1002) == refused(params)


def test_versions_come_before_secrets() -> None:
    """A client that speaks another version doesn't get to guess."""
    assert "PROTOCOL_MISMATCH" == refused({"minProtocol": 9, "maxProtocol": 9, "auth": {"token": "wrong"}})[1]


@pytest.mark.parametrize("mode", ["token", "password"])
@pytest.mark.parametrize(
    ("auth", "opens"),
    [
        ({"token": "segredo"}, True),
        ({"password": "segredo"}, True),
        ({"token": "", "password": "segredo"}, True),
        ({"token": "segredo", "password": " "}, True),
        ({"token": "segredo", "password": "segredo"}, True),
        ({"token": "errado"}, False),
        ({"password": "errado"}, False),
        ({"bootstrapToken": "segredo", "deviceToken": "segredo"}, False),
    ],
    ids=str,
)
def test_token_and_password_may_both_carry_the_secret(mode: str, auth: Json, opens: bool) -> None:
    """In either mode; the other tokens of the protocol don't."""
    if opens:
        assert 4 == admitted({"auth": auth}, mode).protocol
    else:
        assert ("INVALID_REQUEST", 1008) == refused({"auth": auth}, mode)[::2]


@pytest.mark.parametrize(("mode", "opens"), [("token", "token"), ("password", "password")])
def test_where_both_differ_the_mode_decides(mode: str, opens: str) -> None:
    """The one that the mode is named after is the one that counts."""
    other = {"token": "password", "password": "token"}[opens]

    assert 4 == admitted({"auth": {opens: "segredo", other: "errado"}}, mode).protocol
    assert f"AUTH_{mode.upper()}_MISMATCH" == refused({"auth": {opens: "errado", other: "segredo"}}, mode)[1]


def test_without_a_secret_only_this_machine_is_let_in() -> None:
    """In mode ``none`` a connection that came in from outside is forbidden, however the server was bound."""
    assert 4 == admitted({}, "none", NEAR).protocol
    assert ("FORBIDDEN", None, 1008) == refused({}, "none", FAR)


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:18789", True),
        ("http://[::1]", True),
        ("https://evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_without_a_secret_a_web_page_must_be_this_machines(origin: str, welcome: bool) -> None:
    """Browsers let any page open a WebSocket to 127.0.0.1; with a secret the page would have to know it."""
    page = NEAR._replace(origin=origin)
    if welcome:
        assert 4 == admitted({}, "none", page).protocol
    else:
        assert ("FORBIDDEN", None, 1008) == refused({}, "none", page)
    assert 4 == admitted({"auth": {"token": "segredo"}}, "token", page).protocol


def test_who_guesses_too_often_has_to_wait() -> None:
    """The right secret doesn't help then."""
    config = msgspec.convert({"gateway": {"auth": {"rateLimit": {"maxFailures": 2}}}}, Config)
    maker = Authenticator(Secret("segredo"), config)
    codes = []
    for token in ("a", "b", "segredo"):
        with pytest.raises(HandshakeFailed) as failure:
            admitted({"auth": {"token": token}}, maker=maker)
        codes.append(getattr(failure.value.failure.shape.details, "code", None))

    assert ["AUTH_TOKEN_MISMATCH", "AUTH_TOKEN_MISMATCH", "AUTH_RATE_LIMITED"] == codes
    assert 4 == admitted({"auth": {"token": "segredo"}}, peer=NEAR, maker=maker).protocol


@pytest.mark.parametrize("role", ["node", "", "OPERATOR"])
def test_roles(role: str) -> None:
    """Only operators are welcome; an empty role isn't even valid."""
    if role:
        assert ("INVALID_REQUEST", None, 1008) == refused({"role": role, "auth": {"token": "segredo"}})
    else:
        with pytest.raises(msgspec.ValidationError):
            admitted({"role": role})


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        (("operator.read",), {"operator.read"}),
        (("operator.write",), {"operator.read", "operator.write"}),
        (("operator.admin",), {"operator.read", "operator.write", "operator.admin"}),
        ((), set()),
    ],
)
def test_greater_scopes_include_lesser_ones(granted: tuple[str, ...], allowed: set[str]) -> None:
    """And never the other way round."""
    admission = Admission(4, granted)

    assert allowed == {one for one in ("operator.read", "operator.write", "operator.admin") if admission.allows(one)}
