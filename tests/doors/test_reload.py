"""design.md, "Configuration": the file is watched, and what is safe to change takes effect without a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.doors.client import SECONDS, ask, chat
from tests.doors.sessions import provider
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway, configuration


@pytest.fixture
def second_upstream() -> Iterator[Upstream]:
    """Another service, to move to."""
    service = Upstream()
    yield service
    service.close()


def config_of(upstream: Upstream, *agents: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of these agents in front of ``upstream``."""
    config = configuration(models=provider(upstream))
    config["agents"] = {"defaults": {"model": "fake/any"}, "list": list(agents)}
    return config


def edit(live: LiveGateway, text: str) -> None:
    """Replace the configuration file at once, as editors do."""
    new = live.config_file.with_suffix(".new")
    new.write_text(text)
    new.replace(live.config_file)


def until(condition: Callable[[], bool]) -> None:
    """Return as soon as something is so; the gateway says no earlier when it looks at its file."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.02)


def models(live: LiveGateway) -> list[str]:
    """Return the ids of the models listed."""
    return [model["id"] for model in ask(live, "GET", "/v1/models").json["data"]]


@pytest.fixture
def live(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> LiveGateway:
    """A gateway of the test's own with one agent, ``main``."""
    return start_gateway(config_of(upstream, {"id": "main"}))


def test_agents_and_providers_change_without_dropping_a_running_stream(
    live: LiveGateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    """New runs go by the new file at once; a stream that began before it ends as it began."""
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        running = pool.submit(chat, live, "hello", stream=True)
        call = calls.get(timeout=SECONDS)
        call.say("before ")
        main = {"id": "main", "systemPrompt": "New words."}
        edit(live, json.dumps(config_of(second_upstream, main, {"id": "gamma", "default": True})))
        until(lambda: models(live) == ["zero", "zero:main", "zero:gamma"])

        assert chat(live, "hi", model="zero:main").text == "re: hi"
        assert second_upstream.last.conversation == [("system", "New words."), ("user", "hi")]
        assert chat(live, "hi").header("x-zero-agent-id") == "gamma"

        call.say("and ")
        call.answer("after")
        body = running.result(SECONDS).body
    assert b"before " in body
    assert b"after" in body
    assert b'"finish_reason":"stop"' in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_an_agent_that_is_taken_away_is_gone_for_new_runs(live: LiveGateway, upstream: Upstream) -> None:
    """Removing an agent makes it unknown; adding it brings its sessions back."""
    edit(live, json.dumps(config_of(upstream, {"id": "main"}, {"id": "guest"})))
    until(lambda: "zero:guest" in models(live))
    assert chat(live, "one", model="zero:guest", user="anna").text == "re: one"
    edit(live, json.dumps(config_of(upstream, {"id": "main"})))
    until(lambda: "zero:guest" not in models(live))
    assert chat(live, "two", model="zero:guest").summary == (404, "model_not_found", "model")
    edit(live, json.dumps(config_of(upstream, {"id": "main"}, {"id": "guest"})))
    until(lambda: "zero:guest" in models(live))
    chat(live, "two", model="zero:guest", user="anna")
    assert upstream.last.conversation == [("user", "one"), ("assistant", "re: one"), ("user", "two")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ broken", "not JSON5"),
        ('{ "agents": { "lst": [] } }', "agents.lst: unknown key"),
        ('{ "agents": { "defaults": { "model": "nowhere/x" } } }', "nowhere"),
        ("", "is empty"),
    ],
)
def test_a_broken_edit_changes_nothing_and_is_logged(
    live: LiveGateway, upstream: Upstream, text: str, said: str
) -> None:
    """A file that can't be used is reported, the old configuration stays, and the repaired one is applied."""
    edit(live, text)
    until(lambda: said in live.log)
    assert "not applied" in live.log
    assert "Traceback" not in live.log
    assert models(live) == ["zero", "zero:main"]
    assert chat(live, "hello").text == "re: hello"
    edit(live, json.dumps(config_of(upstream, {"id": "main"}, {"id": "repaired"})))
    until(lambda: "zero:repaired" in models(live))


def test_a_missing_file_changes_nothing(live: LiveGateway) -> None:
    """When the file disappears, the gateway goes on with what it has and says so."""
    live.config_file.unlink()
    until(lambda: "does not exist" in live.log)
    assert chat(live, "hello").text == "re: hello"


@pytest.mark.parametrize(
    "gateway",
    [
        {"auth": {"token": "another-secret"}},
        {"auth": {"mode": "none"}},
        {"http": {"endpoints": {"chatCompletions": {"enabled": False}}}},
        {"http": {"endpoints": {"chatCompletions": {"strictModel": True}}}},
    ],
    ids=["secret", "no secret", "switch", "strictness"],
)
def test_a_change_of_the_gateway_section_waits_for_a_restart(
    live: LiveGateway, upstream: Upstream, gateway: dict[str, Any]
) -> None:
    """A change of ``gateway.*`` is logged as needing a restart; secret and switch stay, the agents change."""
    changed = {**config_of(upstream, {"id": "main"}, {"id": "new"}), "gateway": {}}
    changed["gateway"] = configuration(gateway=gateway)["gateway"]
    edit(live, json.dumps(changed))
    until(lambda: "restart the gateway" in live.log)
    until(lambda: "zero:new" in models(live))
    assert chat(live, "hello").text == "re: hello"
    assert chat(live, "hello", model="gpt-4o").status == 200
    assert chat(live, "hello", token="another-secret").status == 401
    assert chat(live, "hello", token=None).status == 401
    assert "another-secret" not in live.log


def test_after_the_restart_the_gateway_section_is_in_force(live: LiveGateway, upstream: Upstream) -> None:
    """A restart applies what waited for it."""
    changed = config_of(upstream, {"id": "main"})
    changed["gateway"]["auth"]["token"] = "another-secret"
    edit(live, json.dumps(changed))
    live.restart()
    assert chat(live, "hello", token="another-secret").text == "re: hello"
    assert chat(live, "hello").status == 401
