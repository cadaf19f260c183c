"""contracts/asyncapi.yaml, method by method: what is answered, what is refused and what makes no difference.

That answers are valid by the contract is checked by the client, for every frame of every test in this folder.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from tests import npm
from tests.doors.client import chat
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.official import Json
from tests.ws.client import Client, Refused, new_key, said
from tests.ws.contract import METHODS, SCHEMAS, validator

Dial = Callable[..., Client]

CALLABLE = sorted(METHODS.keys() - {"connect"})
PARAMS = {name: SCHEMAS[METHODS[name]["x-zero-params"]] for name in CALLABLE}
WITHOUT_REQUIRED = [name for name in CALLABLE if "required" not in PARAMS[name]]
SILENT: list[Json] = [False, None, "", [], {}]
MAX_REQUESTS = 256
MAX_PAYLOAD = 2**24
NOBODY = "agent:main:nobody"


def properties(method: str) -> dict[str, Json]:
    """Return the schemas of a method's params."""
    found: dict[str, Json] = PARAMS[method].get("properties", {})
    return found


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
    if name == "expectedToolOverrides":
        silent = [None]  # an object without properties is an expectation too: that nothing is overridden
    allowed = validator(METHODS[method]["x-zero-params"])
    return [value for value in silent if allowed.is_valid(params(method, **{name: value}))]


def params(method: str, **more: Json) -> dict[str, Json]:
    """Return the fewest params that a method can be called with, and others."""
    example = PARAMS[method]["examples"][0]
    fewest = {name: example[name] for name in PARAMS[method].get("required", [])}
    if "idempotencyKey" in fewest:
        fewest["idempotencyKey"] = new_key()
    return {**fewest, **more}


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


