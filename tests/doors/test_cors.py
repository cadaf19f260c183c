"""Scripts of web pages: which origins may call, what their browsers are told, and that it is off unless configured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.http.cors import EXPOSED
from tests.doors.client import CHAT, Reply, ask, chat
from tests.live_gateway import TOKEN, LiveGateway, configuration

PAGE = "https://chat.example.com"
EDITOR = "app://obsidian.md"
STRANGER = "https://evil.example.com"

# What the OpenAI Node SDK sends from a browser.
SDK_HEADERS = (
    "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout,x-zero-session-key"
)


@pytest.fixture(scope="module")
def open_to_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that two origins may call."""
    config = configuration(gateway={"http": {"cors": {"origins": [PAGE, EDITOR], "maxAgeSeconds": 60}}})
    with LiveGateway(tmp_path_factory.mktemp("cors"), config) as live:
        yield live


def preflight(gateway: LiveGateway, origin: str = PAGE, path: str = CHAT, **headers: str) -> Reply:
    """Ask what a browser asks before a script's request: without the secret."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": SDK_HEADERS}
    return ask(gateway, "OPTIONS", path, token=None, headers={**asked, **headers})


def vary(reply: Reply) -> set[str]:
    """Return what caches are told to tell answers apart by."""
    return {name.strip().lower() for key, value in reply.headers if key == "vary" for name in value.split(",")}


@pytest.mark.parametrize("origin", [PAGE, EDITOR])
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/zero:main", "/v1/nothing", "/healthz"])
def test_a_preflight_is_answered_before_authentication(open_to_pages: LiveGateway, origin: str, path: str) -> None:
    """A browser of a listed origin hears that it may ask, with all headers that an SDK sends."""
    reply = preflight(open_to_pages, origin, path)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.header("access-control-allow-origin") == origin
    assert reply.header("access-control-allow-methods") == "DELETE, GET, POST"
    assert reply.header("access-control-allow-headers") == SDK_HEADERS
    assert reply.header("access-control-max-age") == "60"
    assert reply.header("access-control-allow-credentials") is None
    assert vary(reply) == {"origin", "access-control-request-headers"}
    assert reply.header("x-request-id")


@pytest.mark.parametrize("stream", [False, True])
def test_a_page_reads_the_answer(open_to_pages: LiveGateway, stream: bool) -> None:
    """The answer names the page's origin, and the headers that its script may read."""
    reply = chat(open_to_pages, "hello", headers={"Origin": PAGE}, stream=stream)
    assert reply.status == 200
    assert reply.header("access-control-allow-origin") == PAGE
    assert reply.header("access-control-expose-headers") == ", ".join(EXPOSED)
    assert "origin" in vary(reply)


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [(None, "/v1/models", 401), ("wrong", "/v1/models", 401), ("right", "/v1/models/zero:nobody", 404)],
)
def test_a_page_reads_errors(open_to_pages: LiveGateway, token: str | None, path: str, status: int) -> None:
    """Refusals can be read as well, or the page could only say "network error"."""
    secret = TOKEN if token == "right" else token
    reply = ask(open_to_pages, "GET", path, headers={"Origin": PAGE}, token=secret)
    assert reply.summary[0] == status
    assert reply.header("access-control-allow-origin") == PAGE


@pytest.mark.parametrize(
    "origin", [STRANGER, "null", "", "http://chat.example.com", f"{PAGE}:8443", f"{PAGE}.evil.example", f"{PAGE}/"]
)
def test_an_unlisted_origin_is_told_nothing(open_to_pages: LiveGateway, origin: str) -> None:
    """Whatever isn't exactly a listed origin gets no permission, and caches know that another origin might."""
    refused = preflight(open_to_pages, origin)
    answered = chat(open_to_pages, "hello", headers={"Origin": origin})
    assert (refused.status, answered.status) == (405, 200)
    for reply in (refused, answered):
        assert not [name for name, _ in reply.headers if name.startswith("access-control-")]
        assert vary(reply) == {"origin"}


def test_two_origins_are_none(open_to_pages: LiveGateway) -> None:
    """A request with two ``Origin`` headers comes from no browser."""
    reply = ask(open_to_pages, "GET", "/v1/models", headers=[("Origin", PAGE), ("Origin", EDITOR)])
    assert (reply.status, reply.header("access-control-allow-origin")) == (200, None)


def test_options_without_a_question_is_no_preflight(open_to_pages: LiveGateway) -> None:
    """``OPTIONS`` from a script itself stays a method that the path doesn't have; the script can read so."""
    reply = ask(open_to_pages, "OPTIONS", CHAT, headers={"Origin": PAGE})
    assert reply.summary == (405, "method_not_supported", None)
    assert reply.header("access-control-allow-origin") == PAGE


@pytest.mark.parametrize("wanted", ["", "x y", "a,,b", "authorization\tx"])
def test_nonsense_is_not_repeated(open_to_pages: LiveGateway, wanted: str) -> None:
    """Only names of headers are repeated in the answer."""
    reply = preflight(open_to_pages, **{"Access-Control-Request-Headers": wanted})
    assert (reply.status, reply.header("access-control-allow-headers")) == (204, None)


def test_off_by_default(gateway: LiveGateway) -> None:
    """Without origins, no answer says anything of them, and a preflight is 405."""
    refused = preflight(gateway)
    assert refused.summary == (405, "method_not_supported", None)
    for reply in (refused, chat(gateway, "hello", headers={"Origin": PAGE})):
        assert not [name for name, _ in reply.headers if name.startswith("access-control-") or name == "vary"]


def test_the_switch_is_off_for_pages_too(tmp_path: Path) -> None:
    """While the API is off, its preflights are 404 like everything under /v1; health can still be asked."""
    config: dict[str, Any] = {
        "gateway": {"auth": {"token": "x"}, "http": {"cors": {"origins": [PAGE]}}},
        "agents": {"list": [{"id": "main", "model": "echo/echo"}]},
    }
    with LiveGateway(tmp_path, config) as live:
        reply = preflight(live)
        assert reply.status == 404
        assert "gateway.http.endpoints.chatCompletions.enabled" in reply.error["message"]
        assert reply.header("access-control-allow-origin") == PAGE
        assert preflight(live, path="/healthz").status == 204


def test_what_a_page_may_read_is_what_the_contract_has(gateway: LiveGateway) -> None:
    """Exposed is what the contract's responses declare, but for what only caches and proxies read."""
    contract = ask(gateway, "GET", "/openapi.json", token=None).json
    responses = [
        *contract["components"]["responses"].values(),
        *(
            response
            for path in contract["paths"].values()
            for operation in path.values()
            for response in operation["responses"].values()
        ),
    ]
    declared = {name.lower() for response in responses for name in response.get("headers", {})}
    assert declared - {"cache-control", "x-accel-buffering"} == {name.lower() for name in EXPOSED}


def test_the_preflight_survives_json(open_to_pages: LiveGateway) -> None:
    """What the preflight allows is what then works: the same origin, headers and method, with the secret."""
    headers = {name: "1" for name in SDK_HEADERS.split(",") if name.startswith("x-stainless")}
    reply = chat(open_to_pages, "olá", headers={"Origin": PAGE, **headers})
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "olá"
