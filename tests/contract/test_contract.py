"""The gateway keeps its contract, as far as schemathesis can tell."""

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.contract.gateways import SUBJECTS
from tests.contract.run import CHAT, Verdict, run
from tests.contract.stored_sessions import KEY
from tests.live_gateway import LiveGateway

EVENTS = "text/event-stream"
MAX_EXAMPLES = 40


@pytest.fixture(scope="module", params=sorted(SUBJECTS))
def subject(request: pytest.FixtureRequest) -> str:
    """The name of a gateway to be tested."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def verdict(subject: str, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """What a whole run with every phase and check found, shared by the tests about it."""
    folder: Path = tmp_path_factory.mktemp(subject)
    with LiveGateway(folder, SUBJECTS[subject].configuration(), app=SUBJECTS[subject].app) as gateway:
        return run(gateway.url, gateway.token, folder, max_examples=MAX_EXAMPLES)


def test_nothing_is_found(verdict: Verdict) -> None:
    """Schemathesis finds no failure, no error and no reason for a warning."""
    assert verdict.clean, str(verdict)


def test_the_run_had_substance(verdict: Verdict) -> None:
    """Requests were accepted whole and streamed, refused for every reason there is, and there were many of them."""
    reached = {
        "cases": verdict.cases,
        "whole answers": verdict.count(200),
        "streams": verdict.count(200, media_type=EVENTS),
        "invalid requests": verdict.count(400),
        "without credentials": verdict.count(401),
        "other methods": verdict.count(405),
        "other bodies": verdict.count(415),
    }
    least = {
        "cases": 1800,
        "whole answers": 200,
        "streams": 20,
        "invalid requests": 800,
        "without credentials": 1,
        "other methods": 4,
        "other bodies": 1,
    }
    assert [] == [f"{what}: {reached[what]} < {number}" for what, number in least.items() if reached[what] < number]


def test_every_operation_was_answered(verdict: Verdict) -> None:
    """No operation of the contract was left out."""
    paths = {answer.path for answer in verdict.answers if answer.status == 200}
    assert {
        CHAT,
        "/v1/models",
        "/v1/models/zero",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/openapi.yaml",
        "/docs",
    } <= paths
    shown = f"/v1/zero/sessions/{quote(KEY, safe='')}"
    assert {"/v1/zero/sessions", "/v1/zero/sessions/export", "/v1/zero/sessions/import", shown} <= paths
    assert {f"{shown}/{below}" for below in ("messages", "export", "reset", "branches")} <= paths
    assert [path for path in paths if path.startswith(f"{shown}/branches/") and path.endswith("/restore")]


def test_unknown_names_are_404_where_there_are_any(subject: str, verdict: Verdict) -> None:
    """The real gateway was asked for agents that it hasn't; the one that knows every name never said 404 in a chat."""
    assert (subject == "real") == (verdict.count(404) > 0)
