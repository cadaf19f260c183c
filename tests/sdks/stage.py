"""The gateway that the generated clients are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.script import Pause, Reset, chunk, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration

CALL = {"index": 0, "id": "call_1", "type": "function"}
ARGUMENTS = '{"city": "Lisboa"}'


@contextmanager
def stage(folder: Path) -> Iterator[LiveGateway]:
    """Start a gateway whose agents show what a client meets.

    ``main`` and ``beta`` echo, ``caller`` calls a tool, ``broken`` breaks off in mid-sentence. ``slow`` has room for
    one run, of which the first never ends by itself.

    Args:
        folder: An empty folder for its configuration and state.
    """
    with FakeUpstream() as upstream:
        call = {**CALL, "function": {"name": "get_weather", "arguments": ARGUMENTS}}
        asks = [event(chunk({"tool_calls": [call]})), event(chunk({}, finish_reason="tool_calls")), *words()[-2:]]
        upstream.play(stream(*asks), model="caller")
        upstream.play(stream(event(chunk({"content": "Olá"})), Reset()), model="broken")
        upstream.play(stream(event(chunk({"content": "Olá"})), Pause()), stream(*words("free again")), model="slow")
        agents = [
            {"id": "main", "model": "echo/echo"},
            {"id": "beta", "model": "echo/echo"},
            {"id": "caller", "model": "fake/caller"},
            {"id": "broken", "model": "fake/broken"},
            {"id": "slow", "model": "fake/slow", "maxConcurrent": 1},
        ]
        providers = {"fake": {"baseUrl": upstream.base_url, "apiKey": "upstream-key"}}
        config = configuration(agents={"list": agents}, models={"providers": providers})
        with LiveGateway(folder, config) as gateway:
            yield gateway
