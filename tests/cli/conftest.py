"""Fixtures of the command line's tests: a gateway in front of a service that says what a test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway


@pytest.fixture(scope="session")
def service() -> Iterator[FakeUpstream]:
    """The service behind the agents of ``live``."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, service: FakeUpstream) -> Iterator[LiveGateway]:
    """The gateway of ``live``."""
    with LiveGateway(tmp_path_factory.mktemp("cli"), upstream_configuration(service)) as gateway:
        yield gateway


@pytest.fixture
def live(served: LiveGateway, service: FakeUpstream) -> LiveGateway:
    """A gateway whose agents are answered by ``service``, which has forgotten earlier tests."""
    service.reset()
    return served
