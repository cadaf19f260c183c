"""The requests, answers and headers that the documents show: each is sent, or compared with what comes."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from tests.applications.recipe import variables
from tests.documents import ROOT, fenced
from tests.doors.client import ask, chat, post
from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.official import validator
from tests.snippets.snippet import Snippet, Way, snippets
from tests.snippets.stage import Stage, agents

Json: TypeAlias = Any  # what a page shows, whatever it is

DOCS: Final = ROOT / "docs"
DURATION: Final = re.compile(r"(?:\d+h)?(?:\d+m(?!s))?(?:[\d.]+s|\d+ms)?")


def shape(value: Json) -> Json:
    """Return a JSON value with the kinds of its values for the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def block(page: str, language: str, begins: str) -> str:
    """Return the text of a page's one block that begins so."""
    [found] = (each.text for each in fenced(ROOT / page, language) if each.text.startswith(begins))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with one agent, whose metrics are on."""
    agent = {"id": "main", "model": "echo/echo"}
    config = configuration(agents={"list": [agent]}, gateway={"metrics": {"enabled": True}})
    with LiveGateway(tmp_path_factory.mktemp("alone"), config) as gateway:
        yield gateway


def is_answered(body: Json, live: LiveGateway, _: Stage) -> None:
    """A request is answered, and is one by OpenAI's schema."""
    validator("CreateChatCompletionRequest").validate(body)
    assert 200 == post(live, json.dumps(body).encode()).status


def is_an_error(body: Json, live: LiveGateway, _: Stage) -> None:
    """An unknown agent is answered with this, word for word."""
    assert body == chat(live, "oi", model="zero:nope").json


def is_a_result(body: Json, _: LiveGateway, served: Stage) -> None:
    """``zero agent --json`` prints an object of this shape."""
    done = served.run("zero agent --session-key notes --message oi --json")
    assert shape(body) == shape(json.loads(done.out))


def is_the_recipe(body: Json, _: LiveGateway, __: Stage) -> None:
    """What is typed into Open WebUI is what its variables say."""
    said = variables("open-webui.md", "## What to type")["OPENAI_API_CONFIGS"]
    assert {"0": {"headers": body}} == json.loads(said)


KINDS: Final[dict[str, Callable[[Json, LiveGateway, Stage], None]]] = {
    "model": is_answered,
    "error": is_an_error,
    "runId": is_a_result,
    "x-zero-session-key": is_the_recipe,
}
"""What is done with a JSON object, by its first member."""


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in snippets(Way.EXCHANGE)])
def test_json(snippet: Snippet, alone: LiveGateway, served: Stage) -> None:
    """What a page shows as JSON is what is sent or comes."""
    body = json.loads(snippet.text)
    KINDS[next(iter(body))](body, alone, served)


def test_the_limits_in_headers(tmp_path: Path) -> None:
    """The key that docs/api-keys.md makes is told what the page says it is told."""
    shown = re.findall(r"(.+): (.+)", block("docs/api-keys.md", "", "x-ratelimit"))
    made = block("docs/api-keys.md", "bash", "zero keys add").splitlines()[0]
    asked = """curl -sS -o body -D - http://127.0.0.1:18789/v1/chat/completions -H 'Content-Type: application/json' \\
        -H "Authorization: Bearer $(cat secret)" -d '{"model": "zero", "messages": [{"role": "user", "content": "oi"}]}'
    """
    with Stage(tmp_path, agents()) as stage:
        done = stage.run(f"{made} > secret; zero gateway; {asked}")
    told = re.findall(r"(x-ratelimit[\w-]+): (.+?)\r?\n", done.out)
    assert [name for name, _ in shown] == [name for name, _ in told]
    for (name, expected), (_, actual) in zip(shown, told, strict=True):
        if "-limit-" in name or name == "x-ratelimit-remaining-requests":
            assert expected == actual
        elif "-reset-" in name:
            assert DURATION.fullmatch(expected)
            assert DURATION.fullmatch(actual)
        else:
            assert 0 < int(actual) <= 100_000


def test_the_header_of_the_portuguese_page(alone: LiveGateway) -> None:
    """README.pt-BR.md shows the header that lets in."""
    name, _, value = block("README.pt-BR.md", "text", "Authorization").strip().partition(": ")
    headers = {name: value.replace("SEU_TOKEN", TOKEN)}
    assert 200 == ask(alone, "GET", "/v1/models", token=None, headers=headers).status


def test_the_scrape(alone: LiveGateway) -> None:
    """Prometheus gets the metrics with what docs/observability.md tells it; its defaults are filled in here."""
    [job] = yaml.safe_load(block("docs/observability.md", "yaml", "scrape_configs"))["scrape_configs"]
    assert {"job_name", "authorization", "static_configs"} == job.keys()
    assert ["credentials_file"] == list(job["authorization"])
    [target] = job["static_configs"][0]["targets"]
    address = f"http://{target.replace('18789', str(alone.port))}/metrics"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert b"\n# TYPE zero_runs" in answer.read()


def test_the_lines_of_an_export(served: Stage) -> None:
    """The members that docs/sessions.md shows stand in an export's lines, in this order."""
    shown = block("docs/sessions.md", "text", '{"format"').splitlines()
    exported = served.run("zero sessions export agent:main:notes").out.splitlines()
    for expected, actual in zip(shown, exported, strict=False):
        names = re.findall(r'"(\w+)":', expected)
        assert names == [name for name in re.findall(r'"(\w+)":', actual) if name in names][: len(names)]
        assert len(names) > 4
