"""Agents with the defaults merged in."""

from __future__ import annotations

import pytest

from app.config.agent_id import agent_id
from app.config.agent_profile import AgentProfile, ToolPolicy, Window, agent_profiles, default_agent_id
from app.config.decoding import decode
from app.config.json_value import JsonObject, JsonValue
from app.config.model_ref import BUILT_IN_WINDOWS, ModelRef, model_ref
from app.config.structs import Config
from app.engines.local.child import CONTEXT_TOKENS, SLOTS


def configured(*entries: JsonObject, **defaults: JsonValue) -> Config:
    """Make a configuration of agents and their defaults."""
    return decode({"agents": {"list": list(entries), "defaults": defaults}})


def only(config: Config) -> AgentProfile:
    """Resolve a configuration of one agent."""
    (profile,) = agent_profiles(config).values()
    return profile


def test_without_a_list_there_is_main() -> None:
    """An empty configuration has one agent, which echoes."""
    assert agent_profiles(Config()) == {
        "main": AgentProfile(
            id="main",
            name="main",
            model=ModelRef("echo", "echo"),
            fallbacks=(),
            system_prompt="",
            tools=ToolPolicy(allow=None, deny=()),
            params={},
            timeout_seconds=600.0,
            max_concurrent=None,
        )
    }


DEFAULTS: JsonObject = {
    "model": {"primary": "up/big", "fallbacks": ["up/a/b", "echo/echo"]},
    "systemPrompt": "Be kind.",
    "tools": {"allow": ["read", "write"], "deny": ["shell"]},
    "params": {"temperature": 0.5, "stop": ["x"], "extra": {"a": 1, "b": 2}},
    "timeoutSeconds": 30,
    "maxConcurrent": 4,
}


def test_an_agent_takes_what_it_does_not_say_from_the_defaults() -> None:
    """Every key of the defaults reaches an agent that says nothing, main without a list included."""
    inherited = AgentProfile(
        id="main",
        name="main",
        model=ModelRef("up", "big"),
        fallbacks=(ModelRef("up", "a/b"), ModelRef("echo", "echo")),
        system_prompt="Be kind.",
        tools=ToolPolicy(allow=("read", "write"), deny=("shell",)),
        params={"temperature": 0.5, "stop": ["x"], "extra": {"a": 1, "b": 2}},
        timeout_seconds=30.0,
        max_concurrent=4,
    )
    assert inherited == only(configured({"id": "main"}, **DEFAULTS)) == only(configured(**DEFAULTS))


def test_what_an_agent_says_wins() -> None:
    """Own keys replace the defaults; params merge key by key; prohibitions add up; a model drops the fallbacks."""
    own: JsonObject = {
        "id": "Ops",
        "name": "Operations",
        "model": "up/small",
        "systemPrompt": "",
        "tools": {"allow": [], "deny": ["write", "shell"]},
        "params": {"temperature": 0, "extra": {"c": 3}},
        "timeoutSeconds": 5.5,
        "maxConcurrent": 1,
    }
    assert only(configured(own, **DEFAULTS)) == AgentProfile(
        id="ops",
        name="Operations",
        model=ModelRef("up", "small"),
        fallbacks=(),
        system_prompt="",
        tools=ToolPolicy(allow=(), deny=("shell", "write")),
        params={"temperature": 0, "stop": ["x"], "extra": {"c": 3}},
        timeout_seconds=5.5,
        max_concurrent=1,
    )


CATALOGUE: JsonObject = {
    "up": {
        "baseUrl": "http://up.example.com/v1",
        "models": ["unknown", {"id": "big", "contextWindow": 100_000, "maxTokens": 8_000}, {"id": "named"}],
    },
    "any": {"baseUrl": "http://any.example.com/v1"},
}


@pytest.mark.parametrize(
    ("model", "bound", "expected"),
    [
        ("up/big", None, Window(100_000, 8_000)),
        ("up/big", 50_000, Window(50_000, 8_000)),
        ("up/big", 200_000, Window(100_000, 8_000)),
        ("up/named", None, None),
        ("up/named", 50_000, Window(50_000)),
        ("up/unknown", None, None),
        ("up/unknown", 50_000, Window(50_000)),
        ("any/thing", None, None),
        ("any/thing", 50_000, Window(50_000)),
        ("local/smollm2", None, Window(4_096)),
        ("local/smollm2", 1_000, Window(1_000)),
        ("echo/echo", None, None),
    ],
)
@pytest.mark.parametrize("place", ["agent", "defaults"])
def test_windows(model: str, bound: int | None, expected: Window | None, place: str) -> None:
    """A model's window is the catalogue's, or what the agent may use of it if that is less; else there is none."""
    said: JsonObject = {} if bound is None else {"contextTokens": bound}
    entry: JsonObject = {"id": "a", "model": {"primary": "echo/x", "fallbacks": [model]}}
    own, defaults = (said, {}) if place == "agent" else ({}, said)
    config = decode(
        {"models": {"providers": CATALOGUE}, "agents": {"list": [{**entry, **own}], "defaults": {**defaults}}}
    )
    assert expected == only(config).windows.get(model_ref(model))


