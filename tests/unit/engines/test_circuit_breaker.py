"""When a provider is left alone, and when it is asked again."""

from __future__ import annotations

import pytest

from app.config import CircuitBreaker
from app.engines.upstream.circuit_breaker import Circuit
from app.errors import EngineFailed

SETTINGS = CircuitBreaker(failures=3, window_seconds=60, pause_seconds=30)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    """A circuit that three failures open."""
    return Circuit("p", SETTINGS, clock)


def fail(circuit: Circuit, times: int = 1, run_id: str = "run") -> None:
    """Have requests fail."""
    for _ in range(times):
        with circuit.visit(run_id) as visit:
            visit.failed()


def succeed(circuit: Circuit, run_id: str = "run") -> None:
    """Have a request succeed."""
    with circuit.visit(run_id) as visit:
        visit.succeeded()


def refusal(circuit: Circuit, run_id: str = "another") -> EngineFailed:
    """Return what a request is refused with."""
    with pytest.raises(EngineFailed) as caught:
        circuit.visit(run_id)
    return caught.value


def test_open_for_the_pause(circuit: Circuit, clock: Clock) -> None:
    """Whoever comes within the pause is told how long it lasts still."""
    fail(circuit, 3)
    clock.now += 10
    error = refusal(circuit)
    assert (503, "upstream_circuit_open", 20) == (error.status, error.code, error.retry_after)
    assert "for the next 20 s" in error.message


def test_failures_far_apart_are_not_in_a_row(circuit: Circuit, clock: Clock) -> None:
    """The first of them must lie within the window."""
    fail(circuit, 2)
    clock.now += 61
    fail(circuit, 2)
    succeed(circuit)


def test_a_success_begins_the_count_anew(circuit: Circuit) -> None:
    """Only failures in a row count."""
    for _ in range(3):
        fail(circuit, 2)
        succeed(circuit)


def test_what_nobody_knows_counts_as_nothing(circuit: Circuit) -> None:
    """A client that leaves says nothing about the provider."""
    fail(circuit, 2)
    with circuit.visit("run"):
        pass
    fail(circuit)
    refusal(circuit)


def test_one_run_on_trial(circuit: Circuit, clock: Clock) -> None:
    """After the pause one run passes with all of its requests, and no other."""
    fail(circuit, 3)
    clock.now += 30
    with circuit.visit("trial"), circuit.visit("trial") as second:
        refusal(circuit)
        second.works()
        succeed(circuit, "another")


def test_a_trial_that_fails(circuit: Circuit, clock: Clock) -> None:
    """The pause begins anew."""
    fail(circuit, 3)
    clock.now += 30
    fail(circuit)
    clock.now += 29
    assert 1 == refusal(circuit).retry_after
    clock.now += 1
    succeed(circuit)
    fail(circuit, 2)
    succeed(circuit)


def test_a_trial_whose_client_leaves(circuit: Circuit, clock: Clock) -> None:
    """The next one is on trial at once."""
    fail(circuit, 3)
    clock.now += 30
    with circuit.visit("trial"):
        pass
    succeed(circuit, "another")


def test_a_trial_that_hangs(circuit: Circuit, clock: Clock) -> None:
    """After another pause another run is on trial; the first one's silence holds nobody up."""
    fail(circuit, 3)
    clock.now += 30
    with circuit.visit("hangs"):
        refusal(circuit)
        clock.now += 30
        with circuit.visit("next") as visit:
            visit.works()
        succeed(circuit)


def test_what_began_before_says_nothing_new(circuit: Circuit, clock: Clock) -> None:
    """Requests that were under way when the circuit opened neither close it nor make it last longer."""
    with circuit.visit("one") as one, circuit.visit("two") as two:
        fail(circuit, 3)
        clock.now += 10
        one.succeeded()
        two.failed()
        assert 20 == refusal(circuit).retry_after


def test_an_answer_that_breaks_off_counts(circuit: Circuit) -> None:
    """A first word alone is no success."""
    for _ in range(3):
        with circuit.visit("run") as visit:
            visit.works()
            visit.failed()
    refusal(circuit)


def test_switched_off(clock: Clock) -> None:
    """Nothing opens it then."""
    fail(Circuit("p", CircuitBreaker(enabled=False, failures=1), clock), 10)
