"""The client's end of the protocol, against servers that do what a gateway wouldn't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from app.client.connection import GatewayClient, gateway_client
from app.client.destination import Destination
from app.client.failure import ClientError, RequestFailed, RunStopped, Unauthorized, Unreachable
from app.client.turn import take_turn
from app.contract.frames import AgentParams, AgentsListParams, AgentsListResult
from tests.live_gateway import free_port

CHALLENGE = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}, "seq": 1}
HELLO = {
    "type": "hello-ok",
    "protocol": 4,
    "server": {"version": "1", "connId": "c"},
    "features": {"methods": [], "events": []},
    "snapshot": {
        "presence": [],
        "health": {"ok": True, "ts": 1, "durationMs": 0, "defaultAgentId": "main"},
        "stateVersion": {"presence": 0, "health": 0},
        "uptimeMs": 1,
    },
    "auth": {"role": "operator", "scopes": []},
    "policy": {"maxPayload": 1, "maxBufferedBytes": 1, "tickIntervalMs": 1},
}

Serve = Callable[[ServerConnection], Awaitable[Any]]
Use = Callable[[GatewayClient], Awaitable[Any]]


def conversation(server: Serve, use: Use | None = None, **options: Any) -> Any:
    """Connect to a server, use the connection, and return what came of it, an error of the client included."""

    async def work() -> Any:
        async with serve(server, "127.0.0.1", 0, **options) as listening:
            destination = Destination(
                url=f"ws://127.0.0.1:{port_of(listening)}", token="t", start="Start.", secret="Set."
            )
            try:
                async with asyncio.timeout(10), gateway_client(destination) as client:
                    return await use(client) if use is not None else client.hello
            except ClientError as error:
                return error

    return asyncio.run(work())


def port_of(server: Server) -> int:
    """Return where a server listens."""
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


async def send(connection: ServerConnection, frame: Any) -> None:
    """Send a frame."""
    await connection.send(json.dumps(frame))


async def answer(connection: ServerConnection, **fields: Any) -> dict[str, Any]:
    """Answer the next request; return it."""
    request: dict[str, Any] = json.loads(await connection.recv())
    await send(connection, {"type": "res", "id": request["id"], **fields})
    return request


async def let_in(connection: ServerConnection) -> dict[str, Any]:
    """Shake hands; return the client's request."""
    await send(connection, CHALLENGE)
    return await answer(connection, ok=True, payload=HELLO)


def refusing(**error: Any) -> Serve:
    """Return a server that answers the handshake with an error."""

    async def server(connection: ServerConnection) -> None:
        await send(connection, CHALLENGE)
        await answer(connection, ok=False, error={"message": "no", **error})

    return server


async def list_agents(client: GatewayClient) -> AgentsListResult:
    """Ask for the agents."""
    return await client.request("agents.list", AgentsListParams(), AgentsListResult)


def test_the_handshake_says_who_is_there() -> None:
    """Client id, mode and versions are those that the contract has for this client."""
    requests: list[dict[str, Any]] = []

    async def server(connection: ServerConnection) -> None:
        requests.append(await let_in(connection))
        await connection.wait_closed()

    hello = conversation(server)

    assert 4 == hello.protocol
    (request,) = requests
    assert "connect" == request["method"]
    assert (3, 4) == (request["params"]["minProtocol"], request["params"]["maxProtocol"])
    assert {"token": "t"} == request["params"]["auth"]
    client = request["params"]["client"]
    assert ("zero-cli", "cli") == (client["id"], client["mode"])


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"code": "INVALID_REQUEST", "details": {"code": "AUTH_TOKEN_MISSING"}}, Unauthorized, "none is set. Set."),
        (
            {"code": "INVALID_REQUEST", "details": {"code": "AUTH_PASSWORD_MISMATCH"}},
            Unauthorized,
            "refuses the secret. Set.",
        ),
        (
            {"code": "UNAVAILABLE", "details": {"code": "AUTH_RATE_LIMITED"}, "retryAfterMs": 41_000},
            Unauthorized,
            "Try again in 41 s.",
        ),
        ({"code": "FORBIDDEN"}, Unauthorized, "refuses the connection: no"),
        (
            {"code": "INVALID_REQUEST", "details": {"code": "PROTOCOL_MISMATCH"}},
            Unreachable,
            "refuses the connection: no",
        ),
    ],
)
def test_a_refusal_says_what_to_do(error: dict[str, Any], kind: type[ClientError], words: str) -> None:
    """A wrong secret is told from a gateway that can't be spoken to."""
    failure = conversation(refusing(**error))

    assert type(failure) is kind
    assert words in str(failure)


