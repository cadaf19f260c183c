"""A gateway with the scripted upstream and the echo engine, for real clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway


@pytest.fixture(scope="package")
def service() -> Iterator[FakeUpstream]:
    """The scripted upstream that all tests share."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """The scripted upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="package")
def live(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """The gateway; its agent ``echo`` echoes, the others ask the scripted upstream."""
    with LiveGateway(tmp_path_factory.mktemp("clients"), upstream_configuration(service)) as gateway:
        yield gateway
