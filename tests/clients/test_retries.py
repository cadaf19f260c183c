"""What OpenAI's Python SDK does on its own with each failure: it tries again where nothing was done, and nowhere else.

Attempts are counted where they arrive. The rule: rivals-and-styles.md, part 4; docs/errors.md, "The table".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import Final, NamedTuple

import openai
import pytest
from openai import OpenAI

from app import errors
from app.errors import GatewayError
from app.http.error_response import render
from tests.engines.caller import Caller
from tests.fakes.script import Json, Pause, Reset, Script, chunk, error, event, stream, whole
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, configuration

HI: Final[Json] = [{"role": "user", "content": "hi"}]
TRIES: Final = 3  # with the SDK's default of two retries
SECONDS: Final = 15.0
WAITING: Final = 64
"""Runs that may wait for an agent's or a session's lane."""

ONCE: Final[dict[str, GatewayError]] = {
    "InvalidRequest": errors.InvalidRequest("no"),
    "MalformedRequest": errors.MalformedRequest("no"),
    "HeadersTooLarge": errors.HeadersTooLarge(1),
    "UnsupportedParameter": errors.UnsupportedParameter("no", param="x"),
    "IdempotencyKeyReused": errors.IdempotencyKeyReused(),
    "AuthenticationFailed": errors.AuthenticationFailed(),
    "KeyExpired": errors.KeyExpired("k"),
    "KeyLimitReached for long": errors.KeyLimitReached("no", "requests", 5.001),
    "KeyLimitReached for ever": errors.KeyLimitReached("no", "tokens", None),
    "PermissionDenied": errors.PermissionDenied("no"),
    "UnknownURL": errors.UnknownURL("POST", "/v1/x"),
    "EndpointDisabled": errors.EndpointDisabled(),
    "MetricsDisabled": errors.MetricsDisabled(),
    "ModelNotFound": errors.ModelNotFound("no"),
    "MethodNotAllowed": errors.MethodNotAllowed("PUT", "/v1/x", "POST"),
    "BodyTooLarge": errors.BodyTooLarge(1),
    "UnsupportedMediaType": errors.UnsupportedMediaType("text/plain"),
    "TooManyAuthenticationFailures": errors.TooManyAuthenticationFailures(300),
    "EngineFailed": errors.EngineFailed("no"),
    "EngineFailed 429": errors.EngineFailed("no", status=429, retry_after=7),
    "EngineFailed 503": errors.EngineFailed("no", status=503, retry_after=300),
    "EngineFailed 504": errors.EngineFailed("no", status=504),
    "RunTimedOut": errors.RunTimedOut(1, "x"),
    "RunAborted": errors.RunAborted("no"),
    "AnswerNotKept": errors.AnswerNotKept(),
    "SessionMovedOn": errors.SessionMovedOn(),
    "SessionBusy": errors.SessionBusy(),
    "SessionNotFound": errors.SessionNotFound("k"),
    "BranchNotFound": errors.BranchNotFound("b"),
    "MessageNotFound": errors.MessageNotFound("m", "after"),
    "StoreUnavailable afterwards": errors.StoreUnavailable(should_retry=False),
    "InternalError": errors.InternalError("req-1"),
}
"""Failures of the request itself, which stays wrong, and of runs that have begun, which may have acted."""

SOON: Final = errors.RequestTooSlow("body")
"""Tried again as soon as the SDK likes: it was the client that took its time."""

AGAIN: Final[dict[str, tuple[GatewayError, float]]] = {
    "RateLimited": (errors.RateLimited("no", retry_after=2), 2),
    "KeyLimitReached": (errors.KeyLimitReached("no", "tokens", 4.2), 5),
    "KeyBusy": (errors.KeyBusy("k", 1), 1),
    "RunsFull": (errors.RunsFull(1), 2),
    "ConnectionsFull": (errors.ConnectionsFull(), 2),
    "StoreUnavailable": (errors.StoreUnavailable(), 5),
}
"""Failures before anything was done, and how long the SDK waits."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the SDK sleeps between its attempts, which takes no time here."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def rendered(failure: GatewayError) -> Script:
    """Return the gateway's answer to a failure, to be played to the SDK."""
    response = render(failure)
    assert response.status_code is not None
    return whole(response.status_code, bytes(response.content), headers=dict(response.headers))


class TestClasses:
    """Every failure that there is, as it is rendered."""

    @pytest.mark.parametrize("failure", ONCE.values(), ids=ONCE)
    def test_once(self, upstream: FakeUpstream, waits: list[float], failure: GatewayError) -> None:
        """Not tried again."""
        upstream.play(rendered(failure))
        with OpenAI(base_url=upstream.base_url, api_key="x") as client, pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model="zero", messages=HI)
        assert (failure.status, failure.code) == (caught.value.status_code, caught.value.code)
        assert (1, []) == (len(upstream.exchanges), waits)

    @pytest.mark.parametrize(("failure", "seconds"), AGAIN.values(), ids=AGAIN)
    def test_again(self, upstream: FakeUpstream, waits: list[float], failure: GatewayError, seconds: float) -> None:
        """Tried again after the time that Retry-After says."""
        upstream.play(rendered(failure))
        with OpenAI(base_url=upstream.base_url, api_key="x") as client, pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="zero", messages=HI)
        assert (TRIES, [seconds] * (TRIES - 1)) == (len(upstream.exchanges), waits)

    def test_soon(self, upstream: FakeUpstream, waits: list[float]) -> None:
        """Tried again after times of the SDK's own choice, where there is nothing to wait for."""
        upstream.play(rendered(SOON))
        with OpenAI(base_url=upstream.base_url, api_key="x") as client, pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="zero", messages=HI)
        assert (TRIES, TRIES - 1) == (len(upstream.exchanges), len(waits))
        assert max(waits) <= 2

    def test_all_of_them(self) -> None:
        """A new kind of failure says here whether it may be tried again."""
        kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)}
        named = {type(failure) for failure in (SOON, *ONCE.values(), *(failure for failure, _ in AGAIN.values()))}
        assert {GatewayError} == kinds - named

    @pytest.mark.parametrize("failure", [*ONCE.values(), *(failure for failure, _ in AGAIN.values())])
    def test_long_waits(self, failure: GatewayError) -> None:
        """Nobody is asked to come back after long: openai-node would sleep for as long as it is told."""
        headers = dict(failure.headers)
        assert int(headers.get("retry-after", 0)) <= 5 or headers["x-should-retry"] == "false"


