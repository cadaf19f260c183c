"""What ends ``zero agent`` before its answer: signals and its own timeout, at every stage. The run ends, too."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from array import array
from fcntl import F_GETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from termios import FIONREAD
from typing import IO

import pytest

from tests.cli.command import ZERO, Terminal, ask, begun, environ, eventually, read_until, zero
from tests.cli.silent_gateway import Detour, SilentGateway
from tests.fakes.script import Pause, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway, free_port

HELLO = event(chunk({"role": "assistant", "content": "Hello"}))
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
BOUND = 6.0
"""Seconds within which a command has ended that waits for nobody: starting it on a busy machine is most of it."""


def started(home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start a command, its output in pipes."""
    return subprocess.Popen(
        [ZERO, *arguments],
        env=environ(home, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestSignals:
    """Ctrl-C, SIGTERM and SIGHUP."""

    @pytest.mark.parametrize("how", CODES)
    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])
    def test_stop_the_run(
        self, live: LiveGateway, service: FakeUpstream, how: signal.Signals, where: tuple[str, ...]
    ) -> None:
        """What was said until then is there, and nobody works on for nobody."""
        service.play(stream(HELLO, Pause()))
        with begun(live, "agent", "--message", "hi", *where) as process:
            read_until(process, b"Hello")
            process.send_signal(how)
            rest, errors = process.communicate(timeout=20)
        service.last.wait_closed()

        assert (CODES[how], b"\n") == (process.returncode, rest)
        assert errors.startswith(b"Error: ")
        assert 1 == errors.count(b"\n")

    @pytest.mark.parametrize("how", CODES)
    @pytest.mark.parametrize("key", [(), ("--session-key", "notes")], ids=["stateless", "session"])
    def test_stop_a_run_that_nobody_has_accepted_yet(
        self, tmp_path: Path, how: signal.Signals, key: tuple[str, ...]
    ) -> None:
        """The run's id is the client's own choice: that will do, and a silent gateway isn't waited for long."""
        with SilentGateway("agent") as gateway:
            process = started(tmp_path, "agent", "--message", "hi", "--url", gateway.url, *key)
            run_id = gateway.request("agent")["idempotencyKey"]
            began = time.monotonic()
            process.send_signal(how)
            aborted = gateway.request("chat.abort")
            _, errors = process.communicate(timeout=20)
            took = time.monotonic() - began

        assert {"runId": run_id, "sessionKey": key[1] if key else "main"} == aborted
        assert CODES[how] == process.returncode
        assert 1 == errors.count("\n")
        assert took < BOUND

    def test_reach_a_gateway_that_hears_of_the_run_only_later(self, live: LiveGateway, service: FakeUpstream) -> None:
        """It finds the abortion right behind the request, however long both were on their way."""
        service.play([Pause()])
        with Detour(live.port) as detour:
            process = begun(live, "agent", "--message", "hi", "--url", detour.url, "--token", TOKEN)
            with process:
                detour.wait()
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=20)
            detour.release()
        eventually(lambda: 0 == json.loads(ask(live, "status", "--json").stdout)["activeRuns"])

        assert 130 == process.returncode
        assert all(one.closed.is_set() for one in service.exchanges)

    @pytest.mark.parametrize("until", ["connect", "accepted"])
    def test_end_it_while_a_gateway_is_silent(self, tmp_path: Path, until: str) -> None:
        """Before the handshake and after the acceptance alike, within moments."""
        with SilentGateway("connect" if until == "connect" else "accepted") as gateway:
            process = started(tmp_path, "agent", "--message", "hi", "--json", "--url", gateway.url)
            if until == "accepted":
                gateway.request("agent")
            else:
                gateway.accepted()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
            took = time.monotonic() - began

        assert (143, "aborted") == (process.returncode, json.loads(output)["status"])
        assert took < BOUND

    def test_a_second_ctrl_c_ends_it_at_once(self, tmp_path: Path) -> None:
        """Who asks twice doesn't wait for the gateway to confirm."""
        with SilentGateway("agent") as gateway:
            process = started(tmp_path, "agent", "--message", "hi", "--url", gateway.url)
            gateway.request("agent")
            process.send_signal(signal.SIGINT)
            gateway.request("chat.abort")
            began = time.monotonic()
            while process.poll() is None:
                process.send_signal(signal.SIGINT)  # one within the first moments is taken for the same
            took = time.monotonic() - began
            process.communicate()

        assert 130 == process.returncode
        assert took < 1.0

    def test_the_same_signal_twice_at_once_is_one(self, tmp_path: Path) -> None:
        """``timeout`` and shells send it to the process and to its group: the run is aborted all the same."""
        with SilentGateway("agent") as gateway:
            process = started(tmp_path, "agent", "--message", "hi", "--url", gateway.url)
            gateway.request("agent")
            process.send_signal(signal.SIGTERM)
            gateway.request("chat.abort")
            process.send_signal(signal.SIGHUP)  # a shell's, when its terminal goes; however late
            process.communicate(timeout=20)

        assert 143 == process.returncode

    def test_ignored_ones_stay_ignored(self, live: LiveGateway, service: FakeUpstream) -> None:
        """``nohup zero agent`` goes on when the terminal goes."""
        service.play(stream(HELLO, Pause()))
        process = subprocess.Popen(
            ["sh", "-c", f"trap '' HUP; exec {ZERO} agent --message hi"],
            env=environ(live.folder, ZERO_CONFIG_PATH=str(live.config_file), ZERO_GATEWAY_PORT=str(live.port)),
            stdout=subprocess.PIPE,
        )
        with process:
            read_until(process, b"Hello")
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)

        assert 130 == process.returncode

    def test_a_reader_that_does_not_read_does_not_keep_them_waiting(
        self, live: LiveGateway, service: FakeUpstream
    ) -> None:
        """``zero agent | less``, and Ctrl-C while the pipe is full."""
        service.play(stream(*[event(chunk({"content": "x" * 4096}))] * 50, Pause()))
        with begun(live, "agent", "--message", "hi") as process:
            eventually(lambda: _is_full(process.stdout))
            process.send_signal(signal.SIGINT)
            assert 130 == process.wait(20)
        service.last.wait_closed()

    def test_a_terminal_that_goes(self, live: LiveGateway, service: FakeUpstream) -> None:
        """The run ends with it."""
        service.play(stream(HELLO, Pause()))
        terminal = Terminal(live, "agent", "--message", "hi")
        with terminal:
            terminal.until("Hello")
            terminal.close()
            assert 129 == terminal.end()
        service.last.wait_closed()

    def test_stop_other_commands_as_well(self, tmp_path: Path) -> None:
        """One line, and the signal's code."""
        for how, code in CODES.items():
            with SilentGateway("connect") as gateway:
                process = started(tmp_path, "sessions", "list", "--url", gateway.url)
                gateway.accepted()
                process.send_signal(how)
                _, errors = process.communicate(timeout=20)

            assert (code, 1) == (process.returncode, errors.count("\n"))


