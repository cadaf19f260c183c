"""A script of a web page calls the gateway from another origin, in a real browser, through OpenAI's Node SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from app.http.cors import EXPOSED
from tests.applications.browser import drive
from tests.applications.web_page import WebPage
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.npm import OPENAI

SCRIPT: Final = Path(__file__).with_name("web_page.mjs")


@pytest.fixture(scope="module")
def page() -> Iterator[WebPage]:
    """The page's server."""
    with WebPage() as server:
        yield server


@pytest.fixture(scope="module")
def service() -> Iterator[FakeUpstream]:
    """The scripted upstream."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """The scripted upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="module")
def gateway(page: WebPage, service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that the page may call as ``localhost``, and not under its other name."""
    settings = {
        "cors": {"origins": [page.origin()]},
        "endpoints": {"chatCompletions": {"sessionHeaders": ["X-Conversation-Id"], "strictModel": True}},
    }
    config = upstream_configuration(service, gateway={"http": settings})
    with LiveGateway(tmp_path_factory.mktemp("page"), config) as live:
        yield live


@pytest.fixture(scope="module")
def open_gateway(
    page: WebPage, service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """A gateway without a secret and without a word about pages."""
    config = upstream_configuration(service)
    config["gateway"]["auth"] = {"mode": "none"}
    with LiveGateway(tmp_path_factory.mktemp("open"), config) as live:
        yield live


def run(scenario: str, page: str, gateway: LiveGateway, **settings: Any) -> Any:
    """Run a scenario of web_page.mjs in a browser."""
    given = {"page": page, "scenario": scenario, "baseURL": f"{gateway.url}/v1", "apiKey": gateway.token, **settings}
    return drive(SCRIPT, given)


@pytest.mark.parametrize("sdk", OPENAI)
def test_a_page_asks(page: WebPage, gateway: LiveGateway, upstream: FakeUpstream, sdk: str) -> None:
    """A page of a listed origin lists the agents, gets an answer, and reads the headers; its own ones arrive."""
    headers = {"X-Conversation-Id": f"page-{sdk}", "x-zero-agent": "main", "x-zero-history": "full"}
    found = run("ask", page.origin(), gateway, sdk=sdk, headers=headers)
    assert ("zero", "zero:main", "Hello, wörld") == (found["models"][0], found["one"], found["text"])
    readable = found["readable"]
    assert found["request"] == readable["x-request-id"]
    assert f"agent:main:page-{sdk}" == readable["x-zero-session-key"]
    assert {"x-zero-run-id", "x-zero-agent-id", "openai-processing-ms"} <= set(readable)
    assert set(readable) <= {name.lower() for name in EXPOSED} | {"content-type", "content-length"}


@pytest.mark.parametrize("sdk", OPENAI)
def test_a_page_reads_a_stream(page: WebPage, gateway: LiveGateway, upstream: FakeUpstream, sdk: str) -> None:
    """The first word of a stream is at the page while the model still thinks about the second."""
    said: list[str] = []

    def told(what: str) -> None:
        said.append(what)
        upstream.last.release()

    page.told = told
    first, *rest = words("Hello,", " you")
    upstream.play(stream(first, rest[0], Pause(), *rest[1:]))
    assert ["Hello,", " you"] == run("stream", page.origin(), gateway, sdk=sdk)
    assert ["first"] == said


def test_a_page_leaves(page: WebPage, gateway: LiveGateway, upstream: FakeUpstream) -> None:
    """A script that aborts a stream stops the work behind it."""
    upstream.play(stream(*words("Hello,")[:2], Pause()))
    page.told = lambda _: upstream.last.wait_closed()
    assert run("leave", page.origin(), gateway, sdk=OPENAI[-1])
    assert upstream.last.closed.is_set()


@pytest.mark.parametrize(
    ("key", "model", "expected"),
    [
        ("wrong", "zero", ("AuthenticationError", 401, "invalid_api_key")),
        (None, "gpt-nobody", ("NotFoundError", 404, "model_not_found")),
    ],
)
def test_a_page_reads_an_error(
    page: WebPage, gateway: LiveGateway, upstream: FakeUpstream, key: str | None, model: str, expected: tuple[Any, ...]
) -> None:
    """A refusal comes with its kind, its code and its request id, not as a network error."""
    error = run("fail", page.origin(), gateway, sdk=OPENAI[-1], model=model, apiKey=key or gateway.token)
    assert expected == (error["kind"], error["status"], error["code"])
    assert error["request"].startswith("req_")
    assert [] == upstream.exchanges


def test_a_foreign_page(page: WebPage, gateway: LiveGateway, upstream: FakeUpstream) -> None:
    """A page of an origin that isn't listed gets nothing but a network error, with the right secret too."""
    error = run("fail", page.origin("127.0.0.1"), gateway, sdk=OPENAI[-1], model="zero")
    assert ("APIConnectionError", None) == (error["kind"], error["status"])
    assert [] == upstream.exchanges


def test_a_foreign_page_without_a_secret(page: WebPage, open_gateway: LiveGateway, upstream: FakeUpstream) -> None:
    """What a browser sends for any page unasked makes a gateway in mode none do nothing."""
    assert {"sent": 4, "refused": True} == run("blind", page.origin(), open_gateway)
    error = run("fail", page.origin(), open_gateway, sdk=OPENAI[-1], model="zero")
    assert ("APIConnectionError", None) == (error["kind"], error["status"])
    assert [] == upstream.exchanges
