"""Stdout that can't be written: a reader that has had enough, a full disk. No traceback, nothing that works on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ZERO, Terminal, ask, begun, beside, eventually, group, read_until
from tests.fakes.script import Pause, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HELLO = event(chunk({"role": "assistant", "content": "Hello"}))
FULL = "Error: The output can't be written: No space left on device.\n"
WHERE = pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "local"])

PRINTING = [
    ("sessions", "list"),
    ("sessions", "show", "stored"),
    ("sessions", "show", "stored", "--json"),
    ("status",),
    ("config", "get"),
    ("config", "get", "gateway.bind"),
    ("doctor",),
    ("completion", "bash"),
    ("--help",),
    ("--version",),
]


@pytest.fixture(scope="module", autouse=True)
def stored(served: LiveGateway, service: FakeUpstream) -> None:
    """A session to show."""
    service.reset()
    assert 0 == ask(served, "agent", "--session-key", "stored", "--message", "hi").returncode


@pytest.fixture
def closed() -> Iterator[int]:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def into(stdout: int, live: LiveGateway, *arguments: str) -> tuple[int, str]:
    """Run a command beside a gateway; return its exit code and what it says on stderr."""
    done = subprocess.run(
        [ZERO, *arguments],
        env=beside(live),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def into_full_disk(live: LiveGateway, *arguments: str) -> tuple[int, str]:
    """Run it with a stdout on which there is no space."""
    with Path("/dev/full").open("wb") as full:
        return into(full.fileno(), live, *arguments)


class TestReaderThatHasEnough:
    """``| head``."""

    @WHERE
    def test_stops_the_run(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """When nobody reads any more, nobody generates any more; nobody is told."""
        service.play(stream(HELLO, Pause(), HELLO, Pause()))
        with begun(live, "agent", "--message", "hi", *where) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            read_until(process, b"Hello")
            process.stdout.close()
            service.last.release()
            service.last.wait_closed()
            errors = process.stderr.read()

        assert (141, b"") == (process.returncode, errors)

    @pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
    def test_is_not_told(self, live: LiveGateway, closed: int, arguments: tuple[str, ...]) -> None:
        """Every command ends like other programs do, and without a word."""
        assert (141, "") == into(closed, live, *arguments)

    @WHERE
    def test_may_have_wanted_json(self, live: LiveGateway, closed: int, where: tuple[str, ...]) -> None:
        """The run was complete by then."""
        assert (141, "") == into(closed, live, "agent", "--message", "hi", "--json", *where)


class TestFullDisk:
    """``> /dev/full``."""

    @WHERE
    def test_stops_the_run(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """One line says why, and it isn't taken for the model's failure."""
        service.play(stream(HELLO, Pause()))
        ended = into_full_disk(live, "agent", "--message", "hi", *where)
        service.last.wait_closed()

        assert (1, FULL) == ended

    @WHERE
    def test_keeps_nothing_of_the_turn(self, live: LiveGateway, service: FakeUpstream, where: tuple[str, ...]) -> None:
        """An answer that nobody could read was not given."""
        key = f"full{len(where)}"
        service.play(stream(HELLO, Pause()))
        into_full_disk(live, "agent", "--message", "hi", "--session-key", key, *where)

        assert 1 == ask(live, "sessions", "show", key).returncode

    @WHERE
    def test_may_have_been_for_json(self, live: LiveGateway, where: tuple[str, ...]) -> None:
        """The same line."""
        assert (1, FULL) == into_full_disk(live, "agent", "--message", "hi", "--json", *where)

    @pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
    def test_is_told_in_one_line(self, live: LiveGateway, arguments: tuple[str, ...]) -> None:
        """Whatever was to be printed."""
        assert (1, FULL) == into_full_disk(live, *arguments)

    def test_ends_a_chat(self, live: LiveGateway, tmp_path: Path) -> None:
        """Its terminal is for typing only."""
        errors = tmp_path / "errors"
        script = tmp_path / "chat.sh"
        script.write_text(f'exec "{ZERO}" chat > /dev/full 2> "{errors}"\n')
        with Terminal(live, program=("/bin/sh", str(script))) as terminal:
            assert 1 == terminal.end()

        assert FULL == errors.read_text()


class TestClosed:
    """``>&-``: as git does, a command works for what it does besides."""

    @pytest.mark.parametrize("arguments", [("agent", "--message", "hi"), ("status",), ("config", "get", "--json")])
    def test_is_no_failure(self, live: LiveGateway, arguments: tuple[str, ...]) -> None:
        """Nothing is printed, and nothing else is different."""
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" "$@" >&-', ZERO, *arguments],
            env=beside(live),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

        assert (0, "") == (done.returncode, done.stderr)


def test_no_process_of_the_local_model_stays(live: LiveGateway, tmp_path: Path, closed: int) -> None:
    """Whatever ends a command with ``--local``, what it started ends with it."""
    config = json.loads(live.config_file.read_text())
    config["agents"]["list"] = [{"id": "main", "model": "local/smollm2"}]
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [ZERO, "agent", "--local", "--message", "Count to one hundred.", "--config", path],
        env=beside(live),
        stdin=subprocess.DEVNULL,
        stdout=closed,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _, errors = process.communicate(timeout=60)

    assert (141, b"") == (process.returncode, errors)
    eventually(lambda: not group(process.pid))
