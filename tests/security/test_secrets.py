"""docs/security.md, "Secrets": whatever goes wrong, no secret is shown, logged, stored or seen by other users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.config import ConfigError, load
from app.engines.upstream.engine import Endpoint
from app.security.secret import resolve_secret
from tests.cli.command import ask as command
from tests.cli.command import eventually, zero
from tests.doors.client import CHAT, Reply, ask, chat, post
from tests.doors.refusal import refusal
from tests.fakes.script import Close, Reset, Script, Send, chunk, completion, error, event, stream, whole, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, free_port
from tests.security.secrets_in_use import API_KEY, GATEWAY_TOKEN, HEADER_VALUE, MARK, OTHER_KEY, with_secrets
from tests.security.served import ServedGateway
from tests.telemetry.watched import spoken, watched
from tests.ws.client import Client, handshake

ECHOES: dict[str, Script] = {
    "401": error(401, {"message": f"Incorrect API key provided: {API_KEY}", "code": "invalid_api_key"}),
    "403": error(403, {"message": f"{HEADER_VALUE} may not"}),
    "400": error(400, {"message": f"Bearer {API_KEY}?", "code": API_KEY, "param": f"headers.{HEADER_VALUE}"}),
    "429": error(429, {"message": f"{API_KEY} asks too much"}, {"retry-after": "1"}),
    "500": error(500, {"message": f"no idea: {{'authorization': 'Bearer {API_KEY}'}}", "code": HEADER_VALUE}),
    "500 in text": whole(500, f"key {API_KEY}".encode(), content_type="text/plain"),
    "500 cut in the middle of it": error(500, {"message": "x" * 990 + API_KEY}),
    "an event": stream(event({"error": {"message": API_KEY, "code": HEADER_VALUE, "type": API_KEY}})),
    "an event in mid-stream": stream(event(chunk({"content": "a"})), event({"error": {"message": API_KEY}})),
    "a code": stream(event({"error": {"message": API_KEY, "code": 401}})),
    "no chunk": stream(event({"choices": API_KEY})),
    "no JSON": stream(f"data: {API_KEY}\n\n".encode()),
    "no completion": whole(200, {**completion("x"), "choices": [API_KEY]}),
    "a web page": whole(200, f"<p>{API_KEY}".encode(), content_type="text/html"),
    "no HTTP": [Send(f"{API_KEY}\r\n\r\n".encode()), Close()],
    "a bad status": [Send(f"HTTP/1.1 {API_KEY}\r\n\r\n".encode()), Close()],
    "a bad header": [Send(f"HTTP/1.1 200 OK\r\n{API_KEY}\r\n\r\n".encode()), Close()],
    "a bad length": [Send(b"HTTP/1.1 200 OK\r\nContent-Length: zz\r\n\r\n"), Close()],
    "bad chunks": [Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Close()],
    "too short": [Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"), Close()],
    "bad encoding": [Send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")],
    "a redirect": whole(302, b"", headers={"location": f"http://127.0.0.1/{API_KEY}"}),
    "nothing": [Close()],
    "a reset": [Reset()],
}


def shown(reply: Reply) -> str:
    """Return all of an answer."""
    return f"{reply.headers}{reply.body.decode()}"


def ask_for(gateway: LiveGateway, **fields: Any) -> Reply:
    """Ask with the gateway's own secret."""
    return chat(gateway, "x", token=gateway.token, **fields)


@pytest.mark.parametrize("how", ECHOES)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_repeats_its_key(
    secretive: LiveGateway, upstream: FakeUpstream, how: str, streamed: bool
) -> None:
    """A service may put what it was sent into its failures: neither the client nor the log gets to see it."""
    upstream.play(ECHOES[how])
    reply = ask_for(secretive, stream=streamed)

    assert f"Bearer {API_KEY}" == upstream.last.headers["authorization"]
    assert HEADER_VALUE == upstream.last.headers["x-partner"]
    assert b'"error"' in reply.body
    assert MARK not in shown(reply)
    assert MARK not in secretive.log


def test_an_upstream_that_is_not_there(secretive: LiveGateway) -> None:
    """Neither is it in what is said of a connection that can't be made."""
    assert MARK not in shown(ask_for(secretive, model="zero:lost"))
    assert "lost/lost failed" in secretive.log
    assert MARK not in secretive.log


