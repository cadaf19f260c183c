"""A gateway with an agent for each kind of engine, called like the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.caller import Caller
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration

PROBE = '''
import msgspec

from app.engines.upstream.chunk import event_of_chunk
from app.runs.event import finish_event, text_event


class Probe:
    """Says the chunks that the request has under `x_play`, or else answers with what it was given."""

    async def run(self, turn):
        if "x_play" in turn.parameters:
            for chunk in msgspec.json.decode(turn.parameters["x_play"], type=list[msgspec.Raw]):
                yield event_of_chunk(bytes(chunk))
            return
        given = {"parameters": turn.parameters, "messages": [message.raw for message in turn.messages]}
        text = msgspec.json.encode(given).decode()
        for index in range(turn.choices):
            yield text_event(text, index=index)
            yield finish_event("stop", index=index)

    async def close(self):
        pass
'''
MODELS = {
    "echo": "echo/echo",
    "openai-completions": "fake/model",
    "local": "local/smollm2",
    "entry-point": "probe/probe",
}
"""The model of each engine's agent; the agent is called like the engine."""


@pytest.fixture(scope="package")
def service() -> Iterator[FakeUpstream]:
    """The scripted upstream behind the agent ``openai-completions``."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """The scripted upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="package")
def live(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """The gateway."""
    site = _site(tmp_path_factory.mktemp("site"))
    config = configuration(
        agents={"list": [{"id": engine, "model": model} for engine, model in MODELS.items()]},
        models={"providers": {"fake": {"baseUrl": service.base_url}}},
    )
    with LiveGateway(tmp_path_factory.mktemp("compatibility"), config, environ={"PYTHONPATH": str(site)}) as gateway:
        yield gateway


@pytest.fixture(scope="package")
def caller(live: LiveGateway) -> Caller:
    """A client of the gateway."""
    return Caller(live)


def _site(folder: Path) -> Path:
    """Put a package with an engine into a folder, as pip would have left it."""
    (folder / "probe.py").write_text(PROBE)
    information = folder / "probe-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[zero.engines]\nprobe = probe:Probe\n")
    return folder
