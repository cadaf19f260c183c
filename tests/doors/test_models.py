"""design.md, "Endpoint and switch": the agents as OpenAI's list of models."""

from __future__ import annotations

import pytest

from tests.doors.client import ask, chat
from tests.live_gateway import LiveGateway
from tests.official import validator


def test_the_default_alias_comes_first_then_the_agents_in_order(gateway: LiveGateway) -> None:
    """The list is ``zero`` and then one model per agent, as the configuration orders them, in OpenAI's shape."""
    body = ask(gateway, "GET", "/v1/models").json
    validator("ListModelsResponse").validate(body)
    assert [model["id"] for model in body["data"]] == ["zero", "zero:main", "zero:beta"]
    assert {model["owned_by"] for model in body["data"]} == {"zero"}
    assert body["object"] == "list"


def test_every_listed_model_can_be_retrieved_and_asked(gateway: LiveGateway) -> None:
    """What the list says is what ``model`` takes, and each entry is what retrieving it answers."""
    for model in ask(gateway, "GET", "/v1/models").json["data"]:
        assert ask(gateway, "GET", f"/v1/models/{model['id']}").json == model
        assert chat(gateway, "hello", model=model["id"]).text == "hello"


@pytest.mark.parametrize(
    ("path", "id"),
    [("zero", "zero"), ("zero:beta", "zero:beta"), ("zero/beta", "zero/beta"), ("zero%2Fbeta", "zero/beta"),
     ("zero%3Abeta", "zero:beta"), ("agent:beta", "agent:beta"), ("zero:default", "zero:default"),
     ("ZERO:Beta", "ZERO:Beta"), ("zero/beta?x=1", "zero/beta")],
)  # fmt: skip
def test_a_model_is_retrieved_under_the_name_it_was_asked_for(gateway: LiveGateway, path: str, id: str) -> None:
    """Raw and percent-encoded names are the same, and the answer repeats the name."""
    body = ask(gateway, "GET", f"/v1/models/{path}").json
    validator("Model").validate(body)
    assert (body["id"], body["object"], body["owned_by"]) == (id, "model", "zero")


@pytest.mark.parametrize(
    "path",
    ["gpt-4o", "zero:nobody", "zero/nobody", "agent:", "zero:", "main", "zero:beta:x", "zero%252Fbeta", "%00", "%ff",
     "zero:%E2%84%AA", "x" * 4000],
)  # fmt: skip
def test_unknown_models_are_404(gateway: LiveGateway, path: str) -> None:
    """A name that no agent has is ``model_not_found``; foreign names aren't models of this gateway."""
    assert ask(gateway, "GET", f"/v1/models/{path}").summary == (404, "model_not_found", "model")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/zero", "/v1/models/nobody"])
def test_the_list_needs_the_secret(gateway: LiveGateway, path: str) -> None:
    """Without the secret, nobody learns which agents there are."""
    assert ask(gateway, "GET", path, token=None).summary == (401, "invalid_api_key", None)
    assert ask(gateway, "GET", path, token="wrong").summary == (401, "invalid_api_key", None)
