"""Fixtures of the doors' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doors.sessions import KEY, agents
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A service that shows what agents ask it."""
    service = Upstream()
    yield service
    service.close()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[LiveGateway]:
    """A gateway whose agents are answered by ``upstream``."""
    with LiveGateway(tmp_path_factory.mktemp("sessions"), agents(upstream)) as gateway:
        yield gateway


@pytest.fixture
def key(request: pytest.FixtureRequest) -> dict[str, str]:
    """The header of a session that no other test uses."""
    return {KEY: "".join(character for character in request.node.nodeid if character.isascii() and character.isalnum())}


@pytest.fixture
def nothing_failed(gateway: LiveGateway) -> Iterator[None]:
    """For tests that no input may fail: the shared gateway logs no failure of its own meanwhile."""
    before = len(gateway.log)
    yield
    assert "Traceback" not in gateway.log[before:]
