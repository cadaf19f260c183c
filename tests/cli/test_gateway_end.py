"""How ``zero gateway`` ends: its exit codes, and what becomes of the runs under way (docs/cli.md, "Exit codes")."""

from __future__ import annotations

import http.client
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.application import Gateway
from app.cli.ending import CannotListen
from app.cli.listening import bound
from app.cli.server import Server
from app.config import load
from tests.cli.command import IN_TERMINAL, ZERO, environ, eventually, group, zero
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, configuration, free_port
from tests.ws.client import Client, Refused

CODES = {signal.SIGTERM: 0, signal.SIGINT: 130}


class Served:
    """A ``zero gateway`` that listens."""

    def __init__(self, home: Path, config: dict[str, Any], *, prefix: str = "") -> None:
        self.home = home
        self.port = free_port()
        path = home / "zero.json"
        path.write_text(json.dumps(config))
        self.log = home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    f'{prefix} exec "$0" "$@"',
                    ZERO,
                    "gateway",
                    "--config",
                    path,
                    "--port",
                    str(self.port),
                ],
                env=environ(home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers)

    def begin(self, more: Mapping[str, str] | None = None) -> http.client.HTTPConnection:
        """Ask the default agent something, with more headers; return the connection on which the answer will come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = json.dumps({"model": "zero", "messages": [{"role": "user", "content": "oi"}]})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **(more or {})}
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """Get a page by a connection of its own: status, headers, body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return (
                response.status,
                {name.lower(): text for name, text in response.getheaders()},
                response.read().decode(),
            )

    def signal(self, *signals: signal.Signals) -> None:
        """Send signals."""
        for one in signals:
            self.process.send_signal(one)

    def stops(self) -> bool:
        """Whether it takes no more connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return not self.stops()


@contextmanager
def served(home: Path, config: dict[str, Any], *, prefix: str = "") -> Iterator[Served]:
    """Serve a configuration; what is still there at the end of the block is killed."""
    gateway = Served(home, config, prefix=prefix)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A service that answers when it is told to."""
    with FakeUpstream() as service:
        service.play(stream(Pause(), *words("done")))
        yield service


def patient(upstream: FakeUpstream, seconds: float = 60.0) -> dict[str, Any]:
    """Return a configuration that lets runs end first."""
    provider = {"baseUrl": upstream.base_url, "api": "openai-completions"}
    return configuration(
        gateway={"drainSeconds": seconds},
        models={"providers": {"fake": provider}},
        agents={"list": [{"id": "main", "model": "fake/main"}]},
    )


@pytest.mark.parametrize("how", CODES)
def test_the_code_says_who_ended_it(tmp_path: Path, how: signal.Signals) -> None:
    """To a supervisor that sends SIGTERM an end in good order is no failure; the others are a shell's codes."""
    with served(tmp_path, configuration()) as gateway:
        gateway.signal(how)
        assert CODES[how] == gateway.process.wait(20)

    assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("how", CODES)
