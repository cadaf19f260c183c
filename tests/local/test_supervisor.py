"""The life of the child, with small programs in the real model's place."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.engines.local import process
from app.engines.local.supervisor import LocalModel, LocalModelError, LocalModelState, LocalModelStatus
from tests.local.process_probe import Watch, exists, until

PYTHON = (sys.executable, "-I", "-S", "-c")
ANNOUNCE = """print('{"address": "http://127.0.0.1:1"}', flush=True)\n"""
# The alarm ends a program that ignores everything else, should the tests themselves be killed.
READ_KEY = "import sys, signal\nsignal.alarm(120)\nkey = sys.stdin.readline()\n"
UNTIL_THE_END = "sys.stdin.read()\n"
GOOD = (*PYTHON, READ_KEY + ANNOUNCE + UNTIL_THE_END)
SILENT = (*PYTHON, READ_KEY + UNTIL_THE_END)
FAILING = (*PYTHON, """print('{"error": "no luck"}')\n""")
DEAF = (*PYTHON, READ_KEY + ANNOUNCE + "signal.pause()\n")
STUBBORN = (
    *PYTHON,
    READ_KEY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ANNOUNCE + "while True: signal.pause()",
)


@pytest.fixture(scope="module", autouse=True)
def only_our_own_litter() -> Iterator[None]:
    """Leave what other modules have made out of our collections: each takes a millisecond instead of a good many."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Collect what a test has dropped while it can still be blamed: an unclosed transport warns, and fails it."""
    yield
    gc.collect()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Run a coroutine on either event loop: the gateway's is uvloop where there is one."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


Run = Callable[[Coroutine[Any, Any, None]], None]


def counting(journal: Path, program: tuple[str, ...]) -> tuple[str, ...]:
    """Make the program write a line into a journal whenever it is started."""
    *python, source = program
    return (*python, f"with open({str(journal)!r}, 'a') as file: file.write('started\\n')\n" + source)


