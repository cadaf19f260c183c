"""design.md, "Configuration": the file is watched, and what is safe to change takes effect without a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.api_keys import entry, secret
from tests.cli.command import ask as command
from tests.doors.client import SECONDS, ask, chat
from tests.doors.sessions import provider
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway, configuration, merged
from tests.telemetry.watched import value


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
        ('{ "agents": { "lst": [] } }', "zero.json: agents.lst: unknown key"),
        (
            '{ "agents": { "list": [{ "id": "a", "timeoutSeconds": -1 }] } }',
            "zero.json: agents.list[0].timeoutSeconds: ",
        ),
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
    ("gateway", "named"),
    [
        ({"auth": {"token": "another-secret"}}, "gateway.auth.token"),
        ({"auth": {"mode": "none"}}, "gateway.auth.mode"),
        (
            {"port": 1, "http": {"endpoints": {"chatCompletions": {"enabled": False}}}},
            "gateway.port, gateway.http.endpoints.chatCompletions.enabled",
        ),
        (
            {"http": {"endpoints": {"chatCompletions": {"strictModel": True}}}},
            "gateway.http.endpoints.chatCompletions.strictModel",
        ),
    ],
    ids=["secret", "no secret", "switch", "strictness"],
)
def test_a_change_of_the_gateway_section_waits_for_a_restart(
    live: LiveGateway, upstream: Upstream, gateway: dict[str, Any], named: str
) -> None:
    """A change of ``gateway.*`` is logged as needing a restart; secret and switch stay, the agents change."""
    changed = {**config_of(upstream, {"id": "main"}, {"id": "new"}), "gateway": {}}
    changed["gateway"] = configuration(gateway=gateway)["gateway"]
    edit(live, json.dumps(changed))
    until(lambda: f"{named} in {live.config_file}: changed, restart the gateway to apply it." in live.log)
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


def revision(live: LiveGateway) -> str:
    """Return the revision that an answer names."""
    named = ask(live, "GET", "/v1/models").header("x-zero-config-revision")
    assert named is not None
    return named


def status(live: LiveGateway) -> str:
    """Return what ``zero status`` says."""
    done = command(live, "status", "--url", f"ws://127.0.0.1:{live.port}", "--token", live.token)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_revision(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
    """A header of answers to whoever is let in, a metric and a line: of what is in force, not of what waits."""
    config = merged(config_of(upstream, {"id": "main"}), {"gateway": {"metrics": {"enabled": True}}})
    live = start_gateway(config)
    first = revision(live)
    for answer in (chat(live), chat(live, stream=True), chat(live, model="zero:nobody"), chat(live, [])):
        assert first == answer.header("x-zero-config-revision")
    assert all(
        answer.header("x-zero-config-revision") is None
        for answer in (chat(live, token=None), ask(live, "GET", "/healthz"), ask(live, "GET", "/metrics"))
    )
    assert f"revision {first}, read" in status(live)
    assert "needs a restart" not in status(live)

    edit(live, json.dumps(merged(config, {"gateway": {"port": 1, "drainSeconds": 3}})))
    until(lambda: "gateway.port, gateway.drainSeconds in" in live.log)
    assert first == revision(live)
    assert "gateway.port, gateway.drainSeconds" in status(live)
    text = ask(live, "GET", "/metrics").body.decode()
    assert (1, 1) == (value(text, "zero_config_info", revision=first), value(text, "zero_config_restart_needed"))

    edit(live, json.dumps({**config, "agents": {"list": [{"id": "other"}]}}))
    until(lambda: first != revision(live))
    edit(live, "{agents: {lst: []}}")
    until(lambda: "not applied" in live.log)
    assert "agents.lst: unknown key" in status(live)
    text = ask(live, "GET", "/metrics").body.decode()
    assert (0, 0) == (value(text, "zero_config_last_reload_successful"), value(text, "zero_config_restart_needed"))
    before = value(text, "zero_config_last_reload_success_timestamp_seconds")
    edit(live, json.dumps(config))
    until(lambda: first == revision(live))
    text = ask(live, "GET", "/metrics").body.decode()
    assert (1, 1) == (
        value(text, "zero_config_last_reload_successful"),
        value(text, "zero_config_info", revision=first),
    )
    assert before < value(text, "zero_config_last_reload_success_timestamp_seconds")


def test_api_keys_change_at_once(live: LiveGateway, upstream: Upstream) -> None:
    """Added, with other limits, revoked: for new requests. What a revoked key has begun goes on."""

    def with_keys(*keys: dict[str, Any]) -> str:
        return json.dumps(merged(config_of(upstream, {"id": "main"}), {"gateway": {"auth": {"keys": list(keys)}}}))

    def shop() -> int:
        return chat(live, "hi", token=secret("shop")).status

    assert 401 == shop()
    edit(live, with_keys(entry("shop")))
    until(lambda: 200 == shop())
    edit(live, with_keys(entry("shop", requestsPerMinute=1)))
    until(lambda: 429 == shop())
    edit(live, with_keys(entry("shop")))
    until(lambda: 200 == shop())
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        running = pool.submit(chat, live, "hello", stream=True, token=secret("shop"))
        call = calls.get(timeout=SECONDS)
        call.say("before ")
        edit(live, with_keys(entry("other")))
        until(lambda: 401 == ask(live, "GET", "/v1/models", token=secret("shop")).status)
        assert 200 == ask(live, "GET", "/v1/models", token=secret("other")).status
        call.answer("after")
        assert running.result(SECONDS).body.endswith(b"data: [DONE]\n\n")
    assert "restart the gateway" not in live.log


def test_many_edits_one_after_the_other(live: LiveGateway, upstream: Upstream) -> None:
    """The last one counts, however fast they come: written in place, broken in between, or put in its place."""
    for number in range(30):
        text = json.dumps(config_of(upstream, {"id": "main"}, {"id": f"agent-{number}"}))
        if number % 3 == 0:
            edit(live, text)
        else:
            live.config_file.write_text("{ broken" if number % 3 == 1 else text)
    until(lambda: models(live) == ["zero", "zero:main", "zero:agent-29"])


def lists(live: LiveGateway, agent: str) -> bool:
    """Tell whether there is this agent and no other."""
    return models(live) == ["zero", f"zero:{agent}"]


def test_a_mounted_configuration(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
    """Kubernetes swaps a link to a directory; the file in it is a link through that."""
    live = start_gateway(config_of(upstream, {"id": "main"}))
    folder = live.folder
    for version, agent in (("..one", "one"), ("..two", "two"), ("..three", "three")):
        (folder / version).mkdir()
        (folder / version / "zero.json").write_text(json.dumps(config_of(upstream, {"id": agent})))
    (folder / "..data").symlink_to("..one")
    (folder / "link").symlink_to("..data/zero.json")
    (folder / "link").replace(live.config_file)
    until(lambda: models(live) == ["zero", "zero:one"])
    for version, agent in (("..two", "two"), ("..three", "three")):
        (folder / "..data_tmp").symlink_to(version)
        (folder / "..data_tmp").replace(folder / "..data")
        until(partial(lists, live, agent))
