"""The command line as a person uses it: real processes, real files, a real port."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import json5
import pytest

from tests.cli.command import ZERO, environ, zero
from tests.fakes.script import Pause
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration, free_port


def served(home: Path, *arguments: str, **more: str) -> tuple[subprocess.Popen[str], str]:
    """Start ``zero gateway``; return the process and what it printed until it was there."""
    process = subprocess.Popen(
        [ZERO, "gateway", *arguments],
        env=environ(home, PYTHONUNBUFFERED="1", **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "ZERO Gateway on" in line:
            return process, printed
    process.wait()
    raise AssertionError(f"ended with {process.returncode}: {printed}")


def ended(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> str:
    """Ask a process to end, and return the rest of what it printed."""
    assert process.stdout is not None
    process.send_signal(how)
    process.wait(timeout=20)
    with process.stdout as stdout:
        return stdout.read()


class TestInit:
    """``zero init``."""

    def test_writes_a_configuration_that_serves(self, tmp_path: Path) -> None:
        """The starter file has a generated token, the endpoint on, and is for its owner's eyes only."""
        done = zero(tmp_path, "init")

        assert 0 == done.returncode, done.stderr
        path = tmp_path / ".zero" / "zero.json"
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        config = json5.loads(path.read_text())
        assert len(config["gateway"]["auth"]["token"]) >= 32
        assert config["gateway"]["http"]["endpoints"]["chatCompletions"]["enabled"] is True
        assert config["gateway"]["auth"]["token"] in done.stdout
        assert "curl -sS http://127.0.0.1:18789/v1/chat/completions" in done.stdout

    def test_makes_another_token_each_time(self, tmp_path: Path) -> None:
        """Two installations never share a token."""
        zero(tmp_path, "init")
        first = (tmp_path / ".zero" / "zero.json").read_text()
        zero(tmp_path, "init", "--force")

        assert first != (tmp_path / ".zero" / "zero.json").read_text()

    def test_never_overwrites_unasked(self, tmp_path: Path) -> None:
        """A file that is there stays as it is."""
        path = tmp_path / ".zero" / "zero.json"
        path.parent.mkdir()
        path.write_text("mine")
        done = zero(tmp_path, "init")

        assert 1 == done.returncode
        assert "exists already" in done.stderr
        assert "mine" == path.read_text()
        assert [path] == list(path.parent.iterdir())

    def test_the_printed_curl_works(self, tmp_path: Path) -> None:
        """What is printed for copying is what a shell can run."""
        zero(tmp_path, "init")
        path = tmp_path / ".zero" / "zero.json"
        path.write_text(path.read_text().replace("local/smollm2", "echo/echo"))
        port = str(free_port())
        printed = zero(tmp_path, "init", "--config", str(tmp_path / "other.json")).stdout
        process, _ = served(tmp_path, "--port", port)
        try:
            line = printed[printed.index("curl ") :].replace("18789", port)
            token = json5.loads(path.read_text())["gateway"]["auth"]["token"]
            line = re.sub(r"Bearer [\w-]+", f"Bearer {token}", line)
            answer = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30, check=True)
        finally:
            ended(process)

        assert "oi" == json.loads(answer.stdout)["choices"][0]["message"]["content"]


