"""API keys with OpenAI's SDK: each sees its agents, has its sessions, and so much a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeAlias

import openai
import pytest
from openai import OpenAI

from tests.api_keys import entry, secret
from tests.doors.sessions import AGENT, KEY, agents, seen
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway, merged

PAST, FUTURE = "2020-01-01", "2999-01-01T00:00:00Z"
KEYS = [
    entry("plain"),
    entry("other"),
    entry("beta", agents=["Beta"], expires=FUTURE),
    entry("pair", agents=["prompted", "main"]),
    entry("one", sessionScope="shared"),
    entry("two", sessionScope="shared"),
    entry("silent", sessionKey=False),
    entry("over", expires=PAST),
    entry("slow", requestsPerMinute=3),
    entry("burst", requestsPerMinute=10),
    entry("refused", requestsPerMinute=2),
    entry("small", tokensPerMinute=600),
    entry("spent", tokensPerMinute=400),
    entry("narrow", maxConcurrent=1),
    entry("narrower", maxConcurrent=1),
]
Made: TypeAlias = Callable[..., OpenAI]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A service that shows what agents ask it."""
    service = Upstream()
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[LiveGateway]:
    """A gateway with many keys."""
    config = agents(upstream)
    config["gateway"] = merged(config["gateway"], {"auth": {"keys": KEYS}})
    with LiveGateway(tmp_path_factory.mktemp("keys"), config) as live:
        yield live
        assert "Traceback" not in live.log, live.log


@pytest.fixture
def client(gateway: LiveGateway) -> Iterator[Made]:
    """Make the SDK's client with a key's secret; without a name, with the operator's."""
    with ExitStack() as clients:

        def make(name: str | None = None, retries: int = 0) -> OpenAI:
            key = gateway.token if name is None else secret(name)
            return clients.enter_context(OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=retries))

        yield make


def say(
    client: OpenAI, text: str = "hi", model: str = "zero", headers: dict[str, str] | None = None, **more: Any
) -> Any:
    """Ask, and return the answer with its headers."""
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.with_raw_response.create(
        model=model, messages=messages, extra_headers=headers or {}, **more
    )


def models(client: OpenAI) -> list[str]:
    """List the models."""
    return [model.id for model in client.models.list()]


class TestAgents:
    """Which agents a key sees."""

    def test_without_a_list_all(self, client: Made) -> None:
        """As the operator does."""
        assert ["zero", "zero:main", "zero:beta", "zero:prompted"] == models(client()) == models(client("plain"))

    def test_a_key_for_one_sees_that_one(self, client: Made) -> None:
        """The list has no other, and each other is 404 in every way of asking for it."""
        beta = client("beta")

        assert ["zero", "zero:beta"] == models(beta)
        assert "zero:beta" == beta.models.retrieve("zero:beta").id
        for name in ("zero:main", "zero/main", "agent:main", "zero:nobody"):
            with pytest.raises(openai.NotFoundError):
                beta.models.retrieve(name)
            with pytest.raises(openai.NotFoundError) as failure:
                say(beta, model=name)
            assert ("model_not_found", "model") == (failure.value.code, failure.value.param)
            assert "zero:main" not in failure.value.message.partition("models of this gateway are")[2]
        for headers in ({AGENT: "main"}, {KEY: "agent:main:x"}):
            with pytest.raises(openai.NotFoundError):
                say(beta, headers=headers)

    @pytest.mark.parametrize(("name", "agent"), [("beta", "beta"), ("pair", "main"), ("plain", "main")])
    @pytest.mark.parametrize("model", ["zero", "zero:default", "gpt-4o"])
    def test_who_names_none_gets_its_default(self, client: Made, name: str, agent: str, model: str) -> None:
        """The gateway's, if the key may use that; else the first of its own."""
        assert agent == say(client(name), model=model).headers[AGENT]

    def test_the_rest_is_the_operators(self, client: Made, gateway: LiveGateway) -> None:
        """Stored sessions are neither listed nor deleted by a key, its own included."""
        plain = client("plain")
        say(plain, headers={KEY: "kept"})
        for method, path in (("GET", "/zero/sessions"), ("DELETE", "/zero/sessions/agent:main:api-key:plain:kept")):
            with pytest.raises(openai.PermissionDeniedError) as failure:
                _request(plain, method, path)
            assert "operator_only" == failure.value.code
        assert "agent:main:api-key:plain:kept" in str(_request(client(), "GET", "/zero/sessions"))