@pytest.mark.parametrize("first", ["no JSON", '{"type": "hi"}', '{"type": "event"}', b"\x00"])
def test_what_speaks_otherwise_is_no_gateway(first: str | bytes) -> None:
    """It is told as such, and not as a traceback."""

    async def server(connection: ServerConnection) -> None:
        await connection.send(first)
        await connection.send(first)
        await connection.wait_closed()

    failure = conversation(server)

    assert isinstance(failure, Unreachable)
    assert "something else. Start." in str(failure)


def test_what_hangs_up_is_no_gateway() -> None:
    """Before the handshake is done."""

    async def server(_: ServerConnection) -> None:
        return

    assert isinstance(conversation(server), Unreachable)


def test_a_redirect_is_not_followed() -> None:
    """The secret is for the address that was named, and for no other."""
    elsewhere: list[str] = []

    def redirect(connection: ServerConnection, request: Request) -> Response:
        elsewhere.append(request.path)
        response = connection.respond(HTTPStatus.FOUND, "there")
        response.headers["Location"] = "/there"
        return response

    failure = conversation(let_in, process_request=redirect)

    assert ["/"] == elsewhere
    assert "says 302 to WebSockets" in str(failure)


def test_nothing_that_listens() -> None:
    """The system's reason is told, and what to do."""

    async def work() -> None:
        async with gateway_client(Destination(url=f"ws://127.0.0.1:{free_port()}", start="Start.")):
            raise AssertionError("nobody listens there")

    with pytest.raises(Unreachable, match=r"the connection is refused\. Start\.$"):
        asyncio.run(work())