class TestGateway:
    """``zero gateway``."""

    def test_refuses_to_start_without_a_configuration(self, tmp_path: Path) -> None:
        """And says what to do, without a traceback."""
        done = zero(tmp_path, "gateway")

        assert 1 == done.returncode
        assert "zero init" in done.stderr
        assert "Traceback" not in done.stderr

    def test_refuses_to_start_without_a_secret(self, tmp_path: Path) -> None:
        """A forgotten secret never leaves the API open."""
        path = tmp_path / "zero.json"
        path.write_text("{}")
        done = zero(tmp_path, "gateway", "--config", str(path))

        assert 1 == done.returncode
        assert "ZERO_GATEWAY_TOKEN" in done.stderr
        assert "Traceback" not in done.stderr

    def test_dev_makes_up_a_secret_and_prints_it(self, tmp_path: Path) -> None:
        """``--dev`` is what `make run` uses: address, token and curl lines, ready to copy."""
        path = tmp_path / "zero.json"
        path.write_text("{gateway: {http: {endpoints: {chatCompletions: {enabled: true}}}}}")
        port = free_port()
        process, _ = served(tmp_path, "--config", str(path), "--port", str(port), "--dev")
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(2)]
            token = lines[1].split()[1]
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                models = json.load(response)
        finally:
            rest = ended(process)

        assert ["zero", "zero:main"] == [model["id"] for model in models["data"]]
        assert f"Bearer {token}" in rest
        assert 0 == process.returncode

    def test_takes_the_environments_token(self, tmp_path: Path) -> None:
        """``--dev`` prints the secret that is set rather than making one up."""
        path = tmp_path / "zero.json"
        path.write_text("{}")
        process, _ = served(
            tmp_path, "--config", str(path), "--port", str(free_port()), "--dev", ZERO_GATEWAY_TOKEN="from-outside"
        )

        assert "token:  from-outside" in ended(process)

    def test_does_not_print_the_secret_otherwise(self, tmp_path: Path) -> None:
        """A log is no place for a secret."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        process, printed = served(tmp_path, "--config", str(path), "--port", str(free_port()))

        assert configuration()["gateway"]["auth"]["token"] not in printed + ended(process)

    def test_a_port_in_use_ends_with_an_error(self, tmp_path: Path) -> None:
        """The exit code says so."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            done = zero(tmp_path, "gateway", "--config", str(path), "--port", str(taken.getsockname()[1]))

        assert 0 != done.returncode
        assert "address already in use" in done.stdout + done.stderr

    def test_bind_is_checked_like_the_configuration(self, tmp_path: Path) -> None:
        """No secret and an address that others reach don't go together, whoever asks for it."""
        path = tmp_path / "zero.json"
        path.write_text('{gateway: {auth: {mode: "none"}}}')
        done = zero(tmp_path, "gateway", "--config", str(path), "--bind", "lan")

        assert 1 == done.returncode
        assert "--bind" in done.stderr

    def test_takes_a_token_for_this_run(self, tmp_path: Path) -> None:
        """``--token`` goes before the configuration's secret, which opens nothing then."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        port = str(free_port())
        process, _ = served(tmp_path, "--config", str(path), "--port", port, "--token", "for-this-run")
        try:
            url = f"ws://127.0.0.1:{port}"
            codes = [
                zero(tmp_path, "status", "--url", url, "--token", token).returncode
                for token in ("for-this-run", configuration()["gateway"]["auth"]["token"])
            ]
        finally:
            ended(process)

        assert [0, 4] == codes

    def test_an_unusable_token_is_refused(self, tmp_path: Path) -> None:
        """An empty flag doesn't open the gateway."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        done = zero(tmp_path, "gateway", "--config", str(path), "--token", " ")

        assert 1 == done.returncode
        assert "--token: the secret is empty" in done.stderr

    def test_several_workers_share_no_file(self, tmp_path: Path) -> None:
        """Rather than turns of a session in any order it says what they need."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        done = zero(tmp_path, "gateway", "--config", str(path), "--workers", "2")

        assert 2 == done.returncode
        assert "session.store" in done.stderr
        assert "PostgreSQL" in done.stderr

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_ends_in_good_order(self, tmp_path: Path, how: signal.Signals) -> None:
        """Ctrl-C and a supervisor's SIGTERM end it within seconds, and without a traceback."""
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(configuration()))
        process, _ = served(tmp_path, "--config", str(path), "--port", str(free_port()))
        began = time.monotonic()
        rest = ended(process, how)

        assert time.monotonic() - began < 10
        assert "Traceback" not in rest

    def test_aborts_what_is_not_done_in_time(self, tmp_path: Path) -> None:
        """After ``drainSeconds`` a run ends with our error in OpenAI's shape, not with a connection that is cut."""
        upstream = FakeUpstream()
        upstream.play([Pause()])
        provider = {"baseUrl": upstream.base_url, "api": "openai-completions"}
        config = configuration(
            gateway={"drainSeconds": 0.3},
            models={"providers": {"fake": provider}},
            agents={"list": [{"id": "main", "model": "fake/main"}]},
        )
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(config))
        port = free_port()
        process, _ = served(tmp_path, "--config", str(path), "--port", str(port))
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            body = json.dumps({"model": "zero", "messages": [{"role": "user", "content": "oi"}]})
            token = configuration()["gateway"]["auth"]["token"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            upstream.wait(1)
        finally:
            process.send_signal(signal.SIGTERM)
        response = connection.getresponse()
        error = json.load(response)["error"]
        connection.close()
        rest = ended(process)
        upstream.stop()

        assert (503, "run_aborted", "false") == (response.status, error["code"], response.headers["x-should-retry"])
        assert response.headers["x-request-id"]
        assert "Traceback" not in rest

    def test_believes_only_its_own_proxies(self, tmp_path: Path) -> None:
        """A forged X-Forwarded-For doesn't help somebody who guesses: the lock-out counts the real address."""
        config = configuration(gateway={"auth": {"rateLimit": {"enabled": True, "maxFailures": 3}}})
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(config))
        port = free_port()
        process, _ = served(tmp_path, "--config", str(path), "--port", str(port))
        try:
            statuses = [_guess(port, f"203.0.113.{number}") for number in range(5)]
        finally:
            ended(process)

        assert [401, 401, 401, 429, 429] == statuses


