"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live_gateway import LiveGateway, configuration


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A live gateway with the echo engine, shared by all tests that don't change it."""
    with LiveGateway(tmp_path_factory.mktemp("gateway"), configuration()) as live:
        yield live


@pytest.fixture
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveGateway]]:
    """Start gateways of a test's own; they stop with the test.

    The function takes a configuration (default: ``configuration()``) and ``LiveGateway``'s keyword arguments.
    """
    started: list[LiveGateway] = []

    def start(config: dict[str, Any] | None = None, **options: Any) -> LiveGateway:
        live = LiveGateway(tmp_path_factory.mktemp("gateway"), configuration() if config is None else config, **options)
        started.append(live)
        return live

    yield start
    for live in started:
        live.stop()
