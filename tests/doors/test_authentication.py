"""design.md, "Authentication": one secret, asked for before anything else, and no way to forget it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar.types import Message, Scope

from app.application import Gateway
from app.config import load
from tests.doors.client import CHAT, Reply, ask, chat, parsed, raw
from tests.doors.refusal import refusal
from tests.live_gateway import TOKEN, LiveGateway, configuration

Start = Callable[..., LiveGateway]


def auth(**values: Any) -> dict[str, Any]:
    """Return a configuration whose ``gateway.auth`` is exactly ``values``."""
    config = configuration()
    config["gateway"]["auth"] = values
    return config


def authorized(gateway: LiveGateway, *values: str | bytes) -> Reply:
    """Ask for the models with these ``Authorization`` headers."""
    return ask(gateway, "GET", "/v1/models", token=None, headers=[("Authorization", value) for value in values])


class TestCredentials:
    """What a client may send, and what not."""

    @pytest.mark.parametrize(
        "value",
        [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER {TOKEN}", f"bEaReR {TOKEN}", f"Bearer   {TOKEN}",
         f"Bearer {TOKEN}   ", f"   Bearer {TOKEN}", f"Bearer \t{TOKEN}\t"],
    )  # fmt: skip
    def test_the_secret_in_any_spelling_of_the_scheme_opens(self, gateway: LiveGateway, value: str) -> None:
        """The scheme's case and blanks around the secret don't matter."""
        assert authorized(gateway, value).status == 200

    @pytest.mark.parametrize(
        "value",
        ["", " ", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer x{TOKEN}",
         f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN},", f'Bearer "{TOKEN}"', TOKEN,
         f"Basic {TOKEN}", "Basic OnRlc3QtdG9rZW4tMDEyMzQ1Njc4OQ==", f"Token {TOKEN}", f"Bearer{TOKEN}",
         f"Bearer: {TOKEN}", f"Bearer Bearer {TOKEN}", "Bearer null", "Bearer undefined", "Bearer None", "Bearer *",
         b"Bearer \xff\xfe\x80", "Bearer tökén".encode(), "Bearer tökén".encode("latin-1"),
         b"\xc3\xa9 " + TOKEN.encode(), "Bearer " + "x" * 50_000, "Bearer " + TOKEN * 1000],
    )  # fmt: skip
    def test_anything_else_is_401(self, gateway: LiveGateway, value: str | bytes) -> None:
        """Whatever is not the secret is refused with 401, never with a failure of the gateway."""
        assert authorized(gateway, value).summary == (401, "invalid_api_key", None)

    def test_none_at_all_is_401(self, gateway: LiveGateway) -> None:
        """No header, no entry."""
        assert authorized(gateway).summary == (401, "invalid_api_key", None)

    @pytest.mark.parametrize("second", ["Bearer wrong", f"Bearer {TOKEN}"])
    def test_two_headers_are_401(self, gateway: LiveGateway, second: str) -> None:
        """Two headers could mean different things to a proxy and to us, so neither counts."""
        assert authorized(gateway, f"Bearer {TOKEN}", second).status == 401
        assert authorized(gateway, second, f"Bearer {TOKEN}").status == 401

    @pytest.mark.parametrize("place", ["/v1/models?api_key={}", "/v1/models?access_token={}", "/v1/models?token={}"])
    def test_the_secret_in_the_url_does_not_count(self, gateway: LiveGateway, place: str) -> None:
        """URLs end up in logs; a secret there opens nothing."""
        assert ask(gateway, "GET", place.format(TOKEN), token=None).status == 401

    @pytest.mark.parametrize("name", ["api-key", "x-api-key", "Proxy-Authorization", "X-Authorization", "Cookie"])
    def test_the_secret_in_another_header_does_not_count(self, gateway: LiveGateway, name: str) -> None:
        """Only ``Authorization`` is looked at."""
        assert ask(gateway, "GET", "/v1/models", token=None, headers={name: f"Bearer {TOKEN}"}).status == 401

    @pytest.mark.parametrize("value", [(), (b"Bearer wrong",)])
    def test_the_refusal_is_in_openai_s_shape(self, gateway: LiveGateway, value: tuple[bytes, ...]) -> None:
        """401 comes with the scheme to use, all four keys, and doesn't say what was wrong or repeat a secret."""
        reply = authorized(gateway, *value)
        assert reply.header("www-authenticate") == "Bearer"
        assert reply.error["type"] == "invalid_request_error"
        assert reply.error == authorized(gateway, b"Basic x").error
        assert TOKEN not in reply.body.decode()
        assert not [name for name, _ in reply.headers if name.startswith("x-zero-")]

    @pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/zero"])
    def test_every_operation_of_the_api_asks(self, gateway: LiveGateway, path: str) -> None:
        """No operation under /v1 answers without the secret."""
        method = "POST" if path == CHAT else "GET"
        assert ask(gateway, method, path, token=None).status == 401
        assert ask(gateway, method, path, token="wrong").status == 401

    def test_secrets_stay_out_of_the_log(self, gateway: LiveGateway) -> None:
        """Neither the gateway's secret nor a wrong one is written down."""
        authorized(gateway, f"Bearer {TOKEN}")
        authorized(gateway, b"Bearer somebody-elses-secret")
        assert TOKEN not in gateway.log
        assert "somebody-elses-secret" not in gateway.log


