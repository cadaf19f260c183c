"""Gateways that are attacked, each with limits that are soon reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import AS_ZERO_GATEWAY, LiveGateway

Start = Callable[..., LiveGateway]


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """An upstream that does what it is told."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def limited(start_gateway: Start, upstream: FakeUpstream) -> Start:
    """Start a gateway before that upstream, with the given ``gateway.limits``."""

    def start(**limits: Any) -> LiveGateway:
        return start_gateway(upstream_configuration(upstream, gateway={"limits": limits}), arguments=AS_ZERO_GATEWAY)

    return start
