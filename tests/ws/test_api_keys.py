"""API keys on the WebSocket: fewer methods, a key's own agents and sessions, and nothing to be heard of others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.api_keys import entry, secret
from tests.doors.client import chat
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration, merged
from tests.ws.calls import CALLABLE, params, refused
from tests.ws.client import Client, Frame, Refused, handshake, new_key
from tests.ws.contract import METHODS
from tests.ws.process import AS_ZERO_GATEWAY

OPEN = sorted(name for name in CALLABLE if METHODS[name].get("x-zero-keys"))
KEYS = [
    entry("a"),
    entry("b"),
    entry("echo", agents=["echo"]),
    entry("silent", sessionKey=False),
    entry("slow", requestsPerMinute=2),
    entry("over", expires="2020-01-01"),
]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, scripted: FakeUpstream) -> Iterator[LiveGateway]:
    """A gateway with API keys."""
    config = merged(upstream_configuration(scripted), {"gateway": {"auth": {"keys": KEYS}}})
    with LiveGateway(tmp_path_factory.mktemp("keyed"), config, arguments=AS_ZERO_GATEWAY) as gateway:
        yield gateway
        assert "Traceback" not in gateway.log, gateway.log


@pytest.fixture
def enter(keyed: LiveGateway, dial: Callable[..., Client]) -> Callable[..., Client]:
    """Connect with a key's secret; without a name, with the operator's."""

    def open_one(name: str | None = None) -> Client:
        token = keyed.token if name is None else secret(name)
        return dial(keyed).admitted(auth={"token": token})

    return open_one


def sent(client: Client, key: str, text: str = "hi") -> Frame:
    """Say something in a session and wait for its end."""
    run = client.call("chat.send", {"sessionKey": key, "message": text, "idempotencyKey": new_key()})["runId"]
    return client.event("chat", runId=run, state="final")


def denied(client: Client, method: str, **more: object) -> str:
    """Call in vain; return the code."""
    with pytest.raises(Refused) as failure:
        client.call(method, {**params(method), **more})
    return failure.value.code


class TestHandshake:
    """What a key opens."""

    def test_scopes_and_methods(self, enter: Callable[..., Client]) -> None:
        """Reading and writing, and only the methods for keys; the operator has all."""
        key, operator = enter("a").hello, enter().hello

        assert ["operator.read", "operator.write"] == key["auth"]["scopes"]
        assert OPEN == sorted(key["features"]["methods"])
        assert "operator.admin" in operator["auth"]["scopes"]
        assert CALLABLE == sorted(operator["features"]["methods"])

    def test_an_expired_key(self, keyed: LiveGateway, dial: Callable[..., Client]) -> None:
        """It opens nothing."""
        failure, code = refused(dial(keyed), handshake(auth={"token": secret("over")}))

        assert ("expired" in failure.message, 1008) == (True, code)

    @pytest.mark.parametrize("method", sorted(set(CALLABLE) - set(OPEN)))
    def test_the_rest_is_the_operators(self, enter: Callable[..., Client], method: str) -> None:
        """Sessions of all, what the gateway does, and every administration."""
        assert "FORBIDDEN" == denied(enter("a"), method)

    def test_no_administration_is_for_keys(self) -> None:
        """Nor any look at sessions that isn't at one of its own."""
        assert not {name for name in OPEN if METHODS[name]["x-zero-scope"] == "operator.admin"}
        assert not {name for name in OPEN if name.startswith("sessions.") or name == "status"}


class TestAgents:
    """A key for one agent."""

    def test_sees_that_one(self, enter: Callable[..., Client]) -> None:
        """In lists, in the hello, in what is the default."""
        client = enter("echo")

        assert ["echo"] == [agent["id"] for agent in client.call("agents.list")["agents"]]
        assert "echo" == client.call("agents.list")["defaultId"]
        assert ["echo/echo"] == [model["name"] for model in client.call("models.list")["models"]]
        assert ["echo"] == [agent["agentId"] for agent in client.hello["snapshot"]["health"]["agents"]]
        assert "echo" == client.hello["snapshot"]["sessionDefaults"]["defaultAgentId"]

    def test_runs_that_one(self, enter: Callable[..., Client]) -> None:
        """When it names none, too; another doesn't exist."""
        client = enter("echo")
        meta = client.run("hi")["result"]["meta"]["agentMeta"]

        assert "echo" == meta["agentId"]
        assert "INVALID_REQUEST" == denied(client, "agent", agentId="main")
        assert "INVALID_REQUEST" == denied(client, "chat.send", sessionKey="agent:main:x")
        assert "INVALID_REQUEST" == denied(client, "chat.history", sessionKey="agent:main:x")


