"""contracts/asyncapi.yaml, ``connect``: who is let in, how the others are told, and with which code they are closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests import npm
from tests.doors.client import ask
from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.official import Json
from tests.ws.calls import refused
from tests.ws.client import CLIENT, Client, Refused, handshake, text_of
from tests.ws.contract import EVENTS, METHODS

ALL = ["operator.admin", "operator.read", "operator.write"]

Dial = Callable[..., Client]
Start = Callable[..., LiveGateway]


class TestChallenge:
    """The gateway's first frame."""

    def test_comes_first_and_is_never_the_same(self, dial: Dial) -> None:
        """Before the client says anything it gets a nonce and the time in milliseconds."""
        first, second = dial().next(), dial().next()

        assert ("connect.challenge", 1) == (first["event"], first["seq"])
        assert first["payload"]["nonce"] != second["payload"]["nonce"]
        assert abs(first["payload"]["ts"] / 1000 - time.time()) < 60


class TestHello:
    """The answer to a good ``connect``."""

    def test_is_what_the_protocol_says(self, dial: Dial) -> None:
        """It is valid by the schema that the npm package ships, and by our contract's."""
        client = dial().admitted()

        npm.protocol_validator("HelloOk").validate(client.hello)
        assert (4, "hello-ok") == (client.hello["protocol"], client.hello["type"])

    def test_says_what_there_is(self, dial: Dial) -> None:
        """Methods and events are the contract's, limits and defaults the gateway's own, the connection has an id."""
        first, second = dial().admitted().hello, dial().admitted().hello

        assert METHODS.keys() - {"connect"} == set(first["features"]["methods"])
        assert EVENTS.keys() == set(first["features"]["events"])
        assert {"maxPayload": 2**24, "maxBufferedBytes": 2**23, "tickIntervalMs": 30_000} == first["policy"]
        assert ("main", "agent:main:main") == (
            first["snapshot"]["sessionDefaults"]["defaultAgentId"],
            first["snapshot"]["sessionDefaults"]["mainSessionKey"],
        )
        assert "token" == first["snapshot"]["authMode"]
        assert first["server"]["connId"] != second["server"]["connId"]

    @pytest.mark.parametrize(("lowest", "highest", "agreed"), [(4, 4, 4), (3, 3, 3), (3, 4, 4), (1, 9, 4), (1, 3, 3)])
    def test_agrees_on_the_newest_version_of_both(self, dial: Dial, lowest: int, highest: int, agreed: int) -> None:
        """Of the client's range, 4 is taken where it can be, else 3."""
        assert agreed == dial().admitted(minProtocol=lowest, maxProtocol=highest).hello["protocol"]

    @pytest.mark.parametrize(("lowest", "highest"), [(5, 5), (1, 2), (4, 3)])
    def test_no_version_in_common(self, dial: Dial, lowest: int, highest: int) -> None:
        """The client is told which version would do, and closed with 1002."""
        failure, code = refused(dial(), handshake(minProtocol=lowest, maxProtocol=highest))

        assert ("INVALID_REQUEST", 1002) == (failure.code, code)
        assert {"code": "PROTOCOL_MISMATCH", "expectedProtocol": 4} == failure.details

    def test_a_client_may_say_everything_it_knows(self, dial: Dial) -> None:
        """What belongs to devices, nodes and workers is accepted and makes no difference."""
        client = dial().admitted(
            client={**CLIENT, "id": "openclaw-tui", "mode": "ui", "displayName": "Terminal", "instanceId": "i"},
            caps=["tool-events"], commands=["system.run"], permissions={"screen.record": False}, pathEnv="/bin",
            device={"id": "d", "publicKey": "A", "signature": "B", "signedAt": 1, "nonce": "n"},
            locale="pt-PT", userAgent="terminal/1", role="operator",
        )  # fmt: skip

        assert "operator" == client.hello["auth"]["role"]


