"""Which connections are served when there are too many."""

from __future__ import annotations

from app.config import Limits
from app.http.admission import RESERVED, Admission, admission_of


class Someone:
    """A connection that can be dropped."""

    dropped = False

    def drop(self) -> None:
        """Note it."""
        self.dropped = True


def test_there_is_room_below_the_limit() -> None:
    """The last place, too."""
    assert Admission(Limits(max_connections=2)).admit(1) is True


def test_the_longest_silent_gives_way() -> None:
    """Not one that has begun to ask; and the place is taken then."""
    admission = Admission(Limits(max_connections=3))
    busy, first, second = Someone(), Someone(), Someone()
    for one in (busy, first, second):
        admission.idle(one)
    admission.busy(busy)

    assert admission.admit(3) is True
    assert (False, True, False) == (busy.dropped, first.dropped, second.dropped)


def test_beyond_it_there_are_places_for_probes_and_then_none() -> None:
    """When nobody can give way."""
    admission = Admission(Limits(max_connections=3))

    assert [False, False, None] == [admission.admit(others) for others in (3, 3 + RESERVED - 1, 3 + RESERVED)]


def test_there_are_no_more_than_descriptors_allow() -> None:
    """Two for each client, and some for the probes and the process; what is configured is never raised."""
    limits = []
    for descriptors in (0, 256, 1024, 1_000_000):
        admission = Admission(Limits(max_connections=5_000))
        admission.fit(descriptors)
        limits.append(admission.limits.max_connections)

    assert [16, 64, 448, 5_000] == limits


def test_it_is_found_within_what_a_server_wraps() -> None:
    """uvicorn's wrappers call what is in them ``app``; an application without any gets the defaults."""

    class Wrapped:
        def __init__(self, app: object) -> None:
            self.app = app

    class Gateway:
        admission = Admission(Limits(max_connections=7))

    assert 7 == admission_of(Wrapped(Wrapped(Gateway()))).limits.max_connections
    assert Limits() == admission_of(Wrapped(object())).limits
