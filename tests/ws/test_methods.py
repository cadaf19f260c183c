"""contracts/asyncapi.yaml, method by method: what is answered, what is refused and what makes no difference.

That answers are valid by the contract is checked by the client, for every frame of every test in this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from tests import npm
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.official import Json
from tests.ws.calls import CALLABLE, PARAMS, params, properties
from tests.ws.client import Client, Refused, new_key
from tests.ws.contract import METHODS, validator

Dial = Callable[..., Client]

WITHOUT_REQUIRED = [name for name in CALLABLE if "required" not in PARAMS[name]]
SILENT: list[Json] = [False, None, "", [], {}]


def marked(mark: str) -> Iterator[Any]:
    """Yield every param with a mark: its method, its name, and the values that the contract's examples give it."""
    for method in CALLABLE:
        for name, schema in properties(method).items():
            if mark in schema:
                examples = PARAMS[method]["examples"]
                yield pytest.param(method, name, [e[name] for e in examples if name in e], id=f"{method}-{name}")


def neutral(method: str, name: str) -> list[Json]:
    """Return the values of a refused param that ask for nothing, as far as its schema allows them."""
    schema = properties(method)[name]
    silent = schema.get("x-zero-neutral", SILENT)
    allowed = validator(METHODS[method]["x-zero-params"])
    return [value for value in silent if allowed.is_valid(params(method, **{name: value}))]


class TestAnswers:
    """Every method, called as the contract's examples call it."""

    @pytest.mark.parametrize("method", CALLABLE)
    def test_good_examples_are_answered(self, client: Client, method: str, upstream: FakeUpstream) -> None:
        """Once the params that are refused are left out, each example works; the answer is valid by the contract."""
        client.call("chat.send", {"sessionKey": "agent:main:desk", "message": "hi", "idempotencyKey": "r1"})
        client.call("agent.wait", {"runId": "r1"})
        client.run("hi", sessionKey="agent:main:desk")
        for example in PARAMS[method]["examples"]:
            good = {name: v for name, v in example.items() if "x-zero-refused" not in properties(method)[name]}
            if "idempotencyKey" in good:
                good["idempotencyKey"] = new_key()
            answers = 2 if "x-zero-accepted" in METHODS[method] else 1
            request = client.request(method, good)
            assert [True] * answers == [client.response(request)["ok"] for _ in range(answers)]

    @pytest.mark.parametrize("method", WITHOUT_REQUIRED)
    def test_params_may_be_left_out_where_none_is_required(self, client: Client, method: str) -> None:
        """Absent params are an object without properties."""
        client.send({"type": "req", "id": "1", "method": method})

        assert client.response("1")["ok"] is True

    @pytest.mark.parametrize(
        ("method", "definition"),
        [
            ("agents.list", "AgentsListResult"),
            ("models.list", "ModelsListResult"),
            ("commands.list", "CommandsListResult"),
            ("question.list", "QuestionListResult"),
            ("sessions.delete", "SessionsDeleteResult"),
        ],
    )
    def test_answers_are_valid_by_the_protocols_schema(self, client: Client, method: str, definition: str) -> None:
        """Where the npm package has a schema for an answer, ours is valid by it."""
        npm.protocol_validator(definition).validate(client.call(method, params(method)))

    def test_health_is_valid_by_the_protocols_schema(self, client: Client) -> None:
        """It is what the snapshot of the handshake has."""
        Draft7Validator(npm.protocol()["definitions"]["Snapshot"]["properties"]["health"]).validate(
            client.call("health")
        )

    def test_rows_and_reset_histories_are_valid_by_the_protocols_schema(self, client: Client, key: str) -> None:
        """The rows of a list of sessions, and the answer to a cursor."""
        client.run("hi", sessionKey=key)
        rows = client.call("sessions.list")["sessions"]

        assert rows
        for row in rows:
            npm.protocol_validator("SessionRow").validate(row)
        reset = client.call("chat.history", {"sessionKey": key, "cursor": "c1"})
        npm.protocol_validator("ChatHistoryResetResult").validate(reset)


class TestGateway:
    """What the gateway says of itself."""

    def test_status_counts(self, dial: Dial, live: LiveGateway, upstream: FakeUpstream) -> None:
        """Connections that have been let in, and runs of every door."""
        upstream.play(stream(Pause(), *words("late")))
        one, _, stranger = dial().admitted(), dial().admitted(), dial()
        stranger.next()
        before = one.call("status")
        request = one.request("agent", {"message": "hi", "idempotencyKey": new_key()})
        one.result(request)
        upstream.wait()

        during = one.call("status")
        assert (2, 0) == (before["connections"], before["activeRuns"])
        assert (2, 1) == (during["connections"], during["activeRuns"])
        upstream.last.release()
        one.result(request)
        assert 0 == one.call("status")["activeRuns"]

    @pytest.mark.parametrize(
        ("method", "nothing"),
        [("question.list", {"questions": []}), ("plugin.approval.list", []), ("system-presence", [])],
    )
    def test_what_clients_ask_for_and_there_is_none(self, client: Client, method: str, nothing: Json) -> None:
        """OpenClaw's terminal client and its command line ask, and complain when the method is unknown."""
        assert nothing == client.call(method)

    def test_agents_are_the_configurations(self, client: Client) -> None:
        """In its order, with their models."""
        answer = client.call("agents.list")

        assert ["main", "chained", "prompted", "hasty", "careful", "narrow", "lost", "echo"] == [
            agent["id"] for agent in answer["agents"]
        ]
        assert {"primary": "fake/first", "fallbacks": ["lost/second", "fake/third"]} == answer["agents"][1]["model"]
        assert ("main", "main") == (answer["defaultId"], answer["mainKey"])

    def test_models_are_those_that_agents_use(self, client: Client) -> None:
        """All of them, each once, or one agent's with its fallbacks."""
        everything = [model["name"] for model in client.call("models.list")["models"]]
        one = [model["name"] for model in client.call("models.list", {"agentId": "chained"})["models"]]

        assert sorted(set(everything)) == sorted(everything)
        assert ["fake/first", "lost/second", "fake/third"] == one


