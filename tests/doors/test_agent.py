"""design.md, "Which agent": header, then model, then the default agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.doors.client import chat, post
from tests.live_gateway import LiveGateway, configuration

LONGEST = "a" * 64
HEADER, ALIAS = "x-zero-agent-id", "x-zero-agent"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with ``strictModel: true``."""
    config = configuration(gateway={"http": {"endpoints": {"chatCompletions": {"strictModel": True}}}})
    with LiveGateway(tmp_path_factory.mktemp("strict"), config) as live:
        yield live


@pytest.mark.parametrize(
    ("model", "agent"),
    [("zero", "main"), ("zero/default", "main"), ("zero:default", "main"), ("agent:default", "main"), ("ZERO", "main"),
     ("Zero:Default", "main"), ("zero:main", "main"), ("zero:beta", "beta"), ("zero/beta", "beta"),
     ("agent:beta", "beta"), ("ZERO:BETA", "beta"), ("Agent:Beta", "beta"), ("zero/BeTa", "beta")],
)  # fmt: skip
def test_a_model_of_ours_names_an_agent(gateway: LiveGateway, strict: LiveGateway, model: str, agent: str) -> None:
    """Every form, in any case, chooses the agent; ``model`` comes back as it was sent; strictness changes nothing."""
    for live in (gateway, strict):
        reply = chat(live, "hello", model=model)
        assert reply.status == 200
        assert reply.header(HEADER) == agent
        assert reply.json["model"] == model


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "beta", "main", "claude", "zerø", "zero-beta", "zero beta", " zero", "zero ", "openai/gpt-4o",
     "agent", "agent/beta", "zero.beta", "\u212aero", "models/zero:beta", "模型"],
)  # fmt: skip
def test_a_foreign_model_means_the_default_agent(gateway: LiveGateway, strict: LiveGateway, model: str) -> None:
    """A name of some other system goes to the default agent, and is 404 where ``strictModel`` says so."""
    reply = chat(gateway, "hello", model=model)
    assert (reply.status, reply.header(HEADER), reply.json["model"]) == (200, "main", model)
    assert chat(strict, "hello", model=model).summary == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    "model",
    ["zero:nobody", "zero/nobody", "agent:nobody", "zero:", "zero/", "agent:", "zero:beta:main", "zero:beta ",
     "zero: beta", "zero:_beta", "zero:bet\u00e4", "zero:\u212a", "zero:" + "a" * 65, "zero:beta\n", "zero:beta\x00",
     "zero://beta", "zero:../beta"],
)  # fmt: skip
def test_an_agent_that_there_is_not_is_404(gateway: LiveGateway, strict: LiveGateway, model: str) -> None:
    """A model of ours whose agent doesn't exist is ``model_not_found`` and never some other agent."""
    for live in (gateway, strict):
        reply = chat(live, "hello", model=model)
        assert reply.summary == (404, "model_not_found", "model")
        assert reply.error["type"] == "invalid_request_error"
        assert reply.header("x-zero-run-id") is None


def test_the_refusal_names_the_models_there_are(gateway: LiveGateway) -> None:
    """Whoever mistypes is told what would do."""
    message = chat(gateway, "hello", model="zero:bta").error["message"]
    assert "zero:main" in message
    assert "zero:beta" in message


@pytest.mark.parametrize("name", [HEADER, ALIAS, "X-Zero-Agent-Id", "X-ZERO-AGENT"])
@pytest.mark.parametrize("model", ["zero", "zero:main", "zero:nobody", "gpt-4o"])
@pytest.mark.parametrize("value", ["beta", "BETA", "  beta  "])
def test_a_header_beats_the_model(gateway: LiveGateway, name: str, model: str, value: str) -> None:
    """The header, under both its names, decides alone; ``model`` still comes back as it was sent."""
    reply = chat(gateway, "hello", model=model, headers={name: value})
    assert (reply.status, reply.header(HEADER), reply.json["model"]) == (200, "beta", model)


def test_a_header_makes_a_foreign_model_acceptable(strict: LiveGateway) -> None:
    """With a header, even a strict gateway doesn't mind a foreign model name."""
    assert chat(strict, "hello", model="gpt-4o", headers={HEADER: "beta"}).header(HEADER) == "beta"


def test_the_full_name_of_the_header_beats_its_alias(gateway: LiveGateway) -> None:
    """With both headers, ``x-zero-agent-id`` counts."""
    assert chat(gateway, "hello", headers={HEADER: "beta", ALIAS: "main"}).header(HEADER) == "beta"
    assert chat(gateway, "hello", headers={HEADER: "main", ALIAS: "beta"}).header(HEADER) == "main"


