"""Gateways that are attacked, each with limits that are soon reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.process import AS_ZERO_GATEWAY

Start = Callable[..., LiveGateway]


@pytest.fixture(scope="package")
def service() -> Iterator[FakeUpstream]:
    """An upstream that does what it is told."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """That upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="package")
def limited(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a gateway before that upstream, with the given ``gateway.limits``; tests of the same limits share it."""
    with ExitStack() as stack:
        started: dict[str, LiveGateway] = {}

        def start(**limits: Any) -> LiveGateway:
            name = json.dumps(limits, sort_keys=True)
            if name not in started:
                config = upstream_configuration(service, gateway={"limits": limits})
                live = LiveGateway(tmp_path_factory.mktemp("limited"), config, arguments=AS_ZERO_GATEWAY)
                started[name] = stack.enter_context(live)
            return started[name]

        yield start