class TestSecrets:
    """Which secrets open anything."""

    def test_an_expired_key_opens_nothing(self, client: Made) -> None:
        """And says so, since only who has it hears that."""
        with pytest.raises(openai.AuthenticationError) as failure:
            models(client("over"))

        assert "api_key_expired" == failure.value.code

    @pytest.mark.parametrize("wrong", ["nobody", "plain ", "Plain"])
    def test_a_wrong_one_is_a_wrong_one(self, client: Made, wrong: str) -> None:
        """As ever."""
        with pytest.raises(openai.AuthenticationError) as failure:
            models(client(wrong + "x"))

        assert "invalid_api_key" == failure.value.code

    def test_the_hash_is_no_secret(self, gateway: LiveGateway) -> None:
        """Who reads the configuration can't use what is there."""
        for shown in (entry("plain")["hash"], entry("plain")["hash"].removeprefix("sha256:")):
            with (
                OpenAI(base_url=f"{gateway.url}/v1", api_key=shown, max_retries=0) as client,
                pytest.raises(openai.AuthenticationError),
            ):
                models(client)


class TestSessions:
    """Whose conversations a key has."""

    @pytest.mark.parametrize("way", ["header", "user"])
    def test_two_keys_share_none(self, client: Made, upstream: Upstream, way: str) -> None:
        """Nor a key and the operator, though they call them the same."""
        for who in ("plain", "other", None):
            for turn in ("first", "second"):
                if way == "header":
                    answer = say(client(who), f"{turn} of {who}", headers={KEY: "same"})
                else:
                    answer = say(client(who), f"{turn} of {who}", user="same")
            rest = "same" if way == "header" else "openai-user:same"
            assert f"agent:main:{f'api-key:{who}:' if who else ''}{rest}" == answer.headers[KEY]
            assert [f"first of {who}", f"re: first of {who}", f"second of {who}"] == [
                text for _, text in seen(upstream)
            ]

    def test_the_key_of_the_answer_can_be_sent_back(self, client: Made, upstream: Upstream) -> None:
        """It is the same session then; and another key that sends it has one of its own."""
        given = say(client("plain"), "one", headers={KEY: "back"}).headers[KEY]
        say(client("plain"), "two", headers={KEY: given})
        assert 3 == len(seen(upstream))
        theirs = say(client("other"), "two", headers={KEY: given})
        assert ("agent:main:api-key:other:api-key:plain:back", 1) == (theirs.headers[KEY], len(seen(upstream)))
        say(client(), "three", headers={KEY: given})
        assert 5 == len(seen(upstream)), "the operator reaches it by its whole name"

    def test_keys_of_one_scope_share_them(self, client: Made, upstream: Upstream) -> None:
        """That is what a scope is for."""
        say(client("one"), "from one", headers={KEY: "ours"})
        answer = say(client("two"), "from two", headers={KEY: "ours"})

        assert "agent:main:api-key:shared:ours" == answer.headers[KEY]
        assert [("user", "from one"), ("assistant", "re: from one"), ("user", "from two")] == seen(upstream)

    def test_who_may_not_name_one_is_told(self, client: Made) -> None:
        """403, with the header's name; calls without it are as ever."""
        with pytest.raises(openai.PermissionDeniedError) as failure:
            say(client("silent"), headers={KEY: "mine"})

        assert ("session_key_not_allowed", KEY) == (failure.value.code, failure.value.param)
        assert say(client("silent")).headers[KEY].startswith("agent:main:api-key:silent:openai:")

    def test_an_idempotency_key_is_its_senders(self, client: Made, upstream: Upstream) -> None:
        """The same from another caller is another request; from the same one it is the same."""
        headers = {"Idempotency-Key": "the same"}
        before = len(upstream.calls)
        for who in ("plain", "other", None, "plain", "other"):
            say(client(who), "same words", headers=headers)

        assert 3 == len(upstream.calls) - before


