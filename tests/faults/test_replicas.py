"""Gateways under SIGKILL with clients that abort and retry: no turn is lost, doubled or out of order, no lane is stuck.

``ZERO_FAULT_SECONDS`` says how long, for each store; without it two minutes. Two of three replicas count as machines of
their own, whose death nobody sees; the third is seen to be dead by its next process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.faults.fault_trial import SESSIONS, held
from tests.sessions.place import PostgresqlPlace, SqlitePlace
from tests.sessions.postgresql_server import PASSWORD

SECONDS: Final = float(os.environ.get("ZERO_FAULT_SECONDS", "120"))


# One store after the other: two trials at once on two processors leave the gateways little life between their starts,
# and put them under a fraction of the pressure.
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_killed_while_clients_retry(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three replicas on one PostgreSQL, or one process on SQLite, killed again and again, keep what they told."""
    place: PostgresqlPlace | SqlitePlace
    if kind == "sqlite":
        place = SqlitePlace(tmp_path / "replica-0" / "state" / "sessions.sqlite3")
    else:
        place = request.getfixturevalue("database")
    trial = held(place, tmp_path, SECONDS)
    counts = trial.counts
    interrupted = place.execute("SELECT count(*) FROM interrupted_runs")[0][0]
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: {SECONDS:g} s, {interrupted} runs recorded as interrupted, {trial.summary()}\n")
    assert trial.last < trial.limit, "no lane is stuck"
    assert [] == [name for name in counts if name.startswith("4") and not name.startswith("429")]
    assert counts["answered"] > SESSIONS
    assert counts["replayed"] > 0
    assert counts["answered by key, asked more than once"] > 0
    assert interrupted > 0
    left = "SELECT count(*) FROM messages JOIN interrupted_runs USING (session_key, run_id)"
    assert [(0,)] == place.execute(left), "what was interrupted has left nothing"
    assert trial.kills > SECONDS / 10
    for log in trial.logs:
        assert "Traceback" not in log
        assert PASSWORD not in log
    if isinstance(place, PostgresqlPlace):
        assert [(0,)] == place.execute("SELECT count(*) FROM turns")
    else:
        assert [] == [path.name for path in place.path.parent.iterdir() if "-runs-" in path.name], "no run is left open"