@pytest.mark.parametrize("mode", ["model", "off"])
def test_the_window_of_the_model_that_sums_up(mode: str) -> None:
    """It is known to every agent, and bounded like the agent's own models."""
    config = decode(
        {
            "session": {"compaction": {"mode": mode, "model": "local/smollm2"}},
            "agents": {"list": [{"id": "a"}, {"id": "b", "contextTokens": 1_000}]},
        }
    )
    found = [profile.windows for profile in agent_profiles(config).values()]
    local, echo = ModelRef("local", "smollm2"), ModelRef("echo", "echo")
    on = mode == "model"
    assert [
        {local: Window(4_096)} if on else {},
        {echo: Window(1_000)} | ({local: Window(1_000)} if on else {}),
    ] == found


def test_the_local_model_s_window() -> None:
    """The configuration knows what the child process is started with."""
    assert BUILT_IN_WINDOWS["local/smollm2"] == CONTEXT_TOKENS // SLOTS


def test_a_denied_tool_stays_denied_in_an_agent_with_its_own_list() -> None:
    """An agent's own deny list does not lift the general one."""
    profile = only(configured({"id": "a", "tools": {"deny": ["x"]}}, tools={"deny": ["shell"]}))
    assert [profile.tools.permits(tool) for tool in ("shell", "x", "read")] == [False, False, True]


@pytest.mark.parametrize(
    ("policy", "permitted"),
    [
        (ToolPolicy(), ["a", "b", "c"]),
        (ToolPolicy(allow=()), []),
        (ToolPolicy(allow=("a", "b"), deny=("b",)), ["a"]),
        (ToolPolicy(deny=("a",)), ["b", "c"]),
    ],
)
def test_tools_are_permitted_by_name(policy: ToolPolicy, permitted: list[str]) -> None:
    """Without an allow list all are allowed; what is denied never is."""
    assert permitted == [tool for tool in "abc" if policy.permits(tool)]


def test_one_agent_does_not_share_params_with_another() -> None:
    """Merged parameters are each agent's own."""
    profiles = agent_profiles(configured({"id": "a"}, {"id": "b", "params": {"x": 1}}, params={"y": 2}))
    assert [profile.params for profile in profiles.values()] == [{"y": 2}, {"y": 2, "x": 1}]


def test_agents_keep_the_order_of_the_list() -> None:
    """Listings show the agents as configured, by lower-cased id and with the written id as the name."""
    profiles = agent_profiles(configured({"id": "Zed"}, {"id": "main"}, {"id": "alpha"}))
    assert [(key, p.name) for key, p in profiles.items()] == [("zed", "Zed"), ("main", "main"), ("alpha", "alpha")]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "main"),
        ([{"id": "B"}, {"id": "a"}], "b"),
        ([{"id": "b"}, {"id": "Main"}], "main"),
        ([{"id": "main"}, {"id": "X", "default": True}], "x"),
    ],
)
def test_the_default_agent(entries: list[JsonObject], expected: str) -> None:
    """The entry that says so, else main, else the first; without a list, main."""
    config = configured(*entries)
    assert expected == default_agent_id(config)
    assert expected in agent_profiles(config)


@pytest.mark.parametrize(
    ("text", "expected"), [("a", "a"), ("A-b_9", "a-b_9"), ("", None), ("-", None), ("\u017f", None)]
)
def test_agent_ids_are_lower_cased(text: str, expected: str | None) -> None:
    """An id is read in any case and only in ASCII."""
    assert expected == agent_id(text)


@pytest.mark.parametrize("text", ["a/b", "openrouter/meta/llama:free", "up.2/x y"])
def test_a_model_reference_reads_as_it_is_written(text: str) -> None:
    """Only the first slash separates."""
    assert text == str(model_ref(text))
    assert text.split("/", 1) == [model_ref(text).provider, model_ref(text).model]
