"""``n`` choices come from every upstream, also from one that gives one at a time. ``Caller`` checks every shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest

from tests.engines.caller import Caller
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import DONE, USAGE, Json, Pause, Script, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

AGENTS: Final = [f"several{number}" for number in range(40)]
REFUSAL: Final[Json] = {"message": "n must be 1", "type": "invalid_request_error", "param": "n", "code": None}
AT_ONCE: Final = 4
_numbers = count()


@pytest.fixture(scope="module")
def asker(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A client of a gateway with many agents: it remembers of each one's model whether it ignores ``n``."""
    config = upstream_configuration(service)
    config["agents"]["list"] += [{"id": agent, "model": f"fake/{agent}"} for agent in AGENTS]
    with LiveGateway(tmp_path_factory.mktemp("several"), config) as live:
        yield Caller(live)


@pytest.fixture
def agent() -> str:
    """An agent whose model nobody has asked anything yet."""
    return AGENTS[next(_numbers)]


def counted(prompt: int, completion: int, reasoning: int) -> Json:
    """Return a usage with details."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def one(text: str, usage: Json = USAGE) -> Script:
    """Return the answer of an upstream that knows one choice only."""
    return stream(*words(text, usage=usage))


def asked(upstream: FakeUpstream) -> list[Json]:
    """Return the ``n`` of every request that came."""
    return [exchange.json.get("n") for exchange in upstream.exchanges]


def test_whole(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """What is missing is asked for in further requests, each for one choice, and put together."""
    upstream.play(one("a", counted(11, 3, 1)), one("b", counted(11, 4, 2)), one("c", counted(11, 5, 0)))
    answer = asker.ask(agent, n=3)
    texts = [choice["message"]["content"] for choice in answer.body["choices"]]
    assert [0, 1, 2] == [choice["index"] for choice in answer.body["choices"]]
    assert ("a", ["a", "b", "c"]) == (texts[0], sorted(texts))
    assert [3, None, None] == asked(upstream)
    # As the API counts for ``n``: the prompt once.
    assert counted(11, 12, 3) == answer.body["usage"]
    assert answer.headers["x-zero-usage"] is None


def test_streamed(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """Streamed too, with one identity, and with each choice beginning behind the one before it."""
    upstream.play(one("a"), one("b"), one("c"), one("d"))
    answer = asker.stream(agent, n=4, stream_options={"include_usage": True})
    assert ["a", "b", "c", "d"] == sorted(answer.text(index) for index in range(4))
    assert ["stop"] * 4 == [answer.finish(index) for index in range(4)]
    assert {**USAGE, "completion_tokens": 28, "total_tokens": 39} == answer.usage
    first = list(dict.fromkeys(choice["index"] for choice in answer.choices))
    assert [0, 1, 2, 3] == first


def test_remembered(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """The next time all are asked for at once."""
    upstream.play(one("a"))
    for _ in range(2):
        asker.ask(agent, n=2)
    assert [2, None, None, None] == asked(upstream)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_at_once(upstream: FakeUpstream, asker: Caller, agent: str, streamed: bool) -> None:
    """They are asked for in parallel, a few at a time."""
    missing = AT_ONCE + 2
    upstream.play(one("a"), stream(*words("b")[:2], Pause(), *words()[1:]))
    with asker.send(agent, n=1 + missing, stream=streamed) as connection:
        for done in range(missing):
            # With so many done there is room for so many more, and for none beyond.
            upstream.wait(1 + min(AT_ONCE + done, missing))
            assert 1 + AT_ONCE + done >= len(upstream.exchanges)
            upstream.exchanges[1 + done].release()
        with connection.getresponse() as response:
            assert 200 == response.status
            assert response.read().endswith(b"[DONE]\n\n" if streamed else b"}")
    assert 1 + missing == len(upstream.exchanges)


def test_refused(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """An upstream that refuses ``n`` is asked again without it."""
    upstream.play(error(400, REFUSAL), one("a"))
    assert ["a", "a"] == [choice["message"]["content"] for choice in asker.ask(agent, n=2).body["choices"]]
    assert [2, None, None] == asked(upstream)


def test_seed(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """With a seed each choice has its own, or all would say the same; whatever else was asked stays."""
    upstream.play(one("a"))
    asker.ask(agent, n=3, seed=7, temperature=0.5)
    first, *others = [(exchange.json["seed"], exchange.json["temperature"]) for exchange in upstream.exchanges]
    assert ((7, 0.5), [(8, 0.5), (9, 0.5)]) == (first, sorted(others))


def test_honoured(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """An upstream that honours ``n`` is asked once."""
    both = [event(chunk({"content": text}, index=index, finish_reason="stop")) for index, text in enumerate("ab")]
    upstream.play(stream(*both, event({"choices": [], "usage": USAGE}), DONE))
    answer = asker.ask(agent, n=2)
    assert (["a", "b"], USAGE) == (
        [choice["message"]["content"] for choice in answer.body["choices"]],
        answer.body["usage"],
    )
    assert [2] == asked(upstream)


def test_choices_out_of_order(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """Where an upstream begins with a later choice, the client hears of the earlier ones first."""
    texts = [event(chunk({"content": text}, index=index)) for index, text in ((2, "c"), (0, "a"), (1, "b"))]
    ends = [event(chunk({}, index=index, finish_reason="stop")) for index in range(3)]
    upstream.play(stream(*texts, *ends, DONE))
    answer = asker.stream(agent, n=3)
    assert [0, 1, 2] == [choice["index"] for choice in answer.chunks[0]["choices"]]
    assert ["a", "b", "c"] == [answer.text(index) for index in range(3)]


FAILED: Final[Json] = {"message": "boom", "type": "x", "param": None, "code": "boom"}


def test_what_is_said_is_not_kept_back(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """The first choice reaches the client while nothing has come for the others yet."""
    upstream.play(one("a"), [Pause()])
    with asker.open(agent, n=2) as answer:
        assert "assistant" == answer.frame()["choices"][0]["delta"]["role"]
        assert "a" == answer.frame()["choices"][0]["delta"]["content"]
    upstream.wait(2).wait_closed()


class TestFailures:
    """One request that fails is a failure of the whole, and one error."""

    def test_whole(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """An HTTP error that keeps its meaning; the other requests are given up at once."""
        upstream.play(one("a"), error(429, FAILED, {"retry-after": "7"}), stream(*words("b")[:2], Pause()))
        answer = asker.ask(agent, n=4)
        assert (429, "boom", "7", "false") == (
            answer.status,
            answer.error["code"],
            answer.headers["retry-after"],
            answer.headers["x-should-retry"],
        )
        for exchange in upstream.exchanges[2:]:
            exchange.wait_closed()

    def test_streamed(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """An error event behind what was said already, and no finish for what is missing."""
        upstream.play(one("a"), stream(*words("b")[:2], event({"error": FAILED})), stream(*words("c")[:2], Pause()))
        answer = asker.stream(agent, n=3)
        assert ("boom", "a") == (answer.error["code"], answer.text())
        assert None in (answer.finish(1), answer.finish(2))

    def test_broken_off(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """A choice that ends too early is a failure as ever."""
        upstream.play(one("a"), stream(*words("b")[:2], DONE))
        assert "upstream_truncated" == asker.ask(agent, n=2).error["code"]

    def test_first_broken_off(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """When the first answer breaks off no more is asked for."""
        upstream.play(stream(*words("a")[:2], DONE))
        assert "upstream_truncated" == asker.ask(agent, n=2).error["code"]
        assert 1 == len(upstream.exchanges)

    def test_other_refusals_stay(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """A refusal of anything but ``n`` is the request's own fault, and final."""
        upstream.play(error(400, {**REFUSAL, "param": "messages"}))
        assert (400, "messages") == ((answer := asker.ask(agent, n=2)).status, answer.error["param"])
        assert 1 == len(upstream.exchanges)

    def test_client_leaves(self, upstream: FakeUpstream, asker: Caller, agent: str) -> None:
        """When the client goes, every request is given up."""
        upstream.play(one("a"), stream(*words("b")[:2], Pause()))
        with asker.open(agent, n=3) as answer:
            answer.frame()
            upstream.wait(3)
        for exchange in upstream.exchanges[1:]:
            exchange.wait_closed()


def test_session_remembers_the_first(upstream: FakeUpstream, asker: Caller, agent: str) -> None:
    """The session goes on from choice 0."""
    headers = {"x-zero-session-key": "several"}
    upstream.play(one("first"), one("second"))
    asker.ask(agent, headers, n=2)
    asker.ask(agent, headers, messages=[{"role": "user", "content": "and?"}])
    assert ["hi", "first", "and?"] == [message["content"] for message in upstream.last.json["messages"]]


@pytest.mark.parametrize("usage", [None, dict.fromkeys(USAGE, 0)], ids=["none", "zeros"])
def test_usage_is_estimated(upstream: FakeUpstream, asker: Caller, agent: str, usage: Json) -> None:
    """Where the upstream counts nothing, all choices are counted, and marked as an estimate."""
    upstream.play(one("one two", usage), one("three", usage))
    answer = asker.ask(agent, n=2, messages=[{"role": "user", "content": "a b c"}])
    assert {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10} == answer.body["usage"]
    assert "estimated" == answer.headers["x-zero-usage"]