def test_runs_end_first(tmp_path: Path, upstream: FakeUpstream, how: signal.Signals) -> None:
    """Nobody new is let in meanwhile, and the answer that was under way is complete."""
    with served(tmp_path, patient(upstream)) as gateway:
        connection = gateway.begin()
        exchange = upstream.wait()
        gateway.signal(how, how)  # `timeout` and shells send it to the process and to its group
        eventually(gateway.stops)
        exchange.release()
        response = connection.getresponse()
        answer = json.load(response)
        connection.close()

        assert CODES[how] == gateway.process.wait(20)

    assert "done" == answer["choices"][0]["message"]["content"]
    assert "1 run(s) may end first" in gateway.log.read_text()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_aborts_them(tmp_path: Path, upstream: FakeUpstream, how: signal.Signals, code: int) -> None:
    """Over HTTP and over the WebSocket alike; whoever waits is told, and the code says that it was no good order."""
    with served(tmp_path, patient(upstream)) as gateway:
        connection = gateway.begin()
        upstream.wait()
        url = f"ws://127.0.0.1:{gateway.port}"
        other = subprocess.Popen(
            [ZERO, "agent", "--message", "hi", "--url", url, "--token", TOKEN],
            env=environ(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        upstream.wait(2)
        gateway.signal(signal.SIGTERM)
        eventually(gateway.stops)
        began = time.monotonic()
        while gateway.process.poll() is None and not upstream.last.closed.wait(0.2):
            gateway.signal(how)
        response = connection.getresponse()
        error = json.load(response)["error"]
        connection.close()
        _, told = other.communicate(timeout=20)

        assert code == gateway.process.wait(20)
    took = time.monotonic() - began

    assert (503, "run_aborted") == (response.status, error["code"])
    assert (5, 1) == (other.returncode, told.count("the gateway is stopping"))
    assert took < 10
    assert "Traceback" not in gateway.log.read_text()


def test_no_process_stays(tmp_path: Path) -> None:
    """Who insists gets an end at once, also of the local model's process."""
    config = configuration(agents={"list": [{"id": "main", "model": "local/smollm2"}]})
    with served(tmp_path, config) as gateway:
        eventually(lambda: len(group(gateway.process.pid)) > 1)
        gateway.signal(signal.SIGTERM)
        eventually(gateway.stops)
        while gateway.process.poll() is None:
            gateway.signal(signal.SIGINT)
            time.sleep(0.15)  # further apart than what counts as one

    assert gateway.process.returncode in (0, 130)  # it may have been done before the second
    eventually(lambda: not group(gateway.process.pid))


@pytest.mark.parametrize("prefix", ["", "trap '' HUP;"], ids=["plainly", "nohup"])
def test_the_terminal_goes(tmp_path: Path, prefix: str) -> None:
    """A gateway ends with its terminal, unless it was started to outlive it. Until then SIGHUP is no end."""
    (tmp_path / "zero.json").write_text(json.dumps(configuration()))
    port = free_port()
    master, slave = pty.openpty()
    with (tmp_path / "log").open("wb") as log:
        command = [str(ZERO), "gateway", "--config", str(tmp_path / "zero.json"), "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, "/bin/sh", "-c", f'{prefix} exec "$0" "$@"', *command],
            env=environ(tmp_path),
            stdin=slave,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(slave)

    def told(text: str) -> bool:
        assert process.poll() is None
        return text in (tmp_path / "log").read_text()

    try:
        eventually(lambda: told("ZERO Gateway on"))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: told("The configuration was read again"))
        os.close(master)
        if prefix:
            eventually(lambda: (tmp_path / "log").read_text().count("The configuration was read again") == 2)
            process.terminate()
        assert (0 if prefix else 129) == process.wait(20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_no_longer_ready(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Readiness is false at once. What is asked on a connection that is there is answered, which ends it."""
    with served(tmp_path, patient(upstream)) as gateway:
        probe, late = (http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20) for _ in range(2))
        running = gateway.begin()
        exchange = upstream.wait()
        for connection in (probe, late):
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            assert 200 == response.status
            response.read()
        gateway.signal(signal.SIGTERM)
        eventually(lambda: "1 run(s) may end first" in gateway.log.read_text())
        probe.request("GET", "/readyz")
        response = probe.getresponse()
        assert (503, "close") == (response.status, response.getheader("connection"))
        assert "gateway_stopping" == json.load(response)["error"]["code"]
        late.request("GET", "/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})
        response = late.getresponse()
        assert (200, "close") == (response.status, response.getheader("connection"))
        assert "zero" == json.load(response)["data"][0]["id"]
        exchange.release()
        assert 200 == running.getresponse().status
        assert 0 == gateway.process.wait(20)
        for connection in (probe, late, running):
            connection.close()

    assert "Traceback" not in gateway.log.read_text()


def test_a_stream_that_takes_too_long(tmp_path: Path, upstream: FakeUpstream) -> None:
    """It goes on for `drainSeconds`, and ends then with an error as its last event."""
    role, hello, *rest_of_it = words("Hello", " and more")
    upstream.play(stream(role, hello, Pause(), *rest_of_it))
    with served(tmp_path, patient(upstream, seconds=1.0)) as gateway:
        body = json.dumps({"model": "zero", "stream": True, "messages": [{"role": "user", "content": "oi"}]})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
            connection.request("POST", "/v1/chat/completions", body, headers)
            response = connection.getresponse()
            while b"Hello" not in response.readline():
                pass
            gateway.signal(signal.SIGTERM)
            began = time.monotonic()
            rest = response.read()
        took = time.monotonic() - began
        assert 0 == gateway.process.wait(20)

    assert 0.9 < took < 10
    events = [line.removeprefix(b"data: ") for line in rest.splitlines() if line.startswith(b"data: ")]
    assert "run_aborted" == json.loads(events[-2])["error"]["code"]
    assert b"[DONE]" == events[-1]


def test_no_new_runs_over_the_websocket(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Who is connected is told that the gateway stops, and can begin nothing more; what runs is told to its end."""
    with served(tmp_path, patient(upstream)) as gateway, Client(gateway) as client:
        client.admitted()
        said = client.call("chat.send", {"sessionKey": "s", "message": "oi", "idempotencyKey": "one"})
        exchange = upstream.wait()
        gateway.signal(signal.SIGTERM)
        client.event("shutdown")
        with pytest.raises(Refused) as refusal:
            client.call("chat.send", {"sessionKey": "s", "message": "oi", "idempotencyKey": "two"})
        assert ("UNAVAILABLE", True) == (refusal.value.code, refusal.value.error["retryable"])
        exchange.release()
        client.event("chat", runId=said["runId"], state="final")
        assert 0 == gateway.process.wait(20)


def test_3_for_a_port_that_is_taken(tmp_path: Path) -> None:
    """One line says which, and what to do."""
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(configuration()))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = zero(tmp_path, "gateway", "--config", str(path), "--port", str(port))

    expected = f"Error: The gateway can't listen on 127.0.0.1:{port}: address already in use."
    assert 3 == done.returncode
    assert done.stderr.startswith(expected)
    assert (1, "") == (done.stderr.count("\n"), done.stdout)


def test_3_for_a_port_that_is_taken_in_the_last_moment(tmp_path: Path) -> None:
    """Two that begin at the same time both get the address, and only one of them gets to listen."""
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(configuration()))
    gateway = Gateway(load(path, {}), {"ZERO_STATE_DIR": str(tmp_path)})
    with bound("127.0.0.1", port := free_port()) as first, bound("127.0.0.1", port) as second:
        first.listen()
        server = Server(uvicorn.Config(gateway.app, host="127.0.0.1", port=port, log_config=None), gateway, "")
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: address already in use"):
            server.run([second])


@pytest.mark.parametrize("bind", ["192.0.2.1", "2001:db8::1"])
def test_3_for_an_address_of_somebody_else(tmp_path: Path, bind: str) -> None:
    """It can't be listened on here."""
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(configuration()))
    done = zero(tmp_path, "gateway", "--config", str(path), "--bind", bind)

    assert 3 == done.returncode
    assert (
        f"can't listen on {f'[{bind}]' if ':' in bind else bind}:18789: cannot assign requested address." in done.stderr
    )


@pytest.mark.parametrize("text", ["{", "{ gatway: {} }", "{ gateway: { port: 0 } }", "{}"])
def test_1_for_a_configuration_that_can_not_be_used(tmp_path: Path, text: str) -> None:
    """One that is no JSON5, has an unknown key or a wrong value, or no secret."""
    path = tmp_path / "zero.json"
    path.write_text(text)
    done = zero(tmp_path, "gateway", "--config", str(path))

    assert 1 == done.returncode
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--port", "0"), ("--workers", "0"), ("start",), ("--log-level", "loud")])
def test_2_for_a_wrong_command_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is begun."""
    assert 2 == zero(tmp_path, "gateway", *arguments).returncode


@pytest.mark.parametrize("stdout", ["/dev/full", "&-"])
def test_serves_without_a_stdout(tmp_path: Path, stdout: str) -> None:
    """It has something better to do than to tell where it is."""
    with served(tmp_path, configuration(), prefix=f"exec >{stdout};") as gateway:
        connection = gateway.begin()
        assert 200 == connection.getresponse().status
        connection.close()
        gateway.signal(signal.SIGTERM)

        assert 0 == gateway.process.wait(20)


def test_runs_with_a_key_end_first(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Also where their clients have gone: what they answer is there for a repeat at the next start."""
    with served(tmp_path, patient(upstream)) as gateway:
        connection = gateway.begin({"Idempotency-Key": "k"})
        exchange = upstream.wait()
        connection.close()
        gateway.signal(signal.SIGTERM)
        eventually(gateway.stops)
        exchange.release()
        assert 0 == gateway.process.wait(20)
    with served(tmp_path, patient(upstream)) as gateway:
        response = (connection := gateway.begin({"Idempotency-Key": "k"})).getresponse()
        answer = json.load(response)
        connection.close()

    assert ("done", "true") == (answer["choices"][0]["message"]["content"], response.getheader("Idempotent-Replayed"))
    assert "Traceback" not in gateway.log.read_text()


def test_runs_with_a_key_that_take_too_long(tmp_path: Path, upstream: FakeUpstream) -> None:
    """They are stopped when the time is up, and hold nobody up."""
    with served(tmp_path, patient(upstream, seconds=0.3)) as gateway:
        connection = gateway.begin({"Idempotency-Key": "k"})
        exchange = upstream.wait()
        connection.close()
        gateway.signal(signal.SIGTERM)
        exchange.wait_closed()
        assert 0 == gateway.process.wait(20)

    assert "Traceback" not in gateway.log.read_text()