class TestParams:
    """What a request may say."""

    @pytest.mark.parametrize(("method", "name", "values"), list(marked("x-zero-refused")))
    def test_refused_ones(self, client: Client, method: str, name: str, values: list[Json]) -> None:
        """Each is refused with its reason, unless it says nothing."""
        silent = neutral(method, name)
        boolean = [True, False] if properties(method)[name].get("type") == "boolean" else []
        loud = [value for value in [*values, *boolean] if not any(value is one or value == one for one in silent)]
        assert loud
        for value in loud:
            with pytest.raises(Refused) as failure:
                client.call(method, params(method, **{name: value}))
            assert "INVALID_REQUEST" == failure.value.code
            assert f"{method}: {name} is refused." in failure.value.message
            assert properties(method)[name]["x-zero-refused"] in failure.value.message
        for value in silent:
            assert client.call(method, params(method, **{name: value})) is not None

    @pytest.mark.parametrize(
        ("overrides", "refused"),
        [
            (None, False),
            ({}, False),
            ({"mcpServers": {}, "skills": {}, "mcpToolsDeny": {}}, False),
            ({"mcpToolsDeny": {"a": []}}, False),
            ({"mcpToolsDeny": {"a": ["b"]}}, True),
            ({"mcpServers": {"a": False}}, True),
            ({"webSearch": False}, True),
            ({"webSearch": True}, True),
        ],
        ids=str,
    )
    def test_expecting_no_overrides_is_expecting_what_is_there(
        self, client: Client, overrides: Json, refused: bool
    ) -> None:
        """The protocol calls it a sparse overlay: null, or one that has nothing in it, asserts that there is none."""
        npm.protocol_validator("ChatSendParams").validate(
            wanted := params("chat.send", expectedToolOverrides=overrides)
        )
        answer = client.response(client.request("chat.send", wanted))

        assert refused is not answer["ok"]
        if answer["ok"]:
            client.call("agent.wait", {"runId": wanted["idempotencyKey"]})
        assert refused is ("expectedToolOverrides is refused" in answer.get("error", {}).get("message", ""))

    @pytest.mark.parametrize("method", sorted({param.values[0] for param in marked("x-zero-ignored")}))
    def test_ignored_ones(self, client: Client, method: str) -> None:
        """All of them together make no difference."""
        examples = [param.values[1:] for param in marked("x-zero-ignored") if param.values[0] == method]
        ignored = {name: values[0] for name, values in examples}

        client.run("hi", sessionKey="agent:main:desk")
        assert ignored
        assert client.call(method, params(method, **ignored)) is not None

    @pytest.mark.parametrize(
        ("method", "wrong", "where"),
        [
            ("agent", {"nonsense": 1}, "nonsense"),
            ("agent", {"timeout": "5"}, "timeout"),
            ("agent", {"message": ""}, "message"),
            ("agent", {"idempotencyKey": ""}, "idempotencyKey"),
            ("chat.send", {"message": "   "}, "message"),
            ("chat.history", {"limit": 1001}, "limit"),
            ("sessions.preview", {"keys": []}, "keys"),
            ("sessions.list", {"limit": 0}, "limit"),
            ("sessions.preview", {"keys": ["k"] * 101}, "keys"),
            ("agent.wait", {"timeoutMs": -1}, "timeoutMs"),
        ],
    )
    def test_wrong_ones(self, client: Client, method: str, wrong: Json, where: str) -> None:
        """The answer names the param, for people and for programs."""
        with pytest.raises(Refused) as failure:
            client.call(method, params(method, **wrong))
        assert "INVALID_REQUEST" == failure.value.code
        assert where in failure.value.message + failure.value.details.get("param", "")
        validator("RequestErrorDetails").validate(failure.value.details)

    @pytest.mark.parametrize("params_", ["null", "[]", '"x"', "5"])
    def test_params_are_an_object(self, client: Client, params_: str) -> None:
        """Anything else is refused."""
        client.send(f'{{"type": "req", "id": "1", "method": "health", "params": {params_}}}')

        assert "INVALID_REQUEST" == client.response("1")["error"]["code"]