def test_an_error_is_raised_with_its_code() -> None:
    """A program can tell one from another."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        await answer(connection, ok=False, error={"code": "FORBIDDEN", "message": "missing scope"})
        await connection.wait_closed()

    failure = conversation(server, list_agents)

    assert isinstance(failure, RequestFailed)
    assert ("FORBIDDEN", "missing scope") == (failure.code, str(failure))


def test_an_answer_that_makes_no_sense() -> None:
    """Another version of the gateway is the likely reason."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        await answer(connection, ok=True, payload={"agents": 1})
        await connection.wait_closed()

    assert "another version" in str(conversation(server, list_agents))


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ([{"type": "event", "event": "shutdown", "payload": {"reason": "r"}}], "The gateway is stopping."),
        ([], "The gateway has closed the connection: slow consumer."),
        (["nonsense"], "doesn't speak the gateway's protocol"),
    ],
)
def test_the_end_of_the_connection_ends_requests(last: list[Any], words: str) -> None:
    """Whoever waits hears why, and so does whoever asks afterwards."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        await connection.recv()
        for frame in last:
            await send(connection, frame)
        await connection.close(1008 if not last else 1012, "slow consumer" if not last else "")

    async def use(client: GatewayClient) -> list[str]:
        told = []
        for _ in range(2):
            with pytest.raises(Unreachable) as caught:
                await list_agents(client)
            told.append(str(caught.value))
        return told

    first, second = conversation(server, use)

    assert words in first
    assert first == second


def test_what_the_listener_raises_stops_the_turn() -> None:
    """It travels up as it is, and the run is aborted under the id that the client chose."""
    asked: list[dict[str, Any]] = []

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        request = json.loads(await connection.recv())
        run = {"runId": "mine", "acceptedAt": 1, "sessionKey": "agent:main:its"}
        await send(connection, {"type": "res", "id": request["id"], "ok": True, "payload": run})
        text = {"runId": "mine", "seq": 1, "ts": 1, "sessionKey": "s", "agentId": "main", "stream": "assistant"}
        for _ in range(2):
            payload = {**text, "data": {"text": "ab", "delta": "ab"}}
            await send(connection, {"type": "event", "event": "agent", "payload": payload})
        asked.append(await answer(connection, ok=True, payload={"aborted": True, "runIds": ["mine"]}))
        await connection.wait_closed()

    heard: list[str] = []

    def on_text(text: str) -> None:
        heard.append(text)
        raise LookupError("enough")

    async def use(client: GatewayClient) -> None:
        with pytest.raises(LookupError, match="enough"):
            await take_turn(client, AgentParams(message="hi", idempotency_key="mine"), lambda _: None, on_text)

    conversation(server, use)

    assert [("chat.abort", {"sessionKey": "agent:main:its", "runId": "mine"})] == [
        (one["method"], one["params"]) for one in asked
    ]
    assert ["ab"] == heard


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_somebody_else_stops(told: bool) -> None:
    """The gateway's own words say who did; one that has none gets ours."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        request = json.loads(await connection.recv())
        common = {"seq": 1, "ts": 1, "sessionKey": "s", "agentId": "main", "stream": "lifecycle", "runId": "mine"}
        for payload in (
            {"runId": "mine", "acceptedAt": 1},
            {"runId": "mine", "status": "timeout", "summary": "aborted", "stopReason": "rpc"},
        ):
            if told:
                event = {**common, "data": {"phase": "error", "error": "The cat did it.", "aborted": True}}
                await send(connection, {"type": "event", "event": "agent", "payload": event})
            await send(connection, {"type": "res", "id": request["id"], "ok": True, "payload": payload})
        await connection.wait_closed()

    async def use(client: GatewayClient) -> None:
        await take_turn(client, AgentParams(message="hi", idempotency_key="mine"), lambda _: None, lambda _: None)

    stopped = conversation(server, use)

    assert type(stopped) is RunStopped
    assert str(stopped) == ("The cat did it." if told else "The run was aborted through the gateway (chat.abort).")


def test_a_gateway_that_takes_nothing_in_is_left_all_the_same() -> None:
    """A message larger than what the system buffers doesn't keep whoever wants to leave."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        connection.transport.pause_reading()
        await connection.wait_closed()

    async def use(client: GatewayClient) -> None:
        params = AgentParams(message="x" * 32 * 1024 * 1024, idempotency_key="mine")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await take_turn(client, params, lambda _: None, lambda _: None)

    conversation(server, use, close_timeout=0.1)


def test_a_turn_hears_its_own_text_only() -> None:
    """Events of other runs, of other kinds and of other shapes are passed over; answers to nobody, too."""

    async def server(connection: ServerConnection) -> None:
        await let_in(connection)
        request = json.loads(await connection.recv())
        common = {"seq": 1, "ts": 1, "sessionKey": "s", "agentId": "main", "stream": "assistant"}
        own = {**common, "runId": "mine", "data": {"text": "ab", "delta": "ab"}}
        await send(connection, {"type": "res", "id": "nobody's", "ok": True})
        await send(
            connection, {"type": "res", "id": request["id"], "ok": True, "payload": {"runId": "mine", "acceptedAt": 1}}
        )
        for name, payload in (
            ("tick", {"ts": 1}),
            ("agent", {**own, "runId": "other"}),
            ("agent", {**own, "stream": "tool"}),
            ("agent", {"strange": True}),
            ("agent", own),
        ):
            await send(connection, {"type": "event", "event": name, "payload": payload})
        result = {"runId": "mine", "status": "ok", "summary": "completed"}
        await send(connection, {"type": "res", "id": request["id"], "ok": True, "payload": result})
        await connection.wait_closed()

    heard: list[str] = []

    async def use(client: GatewayClient) -> str:
        params = AgentParams(message="hi", idempotency_key="mine")
        result = await take_turn(client, params, lambda _: None, heard.append)
        return result.status

    assert "ok" == conversation(server, use)
    assert ["ab"] == heard