class TestLimits:
    """How much a key may use, and what it is told of it."""

    def test_requests(self, client: Made) -> None:
        """Three a minute; the fourth is OpenAI's own 429, with how long to wait."""
        slow = client("slow")
        left = [int(say(slow).headers["x-ratelimit-remaining-requests"]) for _ in range(3)]
        with pytest.raises(openai.RateLimitError) as failure:
            say(slow)
        headers = failure.value.response.headers

        assert [2, 1, 0] == left
        assert ("requests", "rate_limit_exceeded", None) == (
            failure.value.type,
            failure.value.code,
            failure.value.param,
        )
        assert ("3", "0") == (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"])
        assert headers["x-ratelimit-reset-requests"].endswith("s")
        assert 10 < int(headers["retry-after"]) <= 20
        assert "false" == headers["x-should-retry"]
        assert "x-ratelimit-limit-tokens" not in headers

    def test_of_a_burst_only_so_many(self, client: Made) -> None:
        """Thirty at once, streamed: ten come through, with the headers."""
        burst = client("burst")

        def stream(_: int) -> bool:
            try:
                answer = say(burst, stream=True)
            except openai.RateLimitError:
                return False
            return answer.headers["x-ratelimit-limit-requests"] == "10" and bool(list(answer.parse()))

        with ThreadPoolExecutor(10) as pool:
            assert 10 == sum(pool.map(stream, range(30)))

    def test_what_is_refused_costs_nothing(self, client: Made) -> None:
        """A request that is wrong, or for no agent, takes nothing; nor does a list of models."""
        refused = client("refused")
        for _ in range(5):
            with pytest.raises(openai.NotFoundError):
                say(refused, model="zero:nobody")
            with pytest.raises(openai.BadRequestError):
                say(refused, temperature=9)
            models(refused)

        assert "1" == say(refused).headers["x-ratelimit-remaining-requests"]

    def test_tokens(self, client: Made) -> None:
        """What may be answered is set aside, and given back when less was said."""
        small = client("small")
        first = say(small, max_completion_tokens=400)
        used = first.parse().usage.total_tokens
        second = say(small, max_tokens=400)
        left = int(second.headers["x-ratelimit-remaining-tokens"])

        assert 0 < used < 100
        assert abs(600 - 400 - left - used) < 40, "of the first, only what it took"
        assert "600" == second.headers["x-ratelimit-limit-tokens"]
        with pytest.raises(openai.RateLimitError) as failure:
            say(small, max_completion_tokens=601)
        assert ("tokens", "rate_limit_exceeded") == (failure.value.type, failure.value.code)
        assert "false" == failure.value.response.headers["x-should-retry"]

    def test_tokens_of_a_prompt(self, client: Made) -> None:
        """What is said counts, and what is used up is refused; a message of a page is many tokens."""
        spent = client("spent")
        say(spent, "word " * 280)
        with pytest.raises(openai.RateLimitError) as failure:
            say(spent, "word " * 280)

        assert "tokens" == failure.value.type
        assert int(failure.value.response.headers["retry-after"]) > 1

    def test_runs_at_the_same_time(self, client: Made, upstream: Upstream) -> None:
        """One; the second is 429 until the first is over, and then the SDK's own retry comes through."""
        with upstream.held() as calls, ThreadPoolExecutor(2) as pool:
            first = pool.submit(say, client("narrow"))
            call = calls.get(timeout=20)
            with pytest.raises(openai.RateLimitError) as failure:
                say(client("narrow"))
            assert "concurrency_limit_exceeded" == failure.value.code
            second = pool.submit(say, client("narrow", 5))
            call.answer("done")
            calls.get(timeout=20).answer("done, too")
            assert ["done", "done, too"] == [
                answer.result().parse().choices[0].message.content for answer in (first, second)
            ]
        for _ in range(5):
            say(client("narrow"), stream=True).parse().close()
            say_until_free(client("narrow"))

    def test_who_goes_away_gives_its_place_back(self, client: Made, upstream: Upstream) -> None:
        """A client that hangs up in the middle of a stream holds nothing any more."""
        with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
            opened = pool.submit(say, client("narrower"), stream=True)
            call = calls.get(timeout=20)
            call.say("a word")
            opened.result().http_response.close()
            call.wait_until_abandoned()
        say_until_free(client("narrower"))

    def test_the_operator_has_none(self, client: Made) -> None:
        """Nor has a key without limits: no such header on their answers."""
        for who in (None, "plain"):
            assert not [name for name in say(client(who)).headers if name.startswith("x-ratelimit")]


def say_until_free(client: OpenAI) -> None:
    """Ask until there is a place: the gateway may not have seen yet that the one before is gone."""
    deadline = time.monotonic() + 20
    while True:
        try:
            say(client)
        except openai.RateLimitError:
            assert time.monotonic() < deadline
        else:
            return


def _request(client: OpenAI, method: str, path: str) -> Any:
    """Call an operation that the SDK has no word for."""
    call = client.get if method == "GET" else client.delete
    return call(path, cast_to=object)