class TestTimeout:
    """``--timeout``."""

    @pytest.mark.parametrize("until", ["connect", "agent", "accepted"])
    def test_covers_everything(self, tmp_path: Path, until: str) -> None:
        """From the first attempt to connect on; what was silent is told."""
        began = time.monotonic()
        with SilentGateway(until) as gateway:  # type: ignore[arg-type]  # one of its words
            done = zero(tmp_path, "agent", "--message", "hi", "--url", gateway.url, "--timeout", "0.5", "--json")
        took = time.monotonic() - began
        what = f"No gateway answered at {gateway.url}" if until == "connect" else "The run was not done"

        assert (124, "timeout") == (done.returncode, json.loads(done.stdout)["status"])
        assert f"Error: {what} within 0.5 s, the limit set by --timeout.\n" == done.stderr
        assert took < BOUND + 0.5

    def test_aborts_the_run(self, tmp_path: Path) -> None:
        """Accepted or not."""
        with SilentGateway("agent") as gateway:
            process = started(tmp_path, "agent", "--message", "hi", "--url", gateway.url, "--timeout", "0.5")
            run_id = gateway.request("agent")["idempotencyKey"]
            assert run_id == gateway.request("chat.abort")["runId"]
            process.communicate(timeout=20)

        assert 124 == process.returncode

    def test_is_not_what_a_refused_connection_waits_for(self, tmp_path: Path) -> None:
        """That is told at once."""
        url = f"ws://127.0.0.1:{free_port()}"
        began = time.monotonic()
        done = zero(tmp_path, "agent", "--message", "hi", "--url", url, "--timeout", "30")

        assert 3 == done.returncode
        assert "the connection is refused" in done.stderr
        assert time.monotonic() - began < BOUND

    def test_is_not_kept_waiting_by_a_name(self, tmp_path: Path) -> None:
        """The system's resolver can't be interrupted, and isn't waited for."""
        (tmp_path / "sitecustomize.py").write_text(
            "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(30)\n"
        )
        began = time.monotonic()
        done = zero(
            tmp_path, "agent", "-m", "hi", "--url", "ws://slow.example", "--timeout", "0.5", PYTHONPATH=str(tmp_path)
        )

        assert 124 == done.returncode
        assert time.monotonic() - began < BOUND + 0.5


def _is_full(pipe: IO[bytes] | None) -> bool:
    assert pipe is not None
    waiting = array("i", [0])
    ioctl(pipe.fileno(), FIONREAD, waiting)
    return waiting[0] == fcntl(pipe.fileno(), F_GETPIPE_SZ)