def starts(journal: Path) -> int:
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def seen_from_outside(pid: int) -> bytes:
    """What the operating system shows of a process to others: its command line and its environment."""
    return b"".join(Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ"))


def pid_of(model: LocalModel) -> int:
    pid = model.status.pid
    assert pid is not None
    return pid


class TestStart:
    def test_callers_share_one_start(self, run: Run, tmp_path: Path) -> None:
        """Callers that come together, and those that come later, get the same endpoint from one process."""
        journal = tmp_path / "journal"

        async def scenario() -> None:
            model = LocalModel(command=counting(journal, GOOD))
            assert model.status.state is LocalModelState.STOPPED
            first, *others = await asyncio.gather(*(model.endpoint() for _ in range(5)))
            assert [first] * 5 == [*others, await model.endpoint()]
            assert first.base_url == "http://127.0.0.1:1/v1"
            assert (model.status.state, model.status.restarts) == (LocalModelState.READY, 0)
            assert starts(journal) == 1
            await model.close()

        run(scenario())

    def test_the_key_travels_on_stdin_only(self, run: Run) -> None:
        """The secret is neither on the child's command line nor in its environment, and reaches it all the same."""

        async def scenario() -> None:
            echo = READ_KEY + """print('{"address": "http://' + key.strip() + '"}', flush=True)\n""" + UNTIL_THE_END
            model = LocalModel(command=(*PYTHON, echo))
            endpoint = await model.endpoint()
            assert endpoint.base_url == f"http://{endpoint.api_key}/v1"
            assert len(endpoint.api_key) >= 32
            assert endpoint.api_key.encode() not in seen_from_outside(pid_of(model))
            await model.close()

        run(scenario())

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            (FAILING, "no luck"),
            (
                (*PYTHON, "import sys; sys.exit('first\\nlast words')"),
                "exit code 1 before it was ready | first | last words",
            ),
            ((*PYTHON, "import os; os.abort()"), "killed by signal 6"),
            ((*PYTHON, "print('hello')"), "b'hello' instead of its address"),
            (("/nonexistent/python",), "/nonexistent/python: No such file or directory"),
        ],
    )
    def test_a_failed_start_says_why(self, run: Run, command: tuple[str, ...], reason: str) -> None:
        """Each way to fail gives a reason to the caller and to the status."""

        async def scenario() -> None:
            model = LocalModel(command=command)
            with pytest.raises(LocalModelError) as caught:
                await model.endpoint()
            assert caught.value.message.startswith("The local model did not start: ")
            assert reason in caught.value.message
            assert model.status.state is LocalModelState.FAILED
            assert reason in (model.status.reason or "")
            assert model.status.pid is None
            await model.close()

        run(scenario())

    def test_a_silent_child_is_killed_in_time(self, run: Run) -> None:
        """A child that never announces itself is ended after the start-up timeout."""

        async def scenario() -> None:
            model = LocalModel(command=SILENT, startup_timeout=1.5)
            waiting = asyncio.create_task(model.endpoint())
            await until(lambda: model.status.pid is not None)
            assert model.status.state is LocalModelState.STARTING
            pid = pid_of(model)
            with pytest.raises(LocalModelError, match=r"not ready within 1\.5 s"):
                await waiting
            assert not exists(pid)
            await model.close()

        run(scenario())

    def test_stderr_is_logged(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        """What the child writes on stderr can be read in the log, at debug level."""
        caplog.set_level(logging.DEBUG, logger="zero.test")

        async def scenario() -> None:
            talking = READ_KEY + "print('a remark', file=sys.stderr, flush=True)\n" + ANNOUNCE + UNTIL_THE_END
            model = LocalModel(command=(*PYTHON, talking), log=logging.getLogger("zero.test"))
            await model.endpoint()
            await until(lambda: ("zero.test", logging.DEBUG, "local model: a remark") in caplog.record_tuples)
            await model.close()

        run(scenario())


class TestRestart:
    def test_a_dead_child_is_replaced_at_the_next_call(self, run: Run) -> None:
        """The status tells of the death; the next caller gets a new process with a new key."""

        async def scenario() -> None:
            model = LocalModel(command=GOOD)
            before, pid = await model.endpoint(), pid_of(model)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: model.status.state is not LocalModelState.READY)
            dead = model.status
            assert dead == LocalModelStatus(LocalModelState.FAILED, None, 0, "its process was killed by signal 9")
            after = await model.endpoint()
            assert after.api_key != before.api_key
            assert pid_of(model) != pid
            after_restart = model.status
            assert (after_restart.state, after_restart.restarts) == (LocalModelState.READY, 1)
            await model.close()

        run(scenario())

    def test_a_start_that_keeps_failing_is_not_repeated_for_a_while(self, run: Run, tmp_path: Path) -> None:
        """After five failures within a minute no process is started until the oldest of them is a minute old."""
        journal = tmp_path / "journal"
        now = 1000.0

        async def scenario() -> None:
            nonlocal now
            model = LocalModel(command=counting(journal, FAILING), clock=lambda: now)
            for _ in range(5):
                with pytest.raises(LocalModelError, match="did not start: no luck"):
                    await model.endpoint()
                now += 1
            for _ in range(3):
                with pytest.raises(LocalModelError, match=r"5 times .* tried again in 55 s.* no luck"):
                    await model.endpoint()
            assert starts(journal) == 5
            now = 1060.0
            with pytest.raises(LocalModelError, match="did not start: no luck"):
                await model.endpoint()
            with pytest.raises(LocalModelError, match="tried again in 1 s"):
                await model.endpoint()
            assert starts(journal) == 6
            await model.close()

        run(scenario())