class TestSecret:
    """The same secret as over HTTP."""

    @pytest.mark.parametrize("auth", [{"token": TOKEN}, {"token": f" {TOKEN} "}, {"password": TOKEN}], ids=str)
    def test_the_right_one_opens(self, dial: Dial, auth: Json) -> None:
        """Token and password may both carry it, and blanks around it don't count."""
        assert ALL == dial().admitted(auth=auth).hello["auth"]["scopes"]

    @pytest.mark.parametrize(
        ("auth", "code", "step"),
        [
            ({"token": "wrong"}, "AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
            ({"token": TOKEN + "x"}, "AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
            ({"token": "é"}, "AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
            ({"password": "wrong"}, "AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
            ({"deviceToken": TOKEN}, "AUTH_TOKEN_MISSING", "update_auth_configuration"),
            ({"token": ""}, "AUTH_TOKEN_MISSING", "update_auth_configuration"),
            ({"token": "  "}, "AUTH_TOKEN_MISSING", "update_auth_configuration"),
            ({}, "AUTH_TOKEN_MISSING", "update_auth_configuration"),
        ],
        ids=str,
    )
    def test_any_other_does_not(self, dial: Dial, auth: Json, code: str, step: str) -> None:
        """A client is told whether the secret is missing or wrong, and what to do; then it is closed with 1008."""
        failure, closed = refused(dial(), handshake(auth=auth))

        assert ("INVALID_REQUEST", 1008) == (failure.code, closed)
        assert {"code": code, "canRetryWithDeviceToken": False, "recommendedNextStep": step} == failure.details
        assert TOKEN not in failure.message

    def test_none_at_all(self, dial: Dial) -> None:
        """A ``connect`` without ``auth`` is one without a secret."""
        params = handshake()
        del params["auth"]

        assert "AUTH_TOKEN_MISSING" == refused(dial(), params)[0].details["code"]

    def test_a_password(self, dial: Dial, start_gateway: Start) -> None:
        """In mode ``password`` it is asked for under its own name."""
        config = configuration()
        config["gateway"]["auth"] = {"mode": "password", "password": "open sesame"}
        live = start_gateway(config)

        assert "password" == dial(live).admitted(auth={"password": "open sesame"}).hello["snapshot"]["authMode"]
        assert 4 == dial(live).admitted(auth={"token": "open sesame"}).hello["protocol"]
        wrong = refused(dial(live), handshake(auth={"password": "open"}))
        assert ("AUTH_PASSWORD_MISMATCH", 1008) == (wrong[0].details["code"], wrong[1])
        missing = refused(dial(live), handshake(auth={"password": ""}))
        assert ("AUTH_PASSWORD_MISSING", 1008) == (missing[0].details["code"], missing[1])

    def test_mode_none(self, dial: Dial, start_gateway: Start) -> None:
        """Without a secret everybody on this machine is let in, whatever secret they send."""
        config = configuration()
        config["gateway"]["auth"] = {"mode": "none"}
        live = start_gateway(config)

        assert "none" == dial(live).admitted(auth={}).hello["snapshot"]["authMode"]
        assert 4 == dial(live).admitted(auth={"token": "anything"}).hello["protocol"]


class TestRoleAndScopes:
    """What a client is, and what it may do."""

    @pytest.mark.parametrize("role", ["node", "worker", "Operator"])
    def test_only_operators_are_welcome(self, dial: Dial, role: str) -> None:
        """Another role is refused rather than taken for an operator's."""
        failure, code = refused(dial(), handshake(role=role))

        assert ("INVALID_REQUEST", 1008) == (failure.code, code)
        assert "role" in failure.message

    @pytest.mark.parametrize(
        ("wanted", "granted"),
        [
            ([], ALL),
            (["operator.read"], ["operator.read"]),
            (["operator.write", "operator.read"], ["operator.read", "operator.write"]),
            (["operator.admin", "operator.pairing"], ["operator.admin"]),
            (["operator.pairing"], []),
        ],
        ids=str,
    )
    def test_scopes_are_those_asked_for(self, dial: Dial, wanted: list[str], granted: list[str]) -> None:
        """None asked for means all; unknown ones are dropped."""
        assert granted == dial().admitted(scopes=wanted).hello["auth"]["scopes"]

    @pytest.mark.parametrize(
        ("granted", "method", "params", "missing"),
        [
            ("operator.read", "chat.abort", {"sessionKey": "k"}, "operator.write"),
            ("operator.read", "agent", {"message": "hi", "idempotencyKey": "k"}, "operator.write"),
            ("operator.write", "sessions.delete", {"key": "k"}, "operator.admin"),
            ("operator.write", "sessions.reset", {"key": "k"}, "operator.admin"),
            ("operator.pairing", "health", {}, "operator.read"),
        ],
    )
    def test_what_is_not_granted_is_forbidden(
        self, dial: Dial, granted: str, method: str, params: Json, missing: str
    ) -> None:
        """The answer names the scope that is missing, and the connection stays."""
        client = dial().admitted(scopes=[granted])
        for _ in range(2):
            with pytest.raises(Refused) as failure:
                client.call(method, params)
            assert "FORBIDDEN" == failure.value.code
            npm.protocol_validator("MissingScopeErrorDetails").validate(failure.value.details)
            assert (missing, [missing]) == (
                failure.value.details["missingScope"],
                failure.value.details["requiredScopes"],
            )

    def test_params_are_not_looked_at_where_the_scope_is_missing(self, dial: Dial) -> None:
        """Whoever may not call a method learns nothing about its params either."""
        with pytest.raises(Refused) as failure:
            dial().admitted(scopes=["operator.read"]).call("agent", {"nonsense": 1})
        assert "FORBIDDEN" == failure.value.code

    @pytest.mark.parametrize("granted", ["operator.write", "operator.admin"])
    def test_greater_scopes_include_lesser_ones(self, dial: Dial, granted: str) -> None:
        """Who may write may read, and who may administrate may do everything."""
        client = dial().admitted(scopes=[granted])

        assert client.call("health")["ok"] is True
        assert client.call("chat.abort", {"sessionKey": "agent:main:nobody"})["aborted"] is False


class TestLater:
    """``connect`` is for the beginning only."""

    def test_a_second_connect_is_refused(self, client: Client) -> None:
        """The connection stays as it was agreed."""
        with pytest.raises(Refused, match="unknown method: connect"):
            client.call("connect", handshake(scopes=["operator.read"]))

        assert {"aborted": False, "ok": True, "runIds": []} == client.call("chat.abort", {"sessionKey": "nobody"})

    def test_who_says_nothing_is_closed(self, dial: Dial, impatient: LiveGateway) -> None:
        """After the handshake's time, which the tests' variant of the gateway makes short."""
        client = dial(impatient)
        began = time.monotonic()

        assert (1008, "handshake timeout") == client.closed()
        assert time.monotonic() - began < 5

    def test_who_has_been_let_in_may_be_silent(self, dial: Dial, impatient: LiveGateway) -> None:
        """The handshake's time is over long since, and the connection lives: it gets ticks, and answers."""
        client = dial(impatient).admitted()
        ticks = [client.event("tick") for _ in range(5)]

        assert sorted(tick["ts"] for tick in ticks) == [tick["ts"] for tick in ticks]
        assert client.call("health")["ok"] is True
        assert 100 == client.hello["policy"]["tickIntervalMs"]


class TestElsewhere:
    """The WebSocket lives at ``/``, and nothing else does."""

    @pytest.mark.parametrize("path", ["/ws", "/v1/chat/completions", "/healthz", "/openapi.json", "//x"])
    def test_no_other_path_has_a_websocket(self, dial: Dial, path: str) -> None:
        """It is refused before the connection is one."""
        with pytest.raises(InvalidStatus) as failure:
            dial(path=path)
        assert 403 == failure.value.response.status_code

    @pytest.mark.parametrize("path", ["/?token=x", "/?"])
    def test_a_query_makes_no_difference(self, dial: Dial, path: str) -> None:
        """Some clients add one. It can't carry the secret."""
        assert "AUTH_TOKEN_MISSING" == refused(dial(path=path), handshake(auth={}))[0].details["code"]

    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
    @pytest.mark.parametrize("token", [TOKEN, None])
    def test_over_http_there_is_no_page(self, live: LiveGateway, method: str, token: str | None) -> None:
        """404 in OpenAI's shape, with and without a secret."""
        assert (404, "unknown_url", None) == ask(live, method, "/", token=token).summary

    def test_it_does_not_need_the_http_api(self, dial: Dial, start_gateway: Start) -> None:
        """With the endpoint switched off the WebSocket works on."""
        off: dict[str, Any] = configuration(gateway={"http": {"endpoints": {"chatCompletions": {"enabled": False}}}})
        live = start_gateway(off)

        assert "oi" == text_of(dial(live).admitted().run("oi"))
        assert 404 == ask(live, "GET", "/v1/models").status
