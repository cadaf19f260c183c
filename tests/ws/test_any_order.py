"""Whatever clients do, in whatever order: the protocol's promises hold (a stateful test of properties)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.ws.any_order import AnyOrder

ROUNDS = int(os.environ.get("ZERO_ANY_ORDER_ROUNDS", "10"))


def test_any_order_of_requests(live: LiveGateway, upstream: FakeUpstream) -> None:
    """Connections come, go and break, turns begin, repeat, end and are stopped: nothing is lost, doubled, mixed up."""

    class Played(AnyOrder):
        pass

    Played.gateway, Played.upstream = live, upstream
    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=ROUNDS,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=ROUNDS == 10,  # the same rounds in CI, others in a longer search
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert "Traceback" not in live.log
