"""A PostgreSQL server that has halted: it takes connections in and answers nobody."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.doors.client import ask, post
from tests.live_gateway import LiveGateway, configuration
from tests.sessions.place import PostgresqlPlace

AT_MOST = 7.0
PROBES = 24


def test_readiness_is_told_within_seconds(database: PostgresqlPlace, tmp_path: Path) -> None:
    """/readyz is 503 after 5 s, however many ask; /healthz is at once; with the answers all is well again."""
    with LiveGateway(tmp_path, configuration(session={"store": database.setting})) as live:
        assert 200 == ask(live, "GET", "/readyz").status
        with database.server.silent():
            began = time.monotonic()
            with ThreadPoolExecutor(PROBES) as pool:
                ready = [pool.submit(ask, live, "GET", "/readyz") for _ in range(PROBES)]
                assert 200 == ask(live, "GET", "/healthz").status
                assert time.monotonic() - began < AT_MOST / 2
                refused = [one.result() for one in ready]
            assert time.monotonic() - began < AT_MOST
            assert {(503, "session_store_unavailable", None)} == {one.summary for one in refused}
            stateless = b'{"model": "zero", "messages": [{"role": "user", "content": "x"}]}'
            assert 200 == post(live, stateless).status, "what needs no session is answered"
        deadline = time.monotonic() + 30
        while 200 != ask(live, "GET", "/readyz").status:
            assert time.monotonic() < deadline, live.log
        assert "not ready: The session store didn't answer within 5 s." in live.log
        assert "Traceback" not in live.log
