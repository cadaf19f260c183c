"""The contract suite notices: every broken gateway turns it red, and for the reason it is broken.

Two gateways are tested at a time, ahead of the tests that ask for the verdicts.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.gateways import REAL
from tests.contract.mutants import MUTANTS, Effort
from tests.contract.run import Verdict, run
from tests.live_gateway import LiveGateway

AT_A_TIME = 2
MAX_EXAMPLES = 10
CONTROLS = {effort.phases[0] + "".join(effort.operations): effort for effort in (m.effort for m in MUTANTS.values())}

Judge = Callable[[str, Effort], Verdict]


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Verdict]]]:
    """The verdicts on all broken gateways that the tests of this run ask for, by name, as they come."""
    asked = {item.name for item in request.session.items}
    chosen = [name for name in sorted(MUTANTS) if f"{test_mutant_is_caught.__name__}[{name}]" in asked]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            name: pool.submit(
                _judge, tmp_path_factory.mktemp(name), f"tests.contract.mutants:{name}", MUTANTS[name].effort
            )
            for name in chosen
        }


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_mutant_is_caught(mutant: str, verdicts: dict[str, Future[Verdict]]) -> None:
    """A gateway with one fault fails the checks that are there for it, and schemathesis says so with its exit code."""
    verdict = verdicts[mutant].result()
    assert MUTANTS[mutant].caught_by <= verdict.failed_checks, str(verdict)
    assert 1 == verdict.exit_code


@pytest.mark.parametrize("effort", sorted(CONTROLS))
def test_the_gateway_without_a_fault_passes(effort: str, tmp_path: Path) -> None:
    """Under the settings that the broken ones are judged by, the real one is clean: it is the fault that is caught."""
    verdict = _judge(tmp_path, REAL.app, CONTROLS[effort])
    assert verdict.clean, str(verdict)


def _judge(folder: Path, app: str, effort: Effort) -> Verdict:
    with LiveGateway(folder, REAL.configuration(), app=app) as gateway:
        return run(
            gateway.url,
            gateway.token,
            folder,
            max_examples=MAX_EXAMPLES,
            phases=effort.phases,
            operations=effort.operations,
        )