def test_clients_with_and_without_it(secretive: LiveGateway, upstream: FakeUpstream) -> None:
    """At every door, right and wrong secrets alike: no answer repeats one, and no line of the log, all of it shown."""
    wrong = f"{MARK}-guess"
    upstream.play(stream(*words("hi")), whole(200, completion("hi")))
    replies = [
        ask_for(secretive, stream=True, user="u"),
        ask_for(secretive, user="u"),
        chat(secretive, "x", token=wrong),
        ask(secretive, "GET", f"/v1/models?api_key={wrong}", token=None),
        ask(secretive, "GET", "/v1/models", token=None, headers=[("Authorization", f"Basic {wrong}")]),
        post(secretive, b"{", token=GATEWAY_TOKEN),
        ask(secretive, "PUT", CHAT, token=GATEWAY_TOKEN),
        ask(secretive, "GET", "/v1/sessions", token=GATEWAY_TOKEN),
        ask(secretive, "GET", "/v1/models", token=GATEWAY_TOKEN),
        ask(secretive, "GET", "/metrics", token=GATEWAY_TOKEN),
        ask(secretive, "GET", "/metrics", token=wrong),
        *(ask(secretive, "GET", path, token=None) for path in ("/healthz", "/readyz", "/openapi.json", "/x")),
    ]
    with Client(secretive).admitted(auth={"token": GATEWAY_TOKEN}) as client:
        frames = [client.hello, *(client.call(method) for method in ("status", "health", "agents.list", "models.list"))]
    with Client(secretive) as client:
        client.request("connect", handshake(auth={"token": wrong}))
        client.closed()
        frames += client.unread

    assert {200, 400, 401, 404, 405} == {reply.status for reply in replies}
    assert b"zero_" in next(reply.body for reply in replies if b"# HELP" in reply.body), "the metrics are among them"
    for reply in replies:
        assert MARK not in shown(reply)
    assert MARK not in json.dumps(frames)
    assert MARK not in secretive.log


def test_in_the_process(secretive: LiveGateway) -> None:
    """Other users of the machine see a process's title and arguments: no secret of the environment is there."""
    tasks = list(Path(f"/proc/{secretive.process.pid}/task").iterdir())
    titles = [Path(f"/proc/{secretive.process.pid}/cmdline"), *(task / "comm" for task in tasks)]
    said = b"".join(title.read_bytes() for title in titles)

    assert b"gateway" in said
    assert MARK.encode() not in said


def test_in_the_state_directory(secretive: LiveGateway, upstream: FakeUpstream) -> None:
    """What is kept of conversations and failures has no secret in it."""
    upstream.play(ECHOES["500"])
    assert 502 == ask_for(secretive, user="kept").status
    upstream.play(whole(200, completion("hi")))
    assert 200 == ask_for(secretive, user="kept", headers={"Idempotency-Key": "kept"}).status
    files = [path for path in (secretive.folder / "state").rglob("*") if path.is_file()]

    assert files
    for path in files:
        assert MARK.encode() not in path.read_bytes(), path


