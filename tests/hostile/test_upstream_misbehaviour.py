"""A hostile upstream: whatever it does, its client gets a clear error, and nothing of it is left in the gateway."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final, cast

import aiohttp
import msgspec
import pytest

from app.config import AgentProfile, Provider
from app.contract.models import CreateChatCompletionRequest
from app.engines.upstream.engine import Endpoint, UpstreamEngine
from app.errors import EngineFailed
from app.runs.event import Event
from app.runs.turn import Turn
from app.sessions.message import Message
from tests.engines.caller import Caller, Whole
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, Script, Send, Step, error, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.hostile.misbehaviours import AMID, BEFORE, HELLO, TOO_LARGE, bomb
from tests.live_gateway import LiveGateway, configuration

MAX_ANSWER: Final = 4_000_000
SIZE: Final = 18_000_000
HELD: Final = 48 * 1024 * 1024
"""Bytes by which a gateway may grow, whatever an upstream sends: an answer's limit several times over."""


@pytest.fixture(scope="module")
def service() -> Iterator[FakeUpstream]:
    """The hostile upstream."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """The hostile upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="module")
def gateway(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that takes no large answers."""
    config = upstream_configuration(service)
    config["models"]["providers"]["fake"]["maxAnswerBytes"] = MAX_ANSWER
    with LiveGateway(tmp_path_factory.mktemp("hostile"), config) as live:
        yield live


@pytest.fixture(scope="module")
def client(gateway: LiveGateway) -> Caller:
    """A client of that gateway."""
    return Caller(gateway)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("script", "code"), BEFORE.values(), ids=BEFORE)
def test_each_a_clear_502(upstream: FakeUpstream, client: Caller, script: Script, code: str, streamed: bool) -> None:
    """As long as nothing was said, misbehaviour is a 502 with a code, and the SDKs are told not to repeat it."""
    upstream.play(script)
    answer = client.ask(stream=streamed)
    assert (502, code, "server_error") == (answer.status, answer.error["code"], answer.error["type"])
    assert "false" == answer.headers["x-should-retry"]
    assert not re.search("html|169.254|127.0.0.1|SSH", answer.error["message"])
    assert 1 == len(upstream.exchanges)


@pytest.mark.parametrize(("steps", "code"), AMID.values(), ids=AMID)
def test_behind_the_first_words_an_error_event(
    upstream: FakeUpstream, client: Caller, steps: list[bytes | Step], code: str
) -> None:
    """A stream that has begun ends with the error as an event, with no finish reason and no usage."""
    upstream.play(stream(HELLO, Pause(), *steps))
    with client.open(stream_options={"include_usage": True}) as stream_:
        first = stream_.frame()
        upstream.last.release()
        answer = stream_.rest(first)  # checks that there is no sign of success
    assert (code, None) == (answer.error["code"], answer.finish())
    assert answer.text().startswith("Hello,")


@pytest.mark.parametrize(("steps", "code"), AMID.values(), ids=AMID)
def test_a_truncated_stream_is_an_error_not_a_short_success(
    upstream: FakeUpstream, client: Caller, steps: list[bytes | Step], code: str
) -> None:
    """For a client that wants the answer in one piece it is a 502, and what was said before is no answer."""
    upstream.play(stream(HELLO, Pause(), *steps))
    with client.send() as connection:
        upstream.wait().release()
        with connection.getresponse() as response:
            answer = Whole.of(response)
    assert (502, code) == (answer.status, answer.error["code"])


def test_a_session_remembers_nothing_of_a_broken_answer(upstream: FakeUpstream, client: Caller) -> None:
    """What a broken run was asked and began to say is not in the conversation of the next."""
    session = {"x-zero-session-key": "broken"}
    upstream.play(stream(HELLO), stream(*words("whole")))
    assert 502 == client.ask(headers=session, messages=[{"role": "user", "content": "forget me"}]).status
    assert "whole" == client.ask(headers=session).text
    assert [{"role": "user", "content": "hi"}] == upstream.last.json["messages"]


def test_a_refusal_of_a_request_that_was_not_read(tmp_path: Path) -> None:
    """An upstream that answers a large request after its first bytes is understood, and its words are the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = configuration(
            agents={"list": [{"id": "main", "model": "hasty/m"}]},
            models={"providers": {"hasty": {"baseUrl": f"http://127.0.0.1:{listener.getsockname()[1]}/v1"}}},
        )
        with (
            LiveGateway(tmp_path, config) as live,
            Caller(live).send(messages=[{"role": "user", "content": "x" * SIZE}]) as asking,
        ):
            connection, _ = listener.accept()
            with connection:
                taken = len(connection.recv(100))
                [refusal] = error(413, {"message": "That is too much for me."})
                assert isinstance(refusal, Send)
                connection.sendall(refusal.data)
                with asking.getresponse() as response:
                    answer = Whole.of(response)
                assert (400, "That is too much for me.") == (answer.status, answer.error["message"])
                connection.settimeout(5)
                try:
                    while piece := connection.recv(1_000_000):
                        taken += len(piece)
                except ConnectionError:
                    pass  # the end, amid what was under way: nothing holds the connection open
                except TimeoutError:
                    # Kept for further requests, as any other: the system had taken the whole request off the gateway.
                    assert taken > SIZE


class TestMemory:
    """What an upstream sends is held in bounded memory."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("name", [name for name in BEFORE if "endless" in name or "without end" in name])
    def test_an_endless_stream(
        self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller, name: str, streamed: bool
    ) -> None:
        """What never ends is taken in up to the limit only."""
        script, code = BEFORE[name]
        assert code == self.failure(upstream, gateway, client, script, streamed)
        assert upstream.last.wait_closed()

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_a_huge_single_chunk(
        self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller, streamed: bool
    ) -> None:
        """A chunk of a gibibyte isn't waited for: the limit counts what has come of it."""
        script, code = BEFORE["a huge single chunk"]
        assert code == self.failure(upstream, gateway, client, script, streamed)
        assert upstream.last.wait_closed()

    def test_a_bomb(self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller) -> None:
        """An answer that is small only while it is packed is unpacked up to the limit."""
        assert TOO_LARGE == self.failure(upstream, gateway, client, bomb(300_000_000), streamed=False)

    def failure(
        self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller, script: Script, streamed: bool
    ) -> str:
        """Ask, and return the error's code once it is sure that the gateway didn't grow by much."""
        upstream.play(script)
        before = memory(gateway, "VmRSS")
        Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")  # the peak begins anew
        code: str = client.ask(stream=streamed).error["code"]
        assert memory(gateway, "VmHWM") - before < HELD
        return code


def memory(gateway: LiveGateway, what: str) -> int:
    """Return a figure of the gateway's memory, in bytes."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def connections(port: int) -> int:
    """Return how many sockets of this process are connected to a port."""
    count = 0
    for file in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            if str(file.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as one:
                    count += one.family == socket.AF_INET and one.getpeername()[1] == port
    return count


class TestNothingIsLeft:
    """No socket and no task outlives the misbehaviour that it was there for."""

    SCRIPTS: Final = {
        **{name: script for name, (script, _) in BEFORE.items()},
        **{f"{name} amid": stream(HELLO, *steps) for name, (steps, _) in AMID.items()},
    }

    @pytest.mark.parametrize("growing", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
    def test_no_socket_or_task_is_left(self, upstream: FakeUpstream, script: Script, growing: bool) -> None:
        """The engine has nothing under way when it has failed, and nothing open once its client is closed."""
        upstream.play(script)
        assert (0, 0) == asyncio.run(self.fail(upstream, growing))

    @staticmethod
    async def fail(upstream: FakeUpstream, growing: bool) -> tuple[int, int]:
        """Have an engine ask the upstream; return how many tasks and how many connections to it are left."""
        settings = Provider(base_url=upstream.base_url, max_answer_bytes=MAX_ANSWER)
        request = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        turn = Turn(
            run_id="run",
            agent=cast("AgentProfile", None),
            model="m",
            messages=(Message.of("user", {"role": "user", "content": "hi"}),),
            request=msgspec.convert(request, CreateChatCompletionRequest),
            parameters={},
            growing=growing,
        )

        async def where() -> Endpoint:
            return Endpoint(settings.base_url, {})

        async with aiohttp.ClientSession(read_bufsize=256 * 1024) as session:
            engine = UpstreamEngine("fake", where, lambda: session, settings)
            with suppress(EngineFailed):
                async with aclosing(cast("AsyncGenerator[Event, None]", engine.run(turn))) as events:
                    async for _ in events:
                        pass
            await asyncio.sleep(0)  # a task that was cancelled ends in the next step
            tasks = len(asyncio.all_tasks()) - 1
        await asyncio.sleep(0)
        return tasks, connections(upstream.port)
