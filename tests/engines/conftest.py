"""Gateways whose provider is the scripted upstream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.caller import Caller
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import BARE, LiveGateway

KEEPALIVE_SECONDS = 0.1


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
def quiet(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A client of a gateway that sends no keepalives in the time a test takes."""
    with LiveGateway(tmp_path_factory.mktemp("quiet"), upstream_configuration(service)) as live:
        yield Caller(live)


@pytest.fixture(scope="package")
def chatty(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A client of a gateway that sends keepalives after a tenth of a second."""
    endpoint = {"chatCompletions": {"keepaliveSeconds": KEEPALIVE_SECONDS}}
    config = upstream_configuration(service, gateway={"http": {"endpoints": endpoint}})
    with LiveGateway(tmp_path_factory.mktemp("chatty"), config) as live:
        yield Caller(live)


@pytest.fixture(scope="package")
def bare(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """As ``chatty``, but under uvicorn's own HTTP protocol, which doesn't say when a client has gone."""
    endpoint = {"chatCompletions": {"keepaliveSeconds": KEEPALIVE_SECONDS}}
    config = upstream_configuration(service, gateway={"http": {"endpoints": endpoint}})
    with LiveGateway(tmp_path_factory.mktemp("bare"), config, arguments=BARE) as live:
        yield Caller(live)
