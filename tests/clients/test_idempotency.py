"""Retries of OpenAI's Python SDK over a network that loses answers, with ``Idempotency-Key`` and without."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.clients.lossy_proxy import Fate, LossyProxy
from tests.fakes.script import Json, Pause, chunk, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HI: Json = [{"role": "user", "content": "Hi"}]
SAID = "Hello, wörld"
REPLAYED = "idempotent-replayed"
CALL: Json = {"index": 0, "id": "call_7", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
TOOL: Json = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return "".join(character for character in request.node.nodeid if character.isalnum())[-200:]


def at(proxy: LossyProxy, live: LiveGateway, **headers: str) -> OpenAI:
    """Return the SDK with its own default settings."""
    return OpenAI(base_url=f"http://127.0.0.1:{proxy.port}/v1", api_key=live.token, default_headers=headers)


def whole(client: OpenAI, **fields: Json) -> tuple[str | None, str | None]:
    """Ask; return what was said and whether it is a repeat."""
    response = client.chat.completions.with_raw_response.create(**{"model": "zero", "messages": HI, **fields})
    completion = response.parse()
    assert isinstance(completion, ChatCompletion)
    return completion.choices[0].message.content, response.headers.get(REPLAYED)


def streamed(client: OpenAI, **fields: Json) -> tuple[str | None, str | None]:
    """The same with a stream."""
    response = client.chat.completions.with_raw_response.create(
        **{"model": "zero", "messages": HI, "stream": True, **fields}
    )
    chunks: list[ChatCompletionChunk] = list(response.parse())
    assert [choice.finish_reason for each in chunks for choice in each.choices][-1] == "stop"
    said = "".join(choice.delta.content or "" for each in chunks for choice in each.choices)
    return said, response.headers.get(REPLAYED)


Ask = Callable[..., tuple[str | None, str | None]]
asking = pytest.mark.parametrize("ask", [whole, streamed], ids=["whole", "streamed"])


class TestWithAKey:
    """``extra_headers={"Idempotency-Key": ...}``."""

    @asking
    def test_a_lost_answer(self, live: LiveGateway, upstream: FakeUpstream, name: str, ask: Ask) -> None:
        """The SDK's own retry gets it, and nothing is asked twice."""
        with LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy, at(proxy, live) as client:
            assert (SAID, "true") == ask(client, extra_headers={"Idempotency-Key": name})
            assert (2, 1) == (proxy.requests, len(upstream.exchanges))

    @asking
    def test_a_connection_lost_meanwhile(self, live: LiveGateway, upstream: FakeUpstream, name: str, ask: Ask) -> None:
        """The retry attaches to the run."""
        upstream.play(stream(Pause(), *words("Hello")))
        with (
            ThreadPoolExecutor(1) as pool,
            LossyProxy(live.port, Fate.LOST_AT_ONCE, Fate.LOST_AT_ONCE) as proxy,
            at(proxy, live) as client,
        ):
            asked = pool.submit(ask, client, extra_headers={"Idempotency-Key": name})
            proxy.wait(3)
            upstream.wait().release()
            assert ("Hello", "true") == asked.result()
            assert 1 == len(upstream.exchanges)

    def test_a_stream_lost_in_the_middle(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """What the SDK doesn't retry, the application can: it gets the stream from its beginning."""
        begin, *rest = words("one ", "two")
        upstream.play(stream(begin, Pause(), *rest))
        headers = {"Idempotency-Key": name}
        with LossyProxy(live.port, Fate.LOST_IN_THE_MIDDLE) as proxy, at(proxy, live) as client:
            with pytest.raises(openai.APIConnectionError):
                streamed(client, extra_headers=headers)
            upstream.last.release()
            assert ("one two", "true") == streamed(client, extra_headers=headers)
            assert 1 == len(upstream.exchanges)

    def test_another_request(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """A reused key is raised at once."""
        with LossyProxy(live.port) as proxy, at(proxy, live) as client:
            whole(client, extra_headers={"Idempotency-Key": name})
            with pytest.raises(openai.BadRequestError) as caught:
                whole(client, temperature=0.5, extra_headers={"Idempotency-Key": name})
            assert ("idempotency_key_reused", "Idempotency-Key") == (caught.value.code, caught.value.param)
            assert (2, 1) == (proxy.requests, len(upstream.exchanges))


class TestInASession:
    """Without a key, the SDK's ``x-stainless-retry-count`` and the session's chain."""

    @asking
    def test_a_lost_answer(self, live: LiveGateway, upstream: FakeUpstream, name: str, ask: Ask) -> None:
        """The stored answer is given again; the next turn sees the one before once."""
        headers = {"x-zero-session-key": name}
        with LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy, at(proxy, live, **headers) as client:
            assert (SAID, "true") == ask(client)
            assert (2, 1) == (proxy.requests, len(upstream.exchanges))
            assert (SAID, None) == ask(client, messages=[{"role": "user", "content": "And?"}])
        assert ["Hi", SAID, "And?"] == [message["content"] for message in upstream.last.json["messages"]]

    @asking
    def test_a_connection_lost_meanwhile(self, live: LiveGateway, upstream: FakeUpstream, name: str, ask: Ask) -> None:
        """The retry waits in the session's queue and then finds the turn."""
        upstream.play(stream(Pause(), *words("Hello")))
        with (
            ThreadPoolExecutor(1) as pool,
            LossyProxy(live.port, Fate.LOST_AT_ONCE) as proxy,
            at(proxy, live, **{"x-zero-session-key": name}) as client,
        ):
            asked = pool.submit(ask, client)
            proxy.wait(2)
            upstream.wait().release()
            assert ("Hello", "true") == asked.result()
            assert 1 == len(upstream.exchanges)

    def test_a_resent_conversation(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """The same for a client that always sends everything."""
        more = [*HI, {"role": "assistant", "content": SAID}, {"role": "user", "content": "And?"}]
        with LossyProxy(live.port) as proxy, at(proxy, live, **{"x-zero-session-key": name}) as client:
            whole(client)
        with (
            LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy,
            at(proxy, live, **{"x-zero-session-key": name}) as client,
        ):
            assert (SAID, "true") == whole(client, messages=more)
            assert 2 == len(upstream.exchanges)

    def test_usage_is_estimated(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """What it took isn't stored, so it is counted anew, and says so."""
        headers = {"x-zero-session-key": name}
        with LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy, at(proxy, live, **headers) as client:
            response = client.chat.completions.with_raw_response.create(model="zero", messages=HI)
        usage = response.parse().usage
        assert "estimated" == response.headers["x-zero-usage"]
        assert usage is not None
        assert usage.completion_tokens > 0

    @pytest.mark.parametrize("stream_it", [False, True], ids=["whole", "streamed"])
    def test_calls_come_again(self, live: LiveGateway, upstream: FakeUpstream, name: str, stream_it: bool) -> None:
        """An answer that calls tools is given again with its calls, and can be gone on with."""
        first = event(chunk({"role": "assistant", "content": None, "tool_calls": [CALL]}))
        upstream.play(stream(first, event(chunk({}, finish_reason="tool_calls")), b"data: [DONE]\n\n"))
        headers = {"x-zero-session-key": name}
        with LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy, at(proxy, live, **headers) as client:
            if stream_it:
                with client.chat.completions.stream(model="zero", messages=HI, tools=[TOOL]) as events:
                    choice: Json = events.get_final_completion().choices[0]
            else:
                choice = client.chat.completions.create(model="zero", messages=HI, tools=[TOOL]).choices[0]
            [call] = choice.message.tool_calls
            assert ("tool_calls", "call_7", '{"at": 1}') == (choice.finish_reason, call.id, call.function.arguments)
            upstream.play(stream(*words("seen")))
            result = {"role": "tool", "tool_call_id": "call_7", "content": "a tree"}
            assert ("seen", None) == whole(client, messages=[result])
            assert 2 == len(upstream.exchanges)

    def test_a_user_who_says_the_same_twice(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """Without the SDK's count it is a new turn."""
        with LossyProxy(live.port) as proxy, at(proxy, live, **{"x-zero-session-key": name}) as client:
            assert [(SAID, None)] * 2 == [whole(client) for _ in range(2)]
        assert [2, 3] == [len(upstream.exchanges), len(upstream.last.json["messages"])]

    def test_several_choices(self, live: LiveGateway, upstream: FakeUpstream, name: str) -> None:
        """Of which a session keeps one, are made anew, in the place of the first ones."""
        headers = {"x-zero-session-key": name, "x-stainless-retry-count": "1"}
        with LossyProxy(live.port) as proxy, at(proxy, live, **{"x-zero-session-key": name}) as client:
            # An agent of its own: the gateway remembers that this one's model ignores ``n``.
            whole(client, model="zero:narrow")
            whole(client, model="zero:narrow", n=2, extra_headers=headers)
        assert ["Hi"] == [message["content"] for message in upstream.last.json["messages"]]

    def test_stateless(self, live: LiveGateway, upstream: FakeUpstream) -> None:
        """Nothing is kept, so there is nothing to recognise: a key is what helps."""
        with LossyProxy(live.port, Fate.LOST_AT_THE_END) as proxy, at(proxy, live) as client:
            assert (SAID, None) == whole(client)
            assert 2 == len(upstream.exchanges)
