"""Contract and handlers match, or nothing starts."""

from __future__ import annotations

import pytest
from litestar.types import Receive, Scope, Send

from app.contract import document
from app.contract.binding import OPERATIONS as BY_PATH
from app.contract.binding import ContractMismatchError, bind
from app.contract.path_group import PathGroup


async def handler(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing."""


OPERATIONS = document.load().operations
HANDLERS = {operation.id: handler for operation in OPERATIONS}


GROUP = "/v1/zero/sessions/"


def test_every_operation_becomes_a_route() -> None:
    """One route per path, under the contract's own path, but for those that one route has together."""
    routes = bind(OPERATIONS, HANDLERS)
    stems = {operation.path.partition("{")[0] for operation in OPERATIONS}

    assert {GROUP if stem.startswith(GROUP) else stem for stem in stems} == {
        path.partition("{")[0] for route in routes for path in route.paths
    }


@pytest.mark.parametrize(
    ("path", "operations", "parameters"),
    [
        (b"/v1/zero/sessions/export", {"exportSessions"}, {}),
        (b"/v1//zero/%73essions/export/", {"exportSessions"}, {}),
        (b"/v1/zero/sessions/export/export", {"exportSession"}, {"key": "export"}),
        (b"/v1/zero/sessions/a", {"retrieveSession", "deleteSession"}, {"key": "a"}),
        (b"/v1/zero/sessions/a%2Fb%252F:%20", {"retrieveSession", "deleteSession"}, {"key": "a/b%2F: "}),
        (b"/v1/zero/sessions/%2F/branches/b/restore", {"restoreSessionBranch"}, {"key": "/", "branch": "b"}),
    ],
)
def test_a_group_is_told_apart_by_the_urls_own_bytes(
    path: bytes, operations: set[str], parameters: dict[str, str]
) -> None:
    """A parameter is one segment, decoded once; what a path says itself comes before a parameter."""
    (route,) = (route for route in bind(OPERATIONS, HANDLERS) if isinstance(route.opt[BY_PATH], PathGroup))
    place = route.opt[BY_PATH].find(path)

    assert place is not None
    assert operations == {operation.id for operation in place.operations.values()}
    assert parameters == place.parameters
    for wrong in (b"/v1/zero/sessions", b"/v1/zero/sessions/a/b", b"/v2/zero/sessions/a", b"/"):
        assert route.opt[BY_PATH].find(wrong) is None


def test_an_operation_without_a_handler_stops_the_start() -> None:
    """And is named."""
    handlers = {name: one for name, one in HANDLERS.items() if name != "listModels"}

    with pytest.raises(ContractMismatchError, match=r"no handler for \['listModels'\]"):
        bind(OPERATIONS, handlers)


def test_a_handler_without_an_operation_stops_the_start() -> None:
    """And is named."""
    with pytest.raises(ContractMismatchError, match=r"no operation for \['inventModels'\]"):
        bind(OPERATIONS, {**HANDLERS, "inventModels": handler})
