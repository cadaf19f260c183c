"""``zero agent``: the answer as it comes, one JSON object for programs, and an exit code for every end."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from app.client.connection import gateway_client
from app.client.destination import Destination
from app.contract.frames import ChatAbortParams, ChatAbortResult
from tests.cli.command import Terminal, ask, begun, read_until, zero
from tests.fakes.script import Pause, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway, free_port

HELLO = event(chunk({"role": "assistant", "content": "Hello"}))


def user_messages(service: FakeUpstream) -> list[str]:
    """Return what users have said in the conversation that the service was last asked to continue."""
    return [message["content"] for message in service.last.json["messages"] if message["role"] == "user"]


def abort(live: LiveGateway, session_key: str) -> None:
    """Stop a session's runs, as another client of the gateway does."""

    async def work() -> bool:
        async with gateway_client(Destination(url=f"ws://127.0.0.1:{live.port}", token=TOKEN)) as client:
            done = await client.request("chat.abort", ChatAbortParams(session_key=session_key), ChatAbortResult)
            return done.aborted

    assert asyncio.run(work())


class TestText:
    """The answer, for people and pipes."""

    def test_comes_as_it_is_generated(self, live: LiveGateway, service: FakeUpstream) -> None:
        """The first words are there while the model still thinks about the next ones."""
        service.play(stream(HELLO, Pause(), *words(", world")[1:]))
        with begun(live, "agent", "--message", "hi") as process:
            first = read_until(process, b"Hello")
            service.last.release()
            rest, errors = process.communicate(timeout=20)

        assert (b"Hello", b", world\n", b"", 0) == (first, rest, errors, process.returncode)

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_is_plain_where_nobody_looks(
        self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]
    ) -> None:
        """A pipe gets the model's words and a line end, and nothing of a spinner or of colours."""
        service.play(stream(*words("a\x1b[31mb\n", "ç")))
        done = ask(live, "agent", "-m", "hi", *where)

        assert ("a\x1b[31mb\nç\n", "", 0) == (done.stdout, done.stderr, done.returncode)

    def test_a_terminal_gets_no_commands_from_a_model(self, live: LiveGateway, service: FakeUpstream) -> None:
        """Escape sequences in the answer don't reach a terminal; a spinner is there before the answer and then gone."""
        service.play(stream(Pause(), *words("a\x1b[31mb.")))
        with Terminal(live, "agent", "--message", "hi") as terminal:
            spinner = terminal.raw_until("⠋")
            service.wait().release()
            answer = terminal.raw_until("b.")
            code = terminal.end()

        assert "⠋" in spinner
        assert "\r\x1b[Ka[31mb." in answer
        assert 0 == code

    def test_a_message_is_read_from_stdin(self, live: LiveGateway, service: FakeUpstream) -> None:
        """``--message -`` takes everything there is, but for the last line end."""
        done = ask(live, "agent", "--message", "-", stdin="one\ntwo ü\n")

        assert 0 == done.returncode
        assert ["one\ntwo ü"] == user_messages(service)

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_does_without_a_locale(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """The message is UTF-8 all the same; of the answer, what stdout has no letters for is a question mark."""
        done = ask(live, "agent", "-m", "olá", *where, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

        assert (0, "Hello, w?rld\n", "") == (done.returncode, done.stdout, done.stderr)
        assert ["olá"] == user_messages(service)

    def test_the_agent_can_be_chosen(self, live: LiveGateway, service: FakeUpstream) -> None:
        """``--agent`` names it, in any case."""
        ask(live, "agent", "--agent", "Prompted", "--message", "hi")

        assert "prompted" == service.last.json["model"]

    def test_a_session_goes_on(self, live: LiveGateway, service: FakeUpstream) -> None:
        """Whichever way the turns were run, the agent sees them all."""
        for number, where in enumerate([(), ("--local",), ()]):
            done = ask(live, "agent", "--session-key", "goes-on", "--message", f"m{number}", *where)
            assert 0 == done.returncode, done.stderr

        assert ["m0", "m1", "m2"] == user_messages(service)


class TestJson:
    """``--json``."""

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_is_one_object(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """Whichever way it was run, a program gets the same keys and values."""
        key = f"json{len(where)}"
        done = ask(live, "agent", "--message", "hi", "--json", "--session-key", key, *where)
        report = json.loads(done.stdout)

        assert report.pop("runId").startswith("run_")
        assert {
            "agentId": "main",
            "sessionKey": f"agent:main:{key}",
            "text": "Hello, wörld",
            "usage": {"input": 11, "output": 7, "total": 18},
            "status": "ok",
        } == report
        assert ("", 0) == (done.stderr, done.returncode)

    def test_says_what_failed(self, live: LiveGateway, service: FakeUpstream) -> None:
        """What had come is there, together with what went wrong; the message is on stderr as well."""
        service.play(stream(HELLO, event({"error": {"message": "out of luck", "type": "server_error"}})))
        done = ask(live, "agent", "--message", "hi", "--json")
        report = json.loads(done.stdout)

        assert 1 == done.returncode
        assert ("error", "Hello", None) == (report["status"], report["text"], report["usage"])
        assert f"Error: {report['error']}\n" == done.stderr


class TestExitCodes:
    """docs/cli.md, "Exit codes"."""

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_1_for_a_run_that_fails(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """The gateway's message is on stderr, and stdout has no answer."""
        service.play(error(400, {"message": "too long for me", "type": "invalid_request_error", "code": "x"}))
        done = ask(live, "agent", "--message", "hi", *where)

        assert (1, "") == (done.returncode, done.stdout)
        assert done.stderr.startswith("Error: ")
        assert "too long for me" in done.stderr
        assert 1 == done.stderr.count("\n")

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_1_for_a_service_that_is_not_there(self, live: LiveGateway, where: tuple[str, ...]) -> None:
        """One line says so; its inner life is for a gateway's log."""
        done = ask(live, "agent", "--message", "hi", "--agent", "lost", *where)

        assert (1, "Error: The provider 'lost' can't be reached: Connection refused.\n") == (
            done.returncode,
            done.stderr,
        )

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_1_for_an_unknown_agent(self, live: LiveGateway, where: tuple[str, ...]) -> None:
        """The message names those that there are."""
        done = ask(live, "agent", "--message", "hi", "--agent", "nobody", *where)

        assert 1 == done.returncode
        assert "zero:main" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--message", " "),
            ("--message", "hi", "--timeout", "0"),
            ("--message", "hi", "--local", "--url", "ws://x"),
            ("--message", b"\xff".decode(errors="surrogateescape")),
            ("--message", "hi", "--session-key", ""),
        ],
    )
    def test_2_for_a_wrong_command_line(self, live: LiveGateway, arguments: tuple[str, ...]) -> None:
        """Nothing is asked of anybody."""
        assert 2 == ask(live, "agent", *arguments).returncode

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--session-key", "agent:main"), "begins with 'agent:' but isn't"),
            (("--session-key", "cron:x"), "reserved namespace"),
            (("--session-key", "ç"), "printable ASCII"),
            (("--session-key", "agent:main:x", "--agent", "prompted"), "belongs to agent 'main', not to 'prompted'"),
        ],
    )
    def test_2_for_a_session_key_that_is_none(
        self, live: LiveGateway, where: tuple[str, ...], arguments: tuple[str, ...], words: str
    ) -> None:
        """It is spoken of as the command line calls it."""
        done = ask(live, "agent", "--message", "hi", *arguments, *where)

        assert 2 == done.returncode
        assert words in done.stderr
        assert "The session key in --session-key" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("sessions", "reset", "stopped", "--yes"), "its session was reset"),
            (("sessions", "delete", "stopped", "--yes"), "its session was deleted"),
        ],
    )
    def test_5_when_somebody_else_stops_it(
        self, live: LiveGateway, service: FakeUpstream, arguments: tuple[str, ...], words: str
    ) -> None:
        """The message says what did, and a program can tell it from a failure."""
        ask(live, "agent", "--message", "hi", "--session-key", "stopped")
        service.play(stream(HELLO, Pause()))
        with begun(live, "agent", "--message", "hi", "--session-key", "stopped", "--json") as process:
            service.wait(2)
            assert 0 == ask(live, *arguments).returncode
            output, errors = process.communicate(timeout=20)
        report = json.loads(output)

        assert (5, "aborted") == (process.returncode, report["status"])
        assert f"The run was stopped before it was done: {words}." == report["error"]
        assert f"Error: {report['error']}\n" == errors.decode()

    def test_5_when_it_is_aborted_through_the_gateway(self, live: LiveGateway, service: FakeUpstream) -> None:
        """``chat.abort`` by another client."""
        service.play(stream(HELLO, Pause()))
        with begun(live, "agent", "--message", "hi", "--session-key", "aborted") as process:
            read_until(process, b"Hello")
            abort(live, "agent:main:aborted")
            _, errors = process.communicate(timeout=20)

        assert 5 == process.returncode
        assert b"it was aborted over the WebSocket (chat.abort)" in errors

    def test_3_where_no_gateway_is(self, tmp_path: Path) -> None:
        """The message says how to start one."""
        done = zero(tmp_path, "agent", "--message", "hi", ZERO_GATEWAY_PORT=str(free_port()))

        assert 3 == done.returncode
        assert "zero gateway" in done.stderr

    def test_3_where_something_else_is(self, tmp_path: Path, service: FakeUpstream) -> None:
        """A web server is no gateway."""
        done = zero(tmp_path, "agent", "--message", "hi", "--url", f"ws://127.0.0.1:{service.port}")

        assert 3 == done.returncode
        assert "404" in done.stderr

    def test_3_when_the_gateway_goes_away(self, start_gateway: Any, service: FakeUpstream, live: LiveGateway) -> None:
        """An answer that breaks off is no answer."""
        own = start_gateway(json.loads(live.config_file.read_text()))
        service.play(stream(HELLO, Pause()))
        with begun(own, "agent", "--message", "hi") as process:
            read_until(process, b"Hello")
            own.kill()
            _, errors = process.communicate(timeout=20)

        assert 3 == process.returncode
        assert b"closed the connection" in errors

    @pytest.mark.parametrize(("token", "word"), [("wrong", "refuses the secret"), (" ", "none is set")])
    def test_4_for_a_wrong_secret(self, live: LiveGateway, tmp_path: Path, token: str, word: str) -> None:
        """The message says where the secret is taken from."""
        done = zero(tmp_path, "agent", "--message", "hi", ZERO_GATEWAY_PORT=str(live.port), ZERO_GATEWAY_TOKEN=token)

        assert 4 == done.returncode
        assert word in done.stderr
        assert "ZERO_GATEWAY_TOKEN" in done.stderr
        assert "gateway.auth.token" in done.stderr

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_124_after_the_timeout(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """The run is stopped, too, and not only the wait for it."""
        service.play(stream(HELLO, Pause()))
        done = ask(live, "agent", "--message", "hi", "--timeout", "2", *where)
        service.last.wait_closed()

        assert (124, "Hello\n") == (done.returncode, done.stdout)
        assert "Error: The run was not done within 2 s, the limit set by --timeout.\n" == done.stderr

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_124_after_the_agents_own_limit(
        self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]
    ) -> None:
        """The agent's ``timeoutSeconds`` counts as well."""
        service.play(stream(HELLO, Pause()))
        done = ask(live, "agent", "--agent", "hasty", "--message", "hi", *where)

        assert 124 == done.returncode
        assert "0.5 s" in done.stderr

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_130_after_ctrl_c(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """The run is stopped, and a program is told so."""
        service.play(stream(HELLO, Pause()))
        with Terminal(live, "agent", "--message", "hi", *where) as terminal:
            terminal.until("Hello")
            terminal.type("\x03")
            service.last.wait_closed()
            terminal.until("Interrupted.")
            assert 130 == terminal.end()

    def test_130_with_json(self, live: LiveGateway, service: FakeUpstream) -> None:
        """The object says that it was stopped, and how far it had come."""
        service.play(stream(HELLO, Pause()))
        with begun(live, "agent", "--message", "hi", "--json", "--session-key", "stopped") as process:
            service.wait()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        service.last.wait_closed()

        assert (130, "aborted") == (process.returncode, json.loads(output)["status"])
        assert 1 == ask(live, "sessions", "show", "stopped").returncode  # nothing half-written


class TestAddress:
    """Which gateway, and which secret."""

    def test_flags_need_no_configuration(self, live: LiveGateway, tmp_path: Path) -> None:
        """``--url`` and ``--token`` are enough."""
        done = zero(tmp_path, "agent", "-m", "hi", "--url", f"ws://127.0.0.1:{live.port}", "--token", TOKEN)

        assert "Hello, wörld\n" == done.stdout

    def test_the_configurations_secret_is_for_its_own_gateway(self, live: LiveGateway) -> None:
        """An address from a flag isn't shown the secret that the configuration keeps for another."""
        done = ask(live, "agent", "-m", "hi", "--url", f"ws://localhost:{live.port}")

        assert 4 == done.returncode
        assert "asks for a secret, and none is set" in done.stderr

    def test_a_remote_gateway(self, live: LiveGateway, tmp_path: Path) -> None:
        """``gateway.remote`` is where commands go, with a secret of its own."""
        remote = {"url": f"ws://127.0.0.1:{live.port}", "token": TOKEN}
        path = tmp_path / "zero.json"
        path.write_text(json.dumps({"gateway": {"auth": {"token": "mine"}, "remote": remote}}))
        done = zero(tmp_path, "agent", "-m", "hi", "--config", str(path))

        assert "Hello, wörld\n" == done.stdout

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "ws://u:p@127.0.0.1"])
    def test_a_url_that_is_none(self, tmp_path: Path, url: str) -> None:
        """It is refused before anybody is asked."""
        done = zero(tmp_path, "agent", "-m", "hi", "--url", url)

        assert 1 == done.returncode
        assert "--url: " in done.stderr

    def test_too_many_wrong_secrets(self, start_gateway: Any, live: LiveGateway, tmp_path: Path) -> None:
        """A locked-out address hears how long."""
        config = json.loads(live.config_file.read_text())
        config["gateway"]["auth"]["rateLimit"] = {"enabled": True, "maxFailures": 1, "lockoutSeconds": 600}
        own = start_gateway(config)
        done = [ask(own, "agent", "-m", "hi", "--token", "wrong") for _ in range(2)]

        assert [4, 4] == [one.returncode for one in done]
        assert "locked this address out" in done[1].stderr


def test_dumb_terminals_get_no_spinner(live: LiveGateway, service: FakeUpstream) -> None:
    """Nothing is drawn where nothing can be undone."""
    service.play(stream(Pause(), *words("x.")))
    with Terminal(live, "agent", "--message", "hi", TERM="dumb") as terminal:
        service.wait().release()
        assert "x." == terminal.raw_until("x.").rstrip("\r\n")
        assert 0 == terminal.end()