class TestCancellation:
    def test_a_cancelled_caller_leaves_the_start_to_the_others(self, run: Run, tmp_path: Path) -> None:
        """One of two waiting callers goes away; the other still gets the process that both waited for."""
        journal = tmp_path / "journal"

        async def scenario() -> None:
            model = LocalModel(command=counting(journal, GOOD))
            leaving, staying = (asyncio.create_task(model.endpoint()) for _ in range(2))
            await until(lambda: model.status.state is LocalModelState.STARTING)
            leaving.cancel()
            assert (await staying).base_url == "http://127.0.0.1:1/v1"
            assert leaving.cancelled()
            assert starts(journal) == 1
            await model.close()

        run(scenario())

    def test_a_start_goes_on_without_any_caller(self, run: Run, tmp_path: Path) -> None:
        """The only caller goes away; the process becomes ready for the next one."""
        journal = tmp_path / "journal"

        async def scenario() -> None:
            model = LocalModel(command=counting(journal, GOOD))
            leaving = asyncio.create_task(model.endpoint())
            await until(lambda: model.status.state is LocalModelState.STARTING)
            leaving.cancel()
            await until(lambda: model.status.state is LocalModelState.READY)
            await model.endpoint()
            assert starts(journal) == 1
            await model.close()

        run(scenario())

    @pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8])
    def test_close_at_any_step_of_a_start_leaves_nothing(self, run: Run, steps: int) -> None:
        """However far a start has come, closing ends it, even if the first call to close is itself cancelled."""

        async def scenario() -> None:
            model = LocalModel(command=SILENT)
            waiting = asyncio.create_task(model.endpoint())
            for _ in range(steps):
                await asyncio.sleep(0)
            hasty = asyncio.create_task(model.close())
            await asyncio.sleep(0)
            pid = model.status.pid
            hasty.cancel()
            await model.close()
            with pytest.raises(LocalModelError, match="is closed"):
                await waiting
            assert pid is None or not exists(pid)
            assert model.status == (LocalModelState.STOPPED, None, 0, None)

        run(scenario())


class TestClose:
    def test_close_is_final_and_idempotent(self, run: Run) -> None:
        """Closing twice, at once or one after the other, ends the process; nobody can start it again."""

        async def scenario() -> None:
            model = LocalModel(command=GOOD)
            await model.endpoint()
            pid = pid_of(model)
            await asyncio.gather(model.close(), model.close())
            await model.close()
            assert not exists(pid)
            assert model.status == (LocalModelState.STOPPED, None, 0, None)
            with pytest.raises(LocalModelError, match="is closed"):
                await model.endpoint()

        run(scenario())

    def test_a_model_that_never_ran_can_be_closed(self, run: Run) -> None:
        """Closing starts nothing."""

        async def scenario() -> None:
            model = LocalModel(command=GOOD)
            await model.close()
            assert model.status == (LocalModelState.STOPPED, None, 0, None)

        run(scenario())

    def test_a_dead_child_can_be_closed(self, run: Run) -> None:
        """A child that died on its own is no obstacle to closing."""

        async def scenario() -> None:
            model = LocalModel(command=GOOD)
            await model.endpoint()
            os.kill(pid_of(model), signal.SIGKILL)
            await model.close()
            assert model.status.state is LocalModelState.STOPPED

        run(scenario())

    @pytest.mark.parametrize("program", [DEAF, STUBBORN], ids=["terminated", "killed"])
    def test_a_child_that_ignores_the_end_is_forced(
        self, run: Run, program: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A child that outlives its stdin is terminated, and one that ignores that too is killed."""
        monkeypatch.setattr(process, "GRACE_SECONDS", 0.05)
        monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.05 if program is STUBBORN else 20)

        async def scenario() -> None:
            model = LocalModel(command=program)
            await model.endpoint()
            pid = pid_of(model)
            async with asyncio.timeout(15):
                await model.close()
            assert not exists(pid)

        run(scenario())

    def test_cancelling_close_kills(self, run: Run) -> None:
        """Whoever has no time to wait for the end of close gets the process killed at once."""

        async def scenario() -> None:
            model = LocalModel(command=STUBBORN)
            await model.endpoint()
            watch = Watch(pid_of(model))
            closing: Awaitable[None] = model.close()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(closing, 0.05)
            assert watch.ended(within=5)
            await model.close()

        run(scenario())