@pytest.mark.parametrize("value", ["default", "DEFAULT"])
def test_the_default_agent_has_a_name_in_the_header_too(gateway: LiveGateway, value: str) -> None:
    """``default`` in the header beats the model and means the default agent."""
    assert chat(gateway, "hello", model="zero:beta", headers={HEADER: value}).header(HEADER) == "main"


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_header_counts_as_none(gateway: LiveGateway, value: str) -> None:
    """An empty header leaves the choice to the model."""
    assert chat(gateway, "hello", model="zero:beta", headers={HEADER: value}).header(HEADER) == "beta"


@pytest.mark.parametrize("name", [HEADER, ALIAS])
class TestBadHeaders:
    """The header that names nobody."""

    @pytest.mark.parametrize(
        "value",
        ["zero:beta", "not an id", "-beta", "_beta", "beta!", "b/eta", "a" * 65, "bet\u00e4".encode(), b"\xff",
         "\u212a".encode(), "beta,main", "a" * 10_000],
    )  # fmt: skip
    def test_a_malformed_one_is_400(self, gateway: LiveGateway, name: str, value: str | bytes) -> None:
        """What can't be an id is 400, with the header's name as ``param``."""
        reply = chat(gateway, "hello", headers=[(name, value)])
        assert reply.summary == (400, "invalid_value", name)

    @pytest.mark.parametrize("value", ["nobody", LONGEST, "0"])
    def test_an_unknown_one_is_404(self, gateway: LiveGateway, name: str, value: str) -> None:
        """A well-formed id that no agent has is 404, with the header's name as ``param``."""
        assert chat(gateway, "hello", headers={name: value}).summary == (404, "model_not_found", name)

    def test_two_that_differ_are_400(self, gateway: LiveGateway, name: str) -> None:
        """The same header twice with different values is refused, not chosen from."""
        reply = chat(gateway, "hello", headers=[(name, "main"), (name, "beta")])
        assert reply.summary == (400, "invalid_value", name)


@pytest.mark.parametrize("headers", [{}, {HEADER: "beta"}])
@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"messages": [{"role": "user", "content": "x"}]}', "missing_required_parameter"),
     (b'{"stream": true, "messages": [{"role": "user", "content": "x"}]}', "missing_required_parameter"),
     (b'{"model": null, "messages": [{"role": "user", "content": "x"}]}', "invalid_type"),
     (b'{"model": "", "messages": [{"role": "user", "content": "x"}]}', "invalid_value"),
     (b'{"model": 4, "messages": [{"role": "user", "content": "x"}]}', "invalid_type")],
)  # fmt: skip
def test_a_model_is_required(gateway: LiveGateway, headers: dict[str, str], body: bytes, code: str) -> None:
    """``model`` is required, as in OpenAI's API, even where a header names the agent."""
    assert post(gateway, body, headers=headers).summary == (400, code, "model")


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ([{"id": "alpha"}, {"id": "main"}, {"id": "beta", "default": True}], "beta"),
        ([{"id": "alpha"}, {"id": "Main"}, {"id": "beta"}], "main"),
        ([{"id": "alpha"}, {"id": "beta"}], "alpha"),
        ([{"id": "alpha", "default": False}, {"id": LONGEST.upper(), "default": True}], LONGEST),
        ([], "main"),
        (None, "main"),
    ],
)
def test_which_agent_is_the_default(
    start_gateway: Callable[..., LiveGateway], agents: list[dict[str, Any]] | None, expected: str
) -> None:
    """The one marked as default, else ``main``, else the first; without a list there is one agent, ``main``."""
    config = configuration()
    config["agents"] = {"defaults": {"model": "echo/echo"}}
    if agents is not None:
        config["agents"]["list"] = agents
    live = start_gateway(config)
    for model in ("zero", "gpt-4o", f"zero:{expected}", f"agent:{expected.upper()}"):
        assert chat(live, "hello", model=model).header(HEADER) == expected


def test_no_agent_section_at_all_is_one_agent(start_gateway: Callable[..., LiveGateway]) -> None:
    """A configuration without agents has the agent ``main`` and lists it."""
    config = configuration()
    del config["agents"]
    live = start_gateway(config)
    assert chat(live, "hello", model="zero:nobody").summary == (404, "model_not_found", "model")
    assert "zero:main" in chat(live, "hello", model="zero:nobody").error["message"]