def test_in_what_is_watched(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Neither metrics nor the audit log nor spans have a secret in them, or anything that was said."""
    config, environ = with_secrets(upstream)
    spans, provider, audit = InMemorySpanExporter(), TracerProvider(), tmp_path / "audit.jsonl"
    provider.add_span_processor(SimpleSpanProcessor(spans))
    secret_words, bearer = "the launch code is 0000", {"authorization": f"Bearer {GATEWAY_TOKEN}"}

    async def work(client: httpx.AsyncClient) -> str:
        for script in ECHOES.values():
            upstream.play(script)
            for streamed in (False, True):
                body = {**spoken(text=secret_words, user="u"), "stream": streamed}
                assert b'"error"' in (await client.post(CHAT, json=body, headers=bearer)).content
        upstream.play(whole(200, completion(secret_words)))
        assert 200 == (await client.post(CHAT, json=spoken(text=secret_words), headers=bearer)).status_code
        guess = {"authorization": f"Bearer {MARK}-guess"}
        assert 401 == (await client.get(f"/v1/models?api_key={MARK}-guess", headers=guess)).status_code
        assert 404 == (await client.get(f"/{MARK}-path", headers=bearer)).status_code
        return (await client.get("/metrics", headers=bearer)).text

    on = {"metrics": {"enabled": True}, "logs": {"audit": str(audit)}, "traces": {"enabled": True}}
    metrics = watched(tmp_path, upstream, on, work, provider, config=config, environ=environ)
    traces = " ".join(span.to_json() for span in spans.get_finished_spans())

    assert 2 * len(ECHOES) + 1 == len(audit.read_text().splitlines())
    for said, own in ((metrics, "zero_runs_total"), (audit.read_text(), "operator"), (traces, "invoke_agent main")):
        assert own in said
        assert MARK not in said
        assert secret_words not in said


COMMANDS = [
    ("config", "get"),
    ("config", "get", "--json"),
    ("config", "get", "gateway.auth.token"),
    ("config", "get", "models.providers.fake"),
    ("config", "get", "models.providers.lost.apiKey"),
    ("config", "get", "gateway.remote"),
    ("config", "validate"),
    ("config", "set", "gateway.port", "no number"),
    ("status",),
    ("doctor",),
    ("agents", "list"),
    ("models", "list"),
    ("sessions", "list"),
    ("agent", "--message", "x"),
    ("agent", "--message", "x", "--local"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands(secretive: LiveGateway, upstream: FakeUpstream, arguments: Sequence[str]) -> None:
    """No command shows a secret that it wasn't asked to show."""
    upstream.play(ECHOES["500"])
    environ = with_secrets(upstream)[1]
    done = command(secretive, *arguments, **environ)

    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "No such" not in done.stderr
    assert MARK not in done.stdout + done.stderr


def test_a_command_that_was_asked_to(secretive: LiveGateway, upstream: FakeUpstream) -> None:
    """``--show-secrets`` does, so that the test above means something."""
    done = command(secretive, "config", "get", "--show-secrets", **with_secrets(upstream)[1])

    assert {API_KEY, HEADER_VALUE, OTHER_KEY} == {
        each for each in (API_KEY, HEADER_VALUE, OTHER_KEY) if each in done.stdout
    }


def broken(upstream: FakeUpstream) -> dict[str, str]:
    """Return configurations that can't be used, with secrets near their mistakes."""
    config, _ = with_secrets(upstream)
    provider = config["models"]["providers"]["fake"]

    def with_provider(**fields: Any) -> str:
        return json.dumps({**config, "models": {"providers": {"fake": {**provider, **fields}}}})

    def with_auth(**fields: Any) -> str:
        return json.dumps({**config, "gateway": {**config["gateway"], "auth": fields}})

    return {
        "no JSON behind it": with_auth(token=GATEWAY_TOKEN)[:-1] + f', "x": {GATEWAY_TOKEN}',
        "no quotes": with_auth(token="@").replace('"@"', GATEWAY_TOKEN),
        "one quote": with_auth(token="@").replace('"@"', f'"{GATEWAY_TOKEN}'),
        "a list": with_auth(token=[GATEWAY_TOKEN]),
        "an object": with_provider(apiKey={"value": API_KEY}),
        "an unknown key": with_auth(tokn=GATEWAY_TOKEN),
        "a line end": with_provider(apiKey=f"{API_KEY}\n"),
        "a line end in the middle": with_provider(headers={"X-A": f"{HEADER_VALUE}\r\nX-B: 1"}),
        "a control character": with_auth(token=f"{GATEWAY_TOKEN}\x1b"),
        "in the URL": with_provider(baseUrl=f"https://user:{API_KEY}@api.example.com/v1"),
        "behind the URL": with_provider(baseUrl=f"https://api.example.com/v1?key={API_KEY}"),
        "in the wrong mode": with_auth(mode="password", token=GATEWAY_TOKEN),
        "as a mode": with_auth(mode=GATEWAY_TOKEN),
        "a database with blanks": json.dumps({**config, "session": {"store": f"postgresql://u:{MARK} x@127.0.0.1/z"}}),
        "a database with signs": json.dumps({**config, "session": {"store": f"postgresql://u:p@{MARK}@127.0.0.1/z"}}),
        "no such database": json.dumps({**config, "session": {"store": f"mysql://u:{MARK}@127.0.0.1/z"}}),
    }


MISTAKES = (
    "no JSON behind it", "no quotes", "one quote", "a list", "an object", "an unknown key", "a line end",
    "a line end in the middle", "a control character", "in the URL", "behind the URL", "in the wrong mode", "as a mode",
    "a database with blanks", "no such database", "a database with signs",
)  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_a_configuration_that_is_wrong(tmp_path: Path, upstream: FakeUpstream, what: str) -> None:
    """What is said of it names the place and not what stands there."""
    _, environ = with_secrets(upstream)
    del environ["ZERO_GATEWAY_TOKEN"]
    file = tmp_path / "zero.json"
    file.write_text(broken(upstream)[what])
    with pytest.raises(ConfigError) as caught:
        resolve_secret(load(file, environ).config.gateway.auth, environ)

    assert MARK not in f"{caught.value}{caught.value!r}"


def test_wherever_that_is_said(tmp_path: Path, upstream: FakeUpstream) -> None:
    """However it is started or checked, it is that sentence and nothing else."""
    _, environ = with_secrets(upstream)
    said = refusal(tmp_path, broken(upstream)["an object"], environ)
    file = tmp_path / "zero.json"
    for arguments in (("config", "validate", str(file)), ("gateway", "--config", str(file)), ("doctor",)):
        done = zero(tmp_path, *arguments, **environ, ZERO_CONFIG_PATH=str(file))
        assert 0 != done.returncode
        said += done.stdout + done.stderr

    assert 4 == said.count("models.providers.fake.apiKey")
    assert "Traceback" not in said
    assert MARK not in said


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://zero:{0}@127.0.0.1:{1}/zero",
        "postgresql://zero:x/{0}@127.0.0.1:{1}/zero",
        "postgresql://zero:{0}%zz@127.0.0.1:{1}/zero",
        "postgresql://zero@127.0.0.1:{1}/zero?password={0}&nonsense={0}",
    ],
)
def test_a_database_that_is_not_there(tmp_path: Path, upstream: FakeUpstream, address: str) -> None:
    """The password in its address stays unsaid: in /readyz, at the client, in the log, by the doctor."""
    config, environ = with_secrets(upstream)
    config["session"] = {"store": address.format(f"{MARK}-database", free_port())}
    config["agents"] = {"list": [{"id": "main", "model": "echo/echo"}]}
    with ServedGateway(tmp_path, config, environ=environ) as gateway:
        gateway.token = GATEWAY_TOKEN
        ready = ask(gateway, "GET", "/readyz", token=None)
        reply = ask_for(gateway, user="u")
        doctor = command(gateway, "doctor", **environ)
        log = gateway.log

    assert (503, 503) == (ready.status, reply.status)
    assert "not ready" in log
    for said in (shown(ready), shown(reply), doctor.stdout + doctor.stderr, log):
        assert MARK not in said


def test_an_edit_that_is_wrong(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A running gateway says where the mistake is, and not what stands there."""
    config, environ = with_secrets(upstream)
    with ServedGateway(tmp_path, config, environ=environ) as gateway:
        gateway.config_file.write_text(broken(upstream)["an object"])
        eventually(lambda: "not applied" in gateway.log)
        config["models"]["providers"]["fake"]["apiKey"] = f"{API_KEY}-new"
        gateway.config_file.write_text(json.dumps(config))
        eventually(lambda: "is applied" in gateway.log)
        log = gateway.log

    assert MARK not in log


def test_repr(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A debugger's or a traceback's look at the configuration in use shows none either."""
    config, environ = with_secrets(upstream)
    config["gateway"]["auth"]["token"] = GATEWAY_TOKEN
    config["session"] = {"store": f"postgresql://zero:{MARK}@127.0.0.1/zero"}
    file = tmp_path / "zero.json"
    file.write_text(json.dumps(config))
    loaded = load(file, environ)

    assert API_KEY == loaded.config.models.providers["fake"].api_key
    assert MARK not in repr(loaded) + str(loaded) + repr(Endpoint("http://x", {"authorization": API_KEY}))
