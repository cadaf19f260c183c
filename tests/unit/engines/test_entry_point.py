"""docs/engines.md, "An engine of your own": the example on that page, installed as a package and talked to."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import json5
import pytest

from app.config import ConfigError, load
from tests.documents import fenced
from tests.doors.client import chat, user
from tests.live_gateway import LiveGateway, configuration

PAGE = Path(__file__).parents[3] / "docs" / "engines.md"
[NAMED] = (json5.loads(block.text)["agents"]["list"] for block in fenced(PAGE, "json5") if "reverse/" in block.text)
AGENTS = {"list": [*NAMED, {"id": "letters", "model": "reverse/letters"}]}

StartGateway = Callable[..., LiveGateway]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the page's package in it, as pip would have left it."""
    [project] = (tomllib.loads(block.text)["project"] for block in fenced(PAGE, "toml"))
    [module] = (block.text for block in fenced(PAGE, "python"))
    [(group, points)] = project["entry-points"].items()
    [target] = points.values()
    (tmp_path / f"{target.partition(':')[0]}.py").write_text(module)
    information = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = "\n".join(f"{name} = {value}" for name, value in points.items())
    (information / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
    return tmp_path


@pytest.fixture
def live(site: Path, start_gateway: StartGateway) -> LiveGateway:
    """A gateway that finds the package, with an agent for each of the engine's models."""
    return start_gateway(configuration(agents=AGENTS), environ={"PYTHONPATH": str(site)})


def test_the_engine_answers(live: LiveGateway) -> None:
    """An agent whose provider is the entry point's name is answered by the registered engine."""
    reply = chat(live, "one two three")

    assert "three two one " == reply.text
    assert "stop" == reply.json["choices"][0]["finish_reason"]
    assert reply.json["usage"]["completion_tokens"] > 0


def test_the_engine_sees_which_model_is_meant(live: LiveGateway) -> None:
    """What stands behind the provider's name reaches the engine."""
    assert "eno owt " == chat(live, [user("two one")], model="zero:letters").text


def test_the_engine_streams(live: LiveGateway) -> None:
    """Each of its events is a chunk, in order, ending as every stream does."""
    frames = chat(live, "one two", stream=True).body.decode().split("\n\n")

    assert ["data: [DONE]", ""] == frames[-2:]
    choices = [json.loads(frame.removeprefix("data: "))["choices"][0] for frame in frames[:-2]]
    deltas = [choice["delta"] for choice in choices]
    assert [{"role": "assistant", "content": "two "}, {"content": "one "}, {}] == deltas
    assert [None, None, "stop"] == [choice["finish_reason"] for choice in choices]


def test_the_engine_refuses_what_it_cannot_do(live: LiveGateway) -> None:
    """What it raises before its first event is the client's answer, with the parameter's name."""
    assert (400, "unsupported_parameter", "n") == chat(live, "one two", n=2).summary


def test_without_the_package_the_agent_is_a_mistake(tmp_path: Path) -> None:
    """A provider that nobody registers is found at the start, not at the first request."""
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(configuration(agents=AGENTS)))

    with pytest.raises(ConfigError, match='the provider "reverse" is neither built in'):
        load(path, {})
