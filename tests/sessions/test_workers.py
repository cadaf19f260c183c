"""``zero gateway --workers``: processes behind one port, over one database."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.samples import Sample

from tests.cli.command import ZERO, environ
from tests.cli.test_gateway_reload import hide
from tests.live_gateway import TOKEN, configuration
from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PASSWORD
from tests.telemetry.watched import samples, value

WORKERS = 3


class Gateway:
    """A gateway with several workers.

    Args:
        home: An empty folder.
        store: What ``session.store`` says.
    """

    def __init__(self, home: Path, store: str) -> None:
        config = home / "zero.json"
        config.write_text(json.dumps(configuration(session={"store": store}, gateway={"metrics": {"enabled": True}})))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log = home / "log"
        command = [str(ZERO), "gateway", "--config", str(config), "--port", str(self.port), "--workers", str(WORKERS)]
        # So that an edit can be hidden from those who look at the file's times.
        blind = environ(home, WATCHFILES_FORCE_POLLING="1")
        self.config_file = config
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=blind, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def say(self, text: str, key: str) -> tuple[int, dict[str, Any]]:
        """Say something in a session by a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "x-zero-session-key": key,
        }
        body = {"model": "zero", "messages": [{"role": "user", "content": text}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def agents(self) -> str:
        """Return what one of the workers lists."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})
        models = json.loads(connection.getresponse().read())["data"]
        connection.close()
        return " ".join(model["id"] for model in models)

    def metrics(self) -> str:
        """Return what one of the workers tells Prometheus."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def ready(self) -> bool:
        """Tell whether somebody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return set(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))


def until(so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline, "it doesn't come about"
        time.sleep(0.02)


def gone(process: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@contextmanager
def served(home: Path, database: PostgresqlPlace) -> Iterator[Gateway]:
    """Serve with workers; none of them is left in the end."""
    gateway = Gateway(home, database.setting)
    workers: set[int] = set()
    try:
        until(lambda: gateway.ready() and len(gateway.workers()) == WORKERS)
        workers = gateway.workers()
        yield gateway
        workers |= gateway.workers() if gateway.process.poll() is None else set()
    finally:
        if gateway.process.poll() is None:
            gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(timeout=30)
    until(lambda: all(map(gone, workers)))
    told = gateway.log.read_text()
    assert "Traceback" not in told
    assert PASSWORD not in told


def test_one_session_in_all_workers(tmp_path: Path, database: PostgresqlPlace) -> None:
    """Requests of one session, whichever worker takes them, are one conversation; and there is one banner."""
    with served(tmp_path, database) as gateway:
        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(lambda number: gateway.say(f"turn {number}", "k"), range(36)))
        assert [200] * 36 == [status for status, _ in answers]
        gateway.process.send_signal(signal.SIGTERM)
        assert 0 == gateway.process.wait(timeout=30)
    assert [(72,)] == database.execute("SELECT count(*) FROM messages")
    # One chain without a fork: no two messages have the same one before them.
    assert [(72,)] == database.execute("SELECT count(DISTINCT coalesce(parent, '')) FROM messages")
    assert [(0,)] == database.execute("SELECT count(*) FROM turns")
    assert 1 == gateway.log.read_text().count("ZERO Gateway on")


def test_a_worker_that_is_killed(tmp_path: Path, database: PostgresqlPlace) -> None:
    """Another one takes its place, and the gateway answers all the while."""
    with served(tmp_path, database) as gateway:
        before = gateway.workers()
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(gateway.workers()) == WORKERS and gateway.workers() != before)
        until(gateway.ready)
        assert 200 == gateway.say("still there?", "k")[0]
    assert "was killed by signal 9; another one takes its place" in gateway.log.read_text()


def test_they_count_together(tmp_path: Path, database: PostgresqlPlace) -> None:
    """Whichever worker is asked for metrics tells of the runs of all, those of one that was killed included."""
    with served(tmp_path, database) as gateway:
        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(lambda number: gateway.say("hi", f"k{number}"), range(24)))
        assert [200] * 24 == [status for status, _ in answers]
        before = gateway.workers()
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(gateway.workers()) == WORKERS and gateway.workers() != before)
        until(gateway.ready)
        told = {value(gateway.metrics(), "zero_runs_total", outcome="done") for _ in range(12)}
    assert {24.0} == told


def test_sighup_reaches_all_of_them(tmp_path: Path, database: PostgresqlPlace) -> None:
    """Each reads the configuration again; where that fails, each stays as it was. The metrics tell of all."""
    with served(tmp_path, database) as gateway:
        until(lambda: value(gateway.metrics(), "zero_config_info") == WORKERS)
        before = gateway.workers()
        text = gateway.config_file.read_text()
        hide(gateway.config_file, text.replace('"beta"', '"zeta"'))
        assert {"zero zero:main zero:beta"} == {gateway.agents() for _ in range(20)}
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: {"zero zero:main zero:zeta"} == {gateway.agents() for _ in range(20)})
        until(lambda: [float(WORKERS)] == [one.value for one in revisions(gateway)])
        assert 1 == value(gateway.metrics(), "zero_config_last_reload_successful")

        hide(gateway.config_file, text.replace('"list"', '"lost"'))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.log.read_text().count("agents.lost: unknown key") == WORKERS)
        until(lambda: 0 == value(gateway.metrics(), "zero_config_last_reload_successful"))
        assert {"zero zero:main zero:zeta"} == {gateway.agents() for _ in range(20)}
        assert before == gateway.workers()


def revisions(gateway: Gateway) -> list[Sample]:
    """Return the samples of the configurations that are in force."""
    return [one for one in samples(gateway.metrics()) if one.name == "zero_config_info"]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_ends_with_all_its_workers(tmp_path: Path, database: PostgresqlPlace, how: signal.Signals, code: int) -> None:
    """A signal to the gateway ends all of it in good order, with the exit code of a single process."""
    with served(tmp_path, database) as gateway:
        gateway.process.send_signal(how)
        assert code == gateway.process.wait(timeout=30)


def test_the_process_that_watches_them_is_killed(tmp_path: Path, database: PostgresqlPlace) -> None:
    """Then its workers end, too: nothing is left that holds the port."""
    with served(tmp_path, database) as gateway:
        gateway.process.kill()
        gateway.process.wait()
    with socket.socket() as port:
        port.bind(("127.0.0.1", gateway.port))
