"""Fixtures of the security tests: ``zero gateway`` in front of a service that plays what a test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.security.secrets_in_use import GATEWAY_TOKEN, with_secrets
from tests.security.served import ServedGateway

CONSOLE = {"logs": {"format": "console"}}
"""The form in which lines of the log could be forged."""


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
def served(tmp_path_factory: pytest.TempPathFactory, scripted: FakeUpstream) -> Iterator[LiveGateway]:
    """A gateway whose agents ask the scripted upstream."""
    with ServedGateway(tmp_path_factory.mktemp("served"), upstream_configuration(scripted, gateway=CONSOLE)) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def secretive(tmp_path_factory: pytest.TempPathFactory, scripted: FakeUpstream) -> Iterator[LiveGateway]:
    """A gateway with a secret wherever one can be."""
    config, environ = with_secrets(scripted)
    with ServedGateway(tmp_path_factory.mktemp("secretive"), config, environ=environ) as gateway:
        gateway.token = GATEWAY_TOKEN
        yield gateway
