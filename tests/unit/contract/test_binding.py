"""Contract and handlers match, or nothing starts."""

from __future__ import annotations

import pytest
from litestar.types import Receive, Scope, Send

from app.contract import document
from app.contract.binding import ContractMismatchError, bind


async def handler(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing."""


OPERATIONS = document.load().operations
HANDLERS = {operation.id: handler for operation in OPERATIONS}


def test_every_operation_becomes_a_route() -> None:
    """One route per path, under the contract's own path."""
    routes = bind(OPERATIONS, HANDLERS)

    assert {operation.path.partition("{")[0] for operation in OPERATIONS} == {
        path.partition("{")[0] for route in routes for path in route.paths
    }


def test_an_operation_without_a_handler_stops_the_start() -> None:
    """And is named."""
    handlers = {name: one for name, one in HANDLERS.items() if name != "listModels"}

    with pytest.raises(ContractMismatchError, match=r"no handler for \['listModels'\]"):
        bind(OPERATIONS, handlers)


def test_a_handler_without_an_operation_stops_the_start() -> None:
    """And is named."""
    with pytest.raises(ContractMismatchError, match=r"no operation for \['inventModels'\]"):
        bind(OPERATIONS, {**HANDLERS, "inventModels": handler})