class TestSessions:
    """Sessions as the store has them, whichever door filled them."""

    def test_history_shows_what_was_said(
        self, client: Client, live: LiveGateway, key: str, upstream: FakeUpstream
    ) -> None:
        """Over either door, oldest first."""
        chat(live, "one", headers={"x-zero-session-key": key})
        client.run("two", sessionKey=key)
        answer = client.call("chat.history", {"sessionKey": key})

        expected = [("user", "one"), ("assistant", "Hello, wörld"), ("user", "two"), ("assistant", "Hello, wörld")]
        assert expected == [said(message) for message in answer["messages"]]
        assert (key, False) == (answer["sessionKey"], answer["hasMore"])

    @pytest.mark.parametrize(
        ("page", "shown", "more"),
        [
            ({}, ["one", "two", "three", "four"], False),
            ({"limit": 3}, ["two", "three", "four"], True),
            ({"limit": 2, "offset": 1}, ["two", "three"], True),
            ({"limit": 2, "offset": 2}, ["one", "two"], False),
            ({"offset": 9}, [], False),
            ({"maxChars": 2}, ["on", "tw", "th", "fo"], False),
        ],
        ids=str,
    )
    def test_history_in_pages(
        self,
        client: Client,
        live: LiveGateway,
        key: str,
        page: Json,
        shown: list[str],
        more: bool,
        upstream: FakeUpstream,
    ) -> None:
        """The latest ones first, then those before them; long texts are cut where that is asked for."""
        upstream.play(stream(*words("two")), stream(*words("four")), model="main")
        for text in ("one", "three"):
            client.run(text, sessionKey=key)
        answer = client.call("chat.history", {"sessionKey": key, **page})

        assert (shown, more) == ([said(message)[1] for message in answer["messages"]], answer["hasMore"])

    def test_history_of_calls_and_their_results(
        self, client: Client, live: LiveGateway, key: str, upstream: FakeUpstream
    ) -> None:
        """What the model wants called is shown with its arguments read, and what came of it."""
        call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        wrong = {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{a"}}
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
        chat(
            live,
            [
                {"role": "user", "content": [{"type": "text", "text": "look"}, picture]},
                {"role": "assistant", "content": None, "tool_calls": [call, wrong]},
                {"role": "tool", "tool_call_id": "c1", "content": "2"},
                {"role": "tool", "tool_call_id": "c2", "content": "3"},
            ],
            headers={"x-zero-session-key": key},
        )
        asked, called, result, _, last = client.call("chat.history", {"sessionKey": key})["messages"]

        assert [{"type": "text", "text": "look"}, {"type": "omitted"}] == asked["content"]
        assert [
            {"type": "toolCall", "id": "c1", "name": "add", "arguments": {"a": 1}},
            {"type": "toolCall", "id": "c2", "name": "add", "arguments": "{a"},
        ] == called["content"]
        assert ("toolResult", "c1", "2") == (result["role"], result["toolCallId"], result["content"][0]["text"])
        assert ("assistant", "Hello, wörld") == said(last)

    def test_list_finds(self, client: Client, key: str) -> None:
        """By words of the key, by agent, the last changed first, in pages."""
        others = [f"{key}-{letter}" for letter in "abc"]
        for other in others:
            client.run("hi", sessionKey=other)
        whole = client.call("sessions.list", {"search": key})
        page = client.call("sessions.list", {"search": key, "limit": 1, "offset": 1})

        assert list(reversed(others)) == [row["key"] for row in whole["sessions"]]
        assert (3, 3, False) == (whole["count"], whole["totalCount"], whole["hasMore"])
        assert ([others[1]], 1, 3, True) == (
            [row["key"] for row in page["sessions"]],
            page["count"],
            page["totalCount"],
            page["hasMore"],
        )
        assert [] == client.call("sessions.list", {"search": key, "agentId": "echo"})["sessions"]

    def test_archived_sessions_are_none(self, client: Client, key: str) -> None:
        """``true`` finds none, ``all`` is the same as ``false``."""
        client.run("hi", sessionKey=key)
        found = [client.call("sessions.list", {"search": key, "archived": a})["count"] for a in (True, False, "all")]

        assert [0, 1, 1] == found

    def test_list_says_what_is_asked_for(self, client: Client, key: str) -> None:
        """The first words as the title, and the last ones; neither unasked."""
        client.run("What is the capital?", sessionKey=key)
        plain = client.call("sessions.list", {"search": key})["sessions"][0]
        wanted = {"includeDerivedTitles": True, "includeLastMessage": True}
        row = client.call("sessions.list", {"search": key, **wanted})["sessions"][0]
        alone = client.call("sessions.describe", {"key": key, **wanted})["session"]

        assert plain.keys().isdisjoint({"derivedTitle", "lastMessagePreview"})
        assert ("What is the capital?", "Hello, wörld") == (row["derivedTitle"], row["lastMessagePreview"])
        assert row == alone

    def test_describe(self, client: Client, key: str, upstream: FakeUpstream) -> None:
        """A session is described with the runs that it has; one that isn't there is null."""
        assert client.call("sessions.describe", {"key": key})["session"] is None
        client.run("hi", sessionKey=key)
        idle = client.call("sessions.describe", {"key": key})["session"]
        upstream.reset()
        upstream.play(stream(Pause(), *words("late")))
        run = new_key()
        request = client.request("agent", {"message": "hi", "idempotencyKey": run, "sessionKey": key})
        upstream.wait()
        busy = client.call("sessions.describe", {"key": key})["session"]
        upstream.last.release()
        client.result(request)

        assert (False, []) == (idle["hasActiveRun"], idle["activeRunIds"])
        assert (True, [run]) == (busy["hasActiveRun"], busy["activeRunIds"])
        assert ("fake", "main", "main") == (idle["modelProvider"], idle["model"], idle["agentId"])

    def test_preview(self, client: Client, key: str) -> None:
        """The last words of several, cut as asked for; missing and emptied ones are told apart."""
        client.run("x" * 50, sessionKey=key)
        client.run("hi", sessionKey=f"{key}-emptied")
        client.call("sessions.reset", {"key": f"{key}-emptied"})
        keys = [key, NOBODY, f"{key}-emptied"]
        previews = client.call("sessions.preview", {"keys": keys, "maxChars": 20})["previews"]
        last = client.call("sessions.preview", {"keys": [key], "limit": 1})["previews"][0]["items"]

        assert list(zip(keys, ["ok", "missing", "empty"], strict=True)) == [(p["key"], p["status"]) for p in previews]
        assert [("user", "x" * 20), ("assistant", "Hello, wörld")] == [
            (i["role"], i["text"]) for i in previews[0]["items"]
        ]
        assert [{"role": "assistant", "text": "Hello, wörld"}] == last

    def test_reset_empties(self, client: Client, key: str, upstream: FakeUpstream) -> None:
        """The session is there still, and the next turn begins anew."""
        client.run("one", sessionKey=key)
        assert key == client.call("sessions.reset", {"key": key})["key"]
        assert [] == client.call("chat.history", {"sessionKey": key})["messages"]
        client.run("two", sessionKey=key)

        assert [{"role": "user", "content": "two"}] == upstream.last.json["messages"]

    def test_resetting_nothing_is_an_error(self, client: Client) -> None:
        """The answer names the key."""
        with pytest.raises(Refused, match=NOBODY):
            client.call("sessions.reset", {"key": NOBODY})

    def test_delete_removes(self, client: Client, key: str) -> None:
        """The second time there is none any more, which is no error."""
        client.run("one", sessionKey=key)

        assert [True, False] == [client.call("sessions.delete", {"key": key})["deleted"] for _ in range(2)]
        assert client.call("sessions.describe", {"key": key})["session"] is None

    def test_bare_keys_mean_the_agents(self, client: Client, key: str) -> None:
        """``agentId`` says which; without one it is the default agent."""
        bare = key.removeprefix("agent:main:")
        client.run("hi", sessionKey=bare)
        client.run("hi", sessionKey=bare, agentId="echo")

        assert key == client.call("chat.history", {"sessionKey": bare})["sessionKey"]
        other = client.call("chat.history", {"sessionKey": bare, "agentId": "echo"})
        assert (f"agent:echo:{bare}", "hi") == (other["sessionKey"], said(other["messages"][1])[1])

    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("chat.history", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("chat.send", {"sessionKey": "agent:main:x", "agentId": "echo", "message": "hi"}),
            ("chat.abort", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("sessions.reset", {"key": "agent:main:x", "agentId": "echo"}),
            ("sessions.delete", {"key": "agent:main:x", "agentId": "echo"}),
            ("agent", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("agent", {"sessionKey": "subagent:x"}),
            ("chat.send", {"sessionKey": "a\nb", "message": "hi"}),
            ("agent", {"agentId": "no spaces"}),
        ],
    )
    def test_contradictions_are_refused(self, client: Client, method: str, more: Json) -> None:
        """Keys of another agent, reserved and malformed ones, by the same rules as over HTTP."""
        with pytest.raises(Refused) as failure:
            client.call(method, params(method, **more))
        assert "INVALID_REQUEST" == failure.value.code
        assert "invalid_value" == failure.value.details["code"]

    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("agent", {"agentId": "nobody"}),
            ("agent", {"sessionKey": "agent:nobody:x"}),
            ("chat.send", {"sessionKey": "x", "agentId": "nobody"}),
            ("chat.history", {"sessionKey": "x", "agentId": "nobody"}),
        ],
    )
    def test_unknown_agents_are_named(self, client: Client, method: str, more: Json) -> None:
        """With details that the protocol's clients know."""
        with pytest.raises(Refused) as failure:
            client.call(method, params(method, **more))
        npm.protocol_validator("UnknownAgentIdErrorDetails").validate(failure.value.details)
        assert {"code": "UNKNOWN_AGENT_ID", "agentId": "nobody"} == failure.value.details

    def test_a_session_outlives_its_agent(self, client: Client) -> None:
        """A full key is enough to look at a session and to remove it, whether its agent is still configured or not."""
        key = "agent:nobody:x"
        assert [] == client.call("chat.history", params("chat.history", sessionKey=key))["messages"]
        assert client.call("sessions.describe", {"key": key})["session"] is None
        assert client.call("sessions.delete", {"key": key})["deleted"] is False


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


class TestFrames:
    """What isn't a good request."""

    @pytest.mark.parametrize("method", ["nonsense", "connect", "Health", "health ", "x" * 10_000])
    def test_unknown_methods(self, client: Client, method: str) -> None:
        """They are named, not at any length, and the connection stays."""
        with pytest.raises(Refused) as failure:
            client.call(method)
        assert ("INVALID_REQUEST", f"unknown method: {method[:100]}") == (failure.value.code, failure.value.message)
        assert client.call("health")["ok"] is True

    @pytest.mark.parametrize(
        ("frame", "id"),
        [
            ('{"type": "req", "id": "7"}', "7"),
            ('{"type": "req", "id": "7", "method": ""}', "7"),
            ('{"type": "req", "id": "7", "method": "health", "more": 1}', "7"),
            ('{"type": "res", "id": "7", "ok": true}', "7"),
            ('{"id": "7", "method": "health"}', "7"),
            ('{"type": "req", "id": 7, "method": "health"}', "invalid"),
            ('{"type": "req", "id": "", "method": "health"}', "invalid"),
            ('{"type": "req", "method": "health"}', "invalid"),
            ("{}", "invalid"),
            ("[]", "invalid"),
            ("null", "invalid"),
            ('"health"', "invalid"),
        ],
    )  # fmt: skip
    def test_json_that_is_no_request(self, client: Client, frame: str, id: str) -> None:
        """It is answered under its id, or ``invalid``, and the connection stays."""
        client.send(frame)
        answer = client.response(id)

        npm.protocol_validator("ResponseFrame").validate(answer)
        assert ("INVALID_REQUEST", False) == (answer["error"]["code"], answer["ok"])
        assert client.call("health")["ok"] is True

    @pytest.mark.parametrize(
        "frame",
        ["", "x", "{", '{"type": "req", "id": "1", "method": "health"', '{"type": 1, oops', "[" * 100_000, "\x00"],
        ids=lambda text: repr(text[:20]),
    )
    def test_what_is_no_json_is_skipped(self, client: Client, frame: str) -> None:
        """There is no answer to it, and the connection stays."""
        client.send(frame)

        assert client.call("health")["ok"] is True
        assert ["connect.challenge"] == [one["event"] for one in client.unread]

    def test_requests_are_answered_as_they_are_done(self, client: Client, upstream: FakeUpstream) -> None:
        """A long one does not hold up those behind it."""
        upstream.play(stream(Pause(), *words("late")))
        slow = client.request("agent", {"message": "hi", "idempotencyKey": new_key()})
        client.result(slow)
        upstream.wait()

        assert client.call("health")["ok"] is True
        upstream.last.release()
        assert "ok" == client.result(slow)["status"]

    def test_too_many_requests_at_once(self, client: Client, upstream: FakeUpstream) -> None:
        """Over the limit they are refused for now; those under way are answered all the same."""
        upstream.play(stream(Pause(), *words("late")))
        run = new_key()
        client.call("chat.send", {"sessionKey": NOBODY, "message": "hi", "idempotencyKey": run})
        upstream.wait()
        waiting = [client.request("agent.wait", {"runId": run}) for _ in range(MAX_REQUESTS)]
        with pytest.raises(Refused) as failure:
            client.call("health")
        upstream.last.release()

        assert ("UNAVAILABLE", True) == (failure.value.code, failure.value.error["retryable"])
        assert {"ok"} == {client.result(request)["status"] for request in waiting}
        assert client.call("health")["ok"] is True

    def test_binary_frames_end_the_connection(self, client: Client, dial: Dial) -> None:
        """They are not part of the protocol."""
        client.send(b'{"type": "req", "id": "1", "method": "health"}')

        assert 1003 == client.closed()[0]
        assert dial().admitted().call("health")["ok"] is True

    def test_large_frames_are_read(self, client: Client, upstream: FakeUpstream) -> None:
        """Up to ``maxPayload``, once the client has been let in."""
        frame = json.dumps({"type": "req", "id": "1", "method": "agent.wait", "params": {"runId": ""}})
        text = "x" * (MAX_PAYLOAD - len(frame))
        client.send(frame.replace('"runId": ""', f'"runId": "{text}"'))

        assert "there is no run" in client.response("1")["error"]["message"]

    def test_larger_ones_end_the_connection(self, client: Client) -> None:
        """With the code that says so."""
        head = struct.pack("!BBQ4s", 0x81, 0xFF, MAX_PAYLOAD + 1, b"mask")
        # Its beginning is enough, and lets the answer arrive before the connection is cut under the rest of it.
        client.socket.socket.sendall(head)

        assert 1009 == client.closed()[0]


def test_traceparent_is_ignored(client: Client) -> None:
    """The gateway takes no part in distributed traces, and no offence at them."""
    client.send({"type": "req", "id": "1", "method": "health", "traceparent": "00-4bf9-00f0-01"})

    assert client.response("1")["ok"] is True
