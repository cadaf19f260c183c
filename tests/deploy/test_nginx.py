"""deploy/nginx.conf in a real nginx, in front of two real gateways."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from websockets.sync.client import connect

from benchmarks.installed.debian import debian_program
from tests.documents import ROOT
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import DONE, Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway, free_port
from tests.ws.client import Place

SECONDS: Final = 20.0
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


class Stage(NamedTuple):
    """nginx's port, the gateways behind it, and their upstream."""

    port: int
    gateways: tuple[LiveGateway, LiveGateway]
    upstream: FakeUpstream


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """nginx with the configuration as it stands, but for names, ports, and where it may write."""
    folder = tmp_path_factory.mktemp("nginx")
    with FakeUpstream() as upstream:
        config = upstream_configuration(upstream, gateway={"trustedProxies": ["127.0.0.1"]})
        with (
            LiveGateway(tmp_path_factory.mktemp("first"), config) as first,
            LiveGateway(tmp_path_factory.mktemp("second"), config) as second,
        ):
            port = free_port()
            process = started(folder, port, first, second)
            try:
                yield Stage(port, (first, second), upstream)
            finally:
                process.terminate()
                process.wait()


def started(folder: Path, port: int, first: Place, second: Place) -> subprocess.Popen[bytes]:
    """Start nginx and wait until it listens."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for written, here in (
        ("gateway-1:18789", f"127.0.0.1:{first.port}"),
        ("gateway-2:18789", f"127.0.0.1:{second.port}"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("/tmp/", f"{folder}/"),
        ("worker_processes auto;", "worker_processes 1; daemon off;" + (" user root;" if os.geteuid() == 0 else "")),
    ):
        assert written in text
        text = text.replace(written, here)
    file = folder / "nginx.conf"
    file.write_text(text)
    program = debian_program("nginx", "nginx", "nginx-common")
    environ = {**os.environ, **program.environ}
    process = subprocess.Popen([program.path, "-p", folder, "-c", file, "-e", "stderr"], env=environ)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx ended: its configuration is wrong"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            return process
        except ConnectionRefusedError:
            time.sleep(0.02)
        finally:
            connection.close()
    process.kill()
    raise AssertionError(f"nginx was not there after {SECONDS} s")


@contextmanager
def asked(stage: Stage, body: object) -> Iterator[http.client.HTTPResponse]:
    """Send a chat completion through nginx; give the answer, unread."""
    with closing(http.client.HTTPConnection("127.0.0.1", stage.port, timeout=SECONDS)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), HEADERS)
        with connection.getresponse() as answer:
            yield answer


def status(stage: Stage) -> int:
    """Say how a chat completion ends."""
    with asked(stage, chat()) as answer:
        return answer.status


def chat(model: str = "zero:echo", **more: object) -> dict[str, object]:
    """Return a request."""
    return {"model": model, "messages": [{"role": "user", "content": "one two"}], **more}


def test_a_stream_comes_as_it_is_said(stage: Stage) -> None:
    """The first words are there while the upstream hasn't said the next ones yet."""
    role, hello, *rest = words("Hello,", " wörld")
    stage.upstream.play(stream(role, hello, Pause(), *rest, DONE))
    with asked(stage, chat("zero:main", stream=True)) as answer:
        assert any(b"Hello," in line for line in answer)
        stage.upstream.last.release()
        assert answer.read().endswith(DONE)


def test_a_websocket_gets_through(stage: Stage) -> None:
    """The gateway greets it as if nothing were between them."""
    with connect(f"ws://127.0.0.1:{stage.port}/") as socket:
        assert "connect.challenge" == json.loads(socket.recv(SECONDS))["event"]


def test_a_body_that_is_too_large_is_refused_by_the_gateway(stage: Stage) -> None:
    """In OpenAI's shape, not as a web page of nginx's."""
    with asked(stage, chat(user="x" * 21_000_000)) as answer:
        assert (413, "application/json") == (answer.status, answer.headers["content-type"])
        assert {"message", "type", "param", "code"} == json.loads(answer.read())["error"].keys()


def test_one_that_is_gone_is_not_missed(stage: Stage) -> None:
    """What a stopped replica doesn't take, the other one answers."""
    first, second = stage.gateways
    for gone in (first, second):
        gone.stop_process()
        assert [200] * 4 == [status(stage) for _ in range(4)]
        gone.restart()