class TestSessions:
    """Whose sessions a key has."""

    def test_history_is_its_own(self, enter: Callable[..., Client]) -> None:
        """The same name is another session for another key; naming the other's in full doesn't help."""
        a, b, operator = enter("a"), enter("b"), enter()
        said = sent(a, "shared", "from a")
        assert "agent:main:api-key:a:shared" == said["sessionKey"]
        for client, key, total in (
            (a, "shared", 2),
            (a, "agent:main:api-key:a:shared", 2),
            (b, "shared", 0),
            (b, "agent:main:api-key:a:shared", 0),
            (operator, "shared", 0),
            (operator, "agent:main:api-key:a:shared", 2),
        ):
            assert total == client.call("chat.history", {"sessionKey": key})["totalMessages"], (client, key)

    def test_nothing_is_heard_of_others(self, enter: Callable[..., Client]) -> None:
        """A run's words go to its key and to the operator."""
        a, b, operator = enter("a"), enter("b"), enter()
        sent(a, "quiet")
        sent(operator, "quieter")
        heard = {event["sessionKey"] for event in operator.events("chat", state="final")}

        assert "agent:main:api-key:a:quiet" in heard
        assert [] == b.events("chat")
        assert [] == a.events("chat", sessionKey="agent:main:quieter")

    def test_runs_of_others_are_out_of_reach(self, enter: Callable[..., Client], upstream: FakeUpstream) -> None:
        """Their ids lead nowhere: nobody else waits for them, stops them or takes them for its own."""
        a, b, operator = enter("a"), enter("b"), enter()
        upstream.play([Pause()])
        key = new_key()
        asked = {"message": "wait", "idempotencyKey": key}
        request = a.request("agent", asked)
        session = a.result(request)["sessionKey"]
        upstream.wait()

        assert "INVALID_REQUEST" == denied(b, "agent.wait", runId=key, timeoutMs=1)
        for named in ("main", "x", session):
            assert not b.call("chat.abort", {"sessionKey": named, "runId": key})["aborted"]
        assert "INVALID_REQUEST" == denied(b, "agent", **asked)
        assert "timeout" == a.call("agent.wait", {"runId": key, "timeoutMs": 1})["status"]
        assert operator.call("chat.abort", {"sessionKey": session, "runId": key})["aborted"]
        assert "timeout" == a.result(request)["status"]

    def test_who_may_not_name_one_is_told(self, enter: Callable[..., Client]) -> None:
        """And runs without a session."""
        client = enter("silent")

        assert "FORBIDDEN" == denied(client, "chat.send", sessionKey="x")
        assert "FORBIDDEN" == denied(client, "agent", sessionKey="x")
        assert "ok" == client.run("hi")["status"]


def test_limits_are_those_of_http(enter: Callable[..., Client], keyed: LiveGateway) -> None:
    """One count for both doors; who is over it is told when to come again."""
    client = enter("slow")
    assert "ok" == client.run("hi")["status"]
    assert 200 == chat(keyed, "hi", token=secret("slow")).status
    with pytest.raises(Refused) as failure:
        client.run("hi")

    assert "UNAVAILABLE" == failure.value.code
    assert ("requests", "rate_limit_exceeded") == (failure.value.details["type"], failure.value.details["code"])
    assert 429 == chat(keyed, "hi", token=secret("slow")).status


def test_a_connection_does_not_outlive_its_key(
    tmp_path_factory: pytest.TempPathFactory, dial: Callable[..., Client]
) -> None:
    """Once the key has expired nothing more is answered, though the connection was let in before."""
    for wait in (2, 6, 20):  # the first that is longer than this machine takes to start a gateway
        until = time.time() + wait
        moment = datetime.fromtimestamp(until, UTC).isoformat()
        config = merged(configuration(), {"gateway": {"auth": {"keys": [entry("brief", expires=moment)]}}})
        with LiveGateway(tmp_path_factory.mktemp("brief"), config, arguments=AS_ZERO_GATEWAY) as gateway:
            client = dial(gateway)
            try:
                client.admitted(auth={"token": secret("brief")})
                client.call("health")
            except Refused:
                continue
            while time.time() <= until:
                client.socket.ping().wait(0.1)
            assert "FORBIDDEN" == denied(client, "health")
            return
    raise AssertionError("the machine is too slow")


def test_a_key_whose_agents_are_gone(tmp_path: Path, dial: Callable[..., Client]) -> None:
    """An edit took them, and the key with them: whoever has it is out at once, and nobody else is."""
    config = merged(configuration(), {"gateway": {"auth": {"keys": [entry("left", agents=["beta"]), entry("right")]}}})
    with LiveGateway(tmp_path, config, arguments=AS_ZERO_GATEWAY) as gateway:
        left, right = admitted(dial(gateway), "left"), admitted(dial(gateway), "right")
        assert ["beta"] == [one["id"] for one in left.call("agents.list")["agents"]]
        now = merged(configuration(), {"gateway": {"auth": {"keys": [entry("right")]}}})
        gateway.config_file.write_text(json.dumps({**now, "agents": {"list": [{"id": "main"}]}}))
        assert 1006 == left.closed()[0]
        assert 401 == chat(gateway, "hi", token=secret("left")).status
        assert ("INVALID_REQUEST", 1008) == _code(refused(dial(gateway), handshake(auth={"token": secret("left")})))
        assert ["main"] == [one["id"] for one in right.call("agents.list")["agents"]]
        assert "its API key was revoked or changed" in gateway.log
        assert "Traceback" not in gateway.log


def admitted(client: Client, name: str) -> Client:
    """Shake hands with a key's secret."""
    return client.admitted(auth={"token": secret(name)})


def _code(refusal: tuple[Refused, int]) -> tuple[str, int]:
    return refusal[0].code, refusal[1]