class TestBeforeTheBody:
    """A stranger's body isn't read, however it is announced."""

    @pytest.mark.parametrize(
        "headers", ["Content-Length: 1000000", "Transfer-Encoding: chunked", "Content-Length: 99999999999999"]
    )
    def test_the_refusal_does_not_wait_for_it(self, gateway: LiveGateway, headers: str) -> None:
        """With headers alone, the answer is there, though the announced body never comes."""
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}"
        assert parsed(raw(gateway, f"{head}\r\n\r\n".encode())).summary == (401, "invalid_api_key", None)

    def test_it_is_not_asked_for(self, gateway: LiveGateway) -> None:
        """A client that asks first (Expect: 100-continue) is refused at once and not told to continue."""
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue"
        assert raw(gateway, f"{head}\r\n\r\n".encode()).startswith(b"HTTP/1.1 401 ")

    @pytest.mark.parametrize("body", [b"", b"{", b"x" * 100_000])
    def test_it_comes_before_any_word_about_the_body(self, gateway: LiveGateway, body: bytes) -> None:
        """A wrong body and a wrong content type are nobody's business who has no secret."""
        assert ask(gateway, "POST", CHAT, token=None, headers={"Content-Type": "text/plain"}, body=body).status == 401


class TestSources:
    """Where the secret comes from."""

    @pytest.mark.parametrize(
        ("values", "environ", "secret"),
        [
            ({"token": "from-file"}, {}, "from-file"),
            ({"mode": "token", "token": "from-file"}, {}, "from-file"),
            ({}, {"ZERO_GATEWAY_TOKEN": "from-environment"}, "from-environment"),
            ({"mode": "token"}, {"ZERO_GATEWAY_TOKEN": "from-environment\n"}, "from-environment"),
            ({"token": "from-file"}, {"ZERO_GATEWAY_TOKEN": "from-environment"}, "from-file"),
            ({"token": "${ELSEWHERE}"}, {"ELSEWHERE": "substituted"}, "substituted"),
            ({"mode": "password", "password": "from-file"}, {}, "from-file"),
            ({"mode": "password"}, {"ZERO_GATEWAY_PASSWORD": "from-environment"}, "from-environment"),
            ({"mode": "password", "password": "from-file"}, {"ZERO_GATEWAY_PASSWORD": "other"}, "from-file"),
            ({"mode": "password", "password": "p", "token": "t"}, {"ZERO_GATEWAY_TOKEN": "e"}, "p"),
            ({"mode": "password", "password": "vier Wörter mit Blanks"}, {}, "vier Wörter mit Blanks"),
        ],
    )
    def test_the_file_wins_over_the_environment_and_the_mode_decides(
        self, start_gateway: Start, values: dict[str, Any], environ: dict[str, str], secret: str
    ) -> None:
        """Exactly the secret of the mode opens: the file's, else the environment's; every other one is refused."""
        live = start_gateway(auth(**values), environ=environ)
        assert authorized(live, f"Bearer {secret}".encode()).status == 200
        others = {*values.values(), *environ.values(), "token", "password"} - {secret, f"{secret}\n"}
        assert {authorized(live, f"Bearer {other}".encode()).status for other in others} == {401}


