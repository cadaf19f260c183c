"""Fixtures of the WebSocket door's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.doors.client import Reply, chat
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration
from tests.ws.client import Client
from tests.ws.process import AS_ZERO_GATEWAY


@pytest.fixture(scope="session")
def scripted() -> Iterator[FakeUpstream]:
    """A scripted upstream; tests ask for ``upstream``."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(scripted: FakeUpstream) -> FakeUpstream:
    """The scripted upstream, without what other tests told it."""
    scripted.reset()
    return scripted


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, scripted: FakeUpstream) -> Iterator[LiveGateway]:
    """A gateway whose agents ask the scripted upstream. It must not have failed at anything in the end."""
    folder, config = tmp_path_factory.mktemp("ws"), upstream_configuration(scripted)
    with LiveGateway(folder, config, arguments=AS_ZERO_GATEWAY) as gateway:
        yield gateway
        assert "Traceback" not in gateway.log, gateway.log


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with the echo engine and little patience; see ``variant``."""
    folder = tmp_path_factory.mktemp("impatient")
    variant = "tests.ws.variant:gateway"
    with LiveGateway(folder, configuration(), app=variant, arguments=AS_ZERO_GATEWAY) as gateway:
        yield gateway


@pytest.fixture
def dial(live: LiveGateway, upstream: FakeUpstream) -> Iterator[Callable[..., Client]]:
    """Open connections to ``live`` or the gateway given, with ``Client``'s options; they are closed with the test."""
    opened: list[Client] = []

    def open_one(gateway: LiveGateway = live, **options: str) -> Client:
        client = Client(gateway, **options)
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def client(dial: Callable[..., Client]) -> Client:
    """A connection that has been let in."""
    return dial().admitted()


@pytest.fixture
def http() -> Iterator[Callable[..., Future[Reply]]]:
    """Post a chat completion from a thread; takes what ``tests.doors.client.chat`` takes."""
    with ThreadPoolExecutor(8) as pool:
        yield lambda *args, **fields: pool.submit(chat, *args, **fields)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """The full key of a session of the agent ``main`` that no other test uses."""
    name = request.node.nodeid.partition("tests/")[2]
    return "agent:main:" + "".join(character for character in name.lower() if character.isalnum())
