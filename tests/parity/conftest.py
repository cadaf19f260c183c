"""Fixtures of the doors' comparison: one gateway, one scripted upstream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.client import Client


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
    """A gateway whose agents ask the scripted upstream."""
    with LiveGateway(tmp_path_factory.mktemp("parity"), upstream_configuration(scripted)) as gateway:
        yield gateway


@pytest.fixture
def watcher(live: LiveGateway) -> Iterator[Client]:
    """A WebSocket connection that looks at what the doors left behind."""
    with Client(live) as client:
        yield client.admitted()