class Door(NamedTuple):
    """The SDK at the gateway's own door.

    Attributes:
        client: It.
        attempts: The URLs of its requests, as they were sent.
    """

    client: OpenAI
    attempts: list[str]


@contextmanager
def at_the_door(live: LiveGateway, token: str | None = None) -> Iterator[Door]:
    """Make a client with default settings that notes every request it sends."""
    attempts: list[str] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: attempts.append(str(request.url))]})
    with OpenAI(base_url=f"{live.url}/v1", api_key=token or live.token, http_client=http) as client:
        yield Door(client, attempts)


BLOCKED: Final[Script] = [Pause()]


def refusing(status: int, **headers: str) -> Script:
    """Return an upstream's error."""
    return error(status, {"message": "no", "code": None}, headers=headers)


LIVE: Final[dict[str, tuple[Script, Json, int]]] = {
    "upstream 400": (refusing(400), {}, 400),
    "upstream 401": (refusing(401), {}, 502),
    "upstream 404": (refusing(404), {}, 502),
    "upstream 408": (refusing(408), {}, 504),
    "upstream 409": (refusing(409), {}, 502),
    "upstream 429": (refusing(429, **{"retry-after": "1"}), {}, 429),
    "upstream 429, long": (refusing(429, **{"retry-after": "600"}), {}, 429),
    "upstream 500": (refusing(500), {}, 502),
    "upstream 503": (refusing(503, **{"retry-after": "1", "x-should-retry": "true"}), {}, 503),
    "upstream 504": (refusing(504), {}, 504),
    "upstream gone": ([Reset()], {}, 502),
    "upstream unreachable": ((), {"model": "zero:lost"}, 502),
    "run timeout": (BLOCKED, {"model": "zero:hasty"}, 504),
    "bad field": ((), {"temperature": 9}, 400),
    "unknown agent": ((), {"model": "zero:nobody"}, 404),
    "forbidden tool": (
        (),
        {"model": "zero:careful", "tools": [{"type": "function", "function": {"name": "delete_everything"}}]},
        403,
    ),
}


class TestLive:
    """The same at the door of a running gateway."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize(("script", "fields", "status"), LIVE.values(), ids=LIVE)
    def test_once(
        self, live: LiveGateway, upstream: FakeUpstream, script: Script, fields: Json, status: int, streamed: bool
    ) -> None:
        """One attempt, whatever the upstream advises."""
        upstream.play(*([script] if script else []))
        with at_the_door(live) as door, pytest.raises(openai.APIStatusError) as caught:
            door.client.chat.completions.create(**{"model": "zero", "messages": HI, "stream": streamed, **fields})
        assert (status, 1) == (caught.value.status_code, len(door.attempts))

    def test_wrong_secret(self, live: LiveGateway) -> None:
        """One attempt."""
        with at_the_door(live, "wrong") as door, pytest.raises(openai.AuthenticationError):
            door.client.models.list()
        assert 1 == len(door.attempts)

    def test_amid_a_stream(self, live: LiveGateway, upstream: FakeUpstream) -> None:
        """A stream that fails behind its first words is raised, and not begun again."""
        upstream.play(stream(event(chunk({"content": "Hi"})), event({"error": {"message": "no", "code": 503}})))
        with at_the_door(live) as door:
            with pytest.raises(openai.APIError):
                list(door.client.chat.completions.create(model="zero", messages=HI, stream=True))
            assert (1, 1) == (len(door.attempts), len(upstream.exchanges))

    def test_busy(self, live: LiveGateway, upstream: FakeUpstream, waits: list[float]) -> None:
        """Where too many wait already nothing was done, and it is tried again."""
        upstream.play(BLOCKED)
        caller = Caller(live)
        with ExitStack() as places, at_the_door(live) as door:
            places.enter_context(caller.send("narrow"))
            upstream.wait()
            waiting = [places.enter_context(caller.send("narrow", stream=True)) for _ in range(WAITING + 1)]
            # One of them has found no place, so all the others have one.
            sockets = {connection.sock: connection for connection in waiting}
            [refused], _, _ = select(list(sockets), [], [], SECONDS)
            with sockets[refused].getresponse() as response:
                assert 429 == response.status
            with pytest.raises(openai.RateLimitError) as caught:
                door.client.chat.completions.create(model="zero:narrow", messages=HI)
        assert ("agent_queue_full", TRIES, [2, 2]) == (caught.value.code, len(door.attempts), waits)

    def test_locked_out(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Who is locked out isn't invited to knock again."""
        limit = {"enabled": True, "maxFailures": 1, "windowSeconds": 60, "lockoutSeconds": 300}
        config = configuration(gateway={"auth": {"rateLimit": limit}})
        with LiveGateway(tmp_path_factory.mktemp("locked"), config) as live, at_the_door(live, "wrong") as door:
            with pytest.raises(openai.AuthenticationError):
                door.client.models.list()
            with pytest.raises(openai.RateLimitError) as caught:
                door.client.models.list()
            assert ("too_many_auth_failures", 2) == (caught.value.code, len(door.attempts))