class TestFailClosed:
    """There is no configuration in which a forgotten secret leaves the API open."""

    @pytest.mark.parametrize(
        ("values", "environ", "named"),
        [
            ({}, {}, ("gateway.auth.token", "ZERO_GATEWAY_TOKEN")),
            ({}, {"ZERO_GATEWAY_TOKEN": ""}, ("gateway.auth.token", "ZERO_GATEWAY_TOKEN")),
            ({}, {"ZERO_GATEWAY_TOKEN": " \n"}, ("gateway.auth.token", "ZERO_GATEWAY_TOKEN")),
            ({"password": "p"}, {"ZERO_GATEWAY_PASSWORD": "p"}, ("gateway.auth.token", "ZERO_GATEWAY_TOKEN")),
            ({"token": ""}, {"ZERO_GATEWAY_TOKEN": "t"}, ("gateway.auth.token",)),
            ({"token": "  "}, {}, ("gateway.auth.token",)),
            ({"token": None, "mode": "token"}, {}, ("gateway.auth.token", "ZERO_GATEWAY_TOKEN")),
            ({"token": "${NOT_SET}"}, {}, ("gateway.auth.token", "NOT_SET")),
            ({"mode": "password", "token": "t"}, {}, ("gateway.auth.password", "ZERO_GATEWAY_PASSWORD")),
            ({"mode": "open"}, {}, ("gateway.auth.mode",)),
            ({"mode": None}, {"ZERO_GATEWAY_TOKEN": "t"}, ("gateway.auth.mode",)),
        ],
    )
    def test_without_its_secret_the_gateway_does_not_start(
        self, tmp_path: Path, values: dict[str, Any], environ: dict[str, str], named: tuple[str, ...]
    ) -> None:
        """A mode without its secret ends the start with one sentence that says what to set."""
        said = refusal(tmp_path, json.dumps(auth(**values)), environ)
        assert said.startswith("zero: ")
        assert all(name in said for name in named)

    @pytest.mark.parametrize("bind", ["lan", "0.0.0.0", "::", "192.0.2.1"])
    def test_mode_none_with_an_open_bind_does_not_start(self, tmp_path: Path, bind: str) -> None:
        """Mode none goes together with a loopback bind only."""
        config = auth(mode="none")
        config["gateway"]["bind"] = bind
        said = refusal(tmp_path, json.dumps(config))
        assert "gateway.auth.mode" in said
        assert "gateway.bind" in said

    def test_mode_none_serves_loopback(self, start_gateway: Start) -> None:
        """With mode none on loopback, no secret is asked for, and a sent one is no mistake."""
        live = start_gateway(auth(mode="none"))
        assert chat(live, "hello", token=None).text == "hello"
        assert chat(live, "hello", token="whatever").text == "hello"

    def test_mode_none_refuses_what_comes_in_from_outside(self, start_gateway: Start) -> None:
        """Bound wider than the configuration knows, mode none still serves loopback connections only."""
        live = start_gateway(auth(mode="none"), arguments=["--host", "0.0.0.0"])
        assert ask(live, "GET", "/v1/models", token=None).status == 200
        for host in outer_addresses():
            reply = ask(live, "GET", "/v1/models", token=None, host=host, headers={"Host": "127.0.0.1"})
            assert reply.summary == (403, "permission_denied", None)
            assert ask(live, "GET", "/healthz", token=None, host=host).status == 200

    def test_mode_none_refuses_a_rebound_web_page(self, start_gateway: Start) -> None:
        """A page whose host name was made to mean 127.0.0.1 reaches nothing but the public paths."""
        live = start_gateway(auth(mode="none"))
        rebound = {"Host": "evil.example:18789", "Origin": "http://evil.example:18789"}
        assert ask(live, "GET", "/v1/models", token=None, headers=rebound).summary == (403, "permission_denied", None)
        assert ask(live, "GET", "/v1/models", token=None, headers={"Host": "localhost:1"}).status == 200
        assert ask(live, "GET", "/healthz", token=None, headers=rebound).status == 200

    @pytest.mark.parametrize(
        ("server", "status"),
        [(("127.0.0.1", 80), 200), (("::1", 80), 200), (("::ffff:127.0.0.1", 80), 200), (("192.0.2.7", 80), 403),
         (("2001:db8::7", 80), 403), (("0.0.0.0", 80), 403), (("localhost", 80), 403), (None, 200)],
    )  # fmt: skip
    def test_the_address_of_the_connection_decides(
        self, tmp_path: Path, server: tuple[str, int] | None, status: int
    ) -> None:
        """In mode none, the address that the connection was accepted on decides, whatever this machine has."""
        file = tmp_path / "zero.json"
        file.write_text(json.dumps(auth(mode="none")))
        assert status_on(Gateway(load(file, {}), {"HOME": str(tmp_path)}), server) == status


def outer_addresses() -> list[str]:
    """Return this machine's own address towards other machines, if it has one; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def status_on(gateway: Gateway, server: tuple[str, int] | None) -> int:
    """Return the status with which the application answers a request accepted on an address."""
    sent: list[Message] = []
    scope: Any = {
        "type": "http", "method": "GET", "path": "/v1/models", "raw_path": b"/v1/models", "query_string": b"",
        "root_path": "", "scheme": "http", "http_version": "1.1", "headers": [], "client": ("127.0.0.1", 5),
        "server": server, "state": {}, "extensions": {}, "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def answer(asked: Scope) -> None:
        await gateway.app(asked, receive, send)

    asyncio.run(answer(scope))
    first: Any = sent[0]
    status: int = first["status"]
    return status