class TestDoctor:
    """``zero doctor``."""

    def test_says_what_is_wrong(self, tmp_path: Path) -> None:
        """A broken file is named with the place and the nearest word."""
        path = tmp_path / "zero.json"
        path.write_text('{gatway: {auth: {token: "t"}}}')
        done = zero(tmp_path, "doctor", "--config", str(path))

        assert 1 == done.returncode
        assert "gatway" in done.stdout
        assert "gateway" in done.stdout
        assert "Traceback" not in done.stderr

    def test_says_what_answers_where(self, tmp_path: Path, gateway: LiveGateway) -> None:
        """Agents, providers and the gateway itself are looked at for real."""
        config = configuration(
            gateway={"port": gateway.port},
            models={
                "providers": {
                    "alive": {"baseUrl": f"{gateway.url}/v1", "apiKey": gateway.token, "api": "openai-completions"},
                    "dead": {"baseUrl": f"http://127.0.0.1:{free_port()}/v1", "api": "openai-completions"},
                    "closed": {"baseUrl": f"{gateway.url}/v1", "apiKey": "wrong", "api": "openai-completions"},
                }
            },
        )
        path = tmp_path / "zero.json"
        path.write_text(json.dumps(config))
        done = zero(tmp_path, "doctor", "--config", str(path))
        verdicts = {line[7:].split(":")[0]: line[:5].strip() for line in done.stdout.splitlines() if line[5:7] == "  "}

        assert 1 == done.returncode
        assert "ok" == verdicts["agent main (default)"]
        assert "ok" == verdicts["provider alive"]
        assert "wrong" == verdicts["provider dead"]
        assert "wrong" == verdicts["provider closed"]
        assert "ok" == verdicts["gateway"]
        assert "doesn't answer: the connection is refused\n" in done.stdout
        assert "2 thing(s) to put right." in done.stdout

    def test_all_is_well(self, tmp_path: Path) -> None:
        """A fresh installation is in order: exit code 0."""
        zero(tmp_path, "init")
        done = zero(tmp_path, "doctor", ZERO_GATEWAY_PORT=str(free_port()))

        assert 0 == done.returncode, done.stdout
        assert "Everything is in order." in done.stdout


def _guess(port: int, forwarded_for: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": forwarded_for}
        connection.request("GET", "/v1/models", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
