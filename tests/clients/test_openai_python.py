"""OpenAI's official Python SDK, sync and async, works with the gateway as with OpenAI, errors and retries included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.fakes.script import Json, Pause, Reset, Script, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HI: Final[Json] = [{"role": "user", "content": "hi there"}]
TOOLS: Final[Json] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
FORBIDDEN: Final[Json] = [{"type": "function", "function": {"name": "delete_everything"}}]
HELLO: Final = event(chunk({"content": "Hello,"}))
CLOSED_WITHIN: Final = 1.0
BLOCKED: Final[Script] = [Pause()]

Call: TypeAlias = Callable[..., Any]


@pytest.fixture
def client(live: LiveGateway, upstream: FakeUpstream) -> Iterator[OpenAI]:
    """The SDK as everybody makes it: default timeout, default retries."""
    with OpenAI(base_url=f"{live.url}/v1", api_key=live.token) as made:
        yield made


@pytest.fixture
def make_async(live: LiveGateway, upstream: FakeUpstream) -> Callable[[], AsyncOpenAI]:
    """Make an asynchronous client, to be used within one event loop."""
    return lambda: AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.token)


@pytest.fixture(params=["sync", "async"])
def create(request: pytest.FixtureRequest, live: LiveGateway, client: OpenAI) -> Call:
    """``chat.completions.create``, by either client; a stream is read to its end and returned as a list of chunks."""
    if request.param == "sync":

        def create_sync(**fields: Any) -> Any:
            answer = client.with_options(api_key=fields.pop("api_key", None)).chat.completions.create(**fields)
            return list(answer) if fields.get("stream") else answer

        return create_sync

    async def create_async(fields: Any) -> Any:
        async with AsyncOpenAI(base_url=f"{live.url}/v1", api_key=fields.pop("api_key", live.token)) as made:
            answer = await made.chat.completions.create(**fields)
            return [chunk async for chunk in answer] if fields.get("stream") else answer

    return lambda **fields: asyncio.run(create_async(fields))


class TestAnswers:
    """Answers, whole and streamed."""

    def test_echo(self, create: Call) -> None:
        """A completion from the echo engine."""
        answer = create(model="zero:echo", messages=HI)
        assert ("hi there", "stop", "zero:echo") == (
            answer.choices[0].message.content,
            answer.choices[0].finish_reason,
            answer.model,
        )
        assert 4 == answer.usage.total_tokens
        assert answer._request_id

    def test_echo_streamed(self, create: Call) -> None:
        """The same, streamed; without asking there is no usage."""
        chunks = create(model="zero:echo", messages=HI, stream=True)
        assert "hi there" == "".join(item.choices[0].delta.content or "" for item in chunks)
        assert ("assistant", "stop") == (chunks[0].choices[0].delta.role, chunks[-1].choices[0].finish_reason)
        assert {None} == {item.usage for item in chunks}

    def test_upstream(self, create: Call) -> None:
        """A completion from an upstream, with its usage."""
        answer = create(model="zero", messages=HI)
        assert ("Hello, wörld", 18) == (answer.choices[0].message.content, answer.usage.total_tokens)

    def test_include_usage(self, create: Call) -> None:
        """The last chunk of a stream has the usage and no choices."""
        *_, last = create(model="zero", messages=HI, stream=True, stream_options={"include_usage": True})
        assert ([], 11, 7, 18) == (
            last.choices,
            last.usage.prompt_tokens,
            last.usage.completion_tokens,
            last.usage.total_tokens,
        )

    def test_several_choices(self, create: Call) -> None:
        """``n`` choices."""
        answer = create(model="zero:echo", messages=HI, n=3)
        assert [(0, "hi there"), (1, "hi there"), (2, "hi there")] == [
            (choice.index, choice.message.content) for choice in answer.choices
        ]

    def test_unknown_fields_are_forwarded(self, create: Call, upstream: FakeUpstream) -> None:
        """``extra_body`` reaches the upstream."""
        create(model="zero", messages=HI, extra_body={"top_k": 7, "x_new": {"a": [1]}})
        assert (7, {"a": [1]}) == (upstream.last.json["top_k"], upstream.last.json["x_new"])

    def test_headers(self, client: OpenAI) -> None:
        """Raw responses show the gateway's headers: agent, session, run and request."""
        raw = client.chat.completions.with_raw_response.create(
            model="zero", messages=HI, extra_headers={"x-zero-agent-id": "echo", "x-zero-session-key": "mine"}
        )
        assert ("echo", "agent:echo:mine") == (raw.headers["x-zero-agent-id"], raw.headers["x-zero-session-key"])
        assert raw.headers["x-zero-run-id"].startswith("run_")
        assert raw.headers["x-request-id"] == raw.parse()._request_id
        assert 0 <= int(raw.headers["openai-processing-ms"])

    def test_stream_helper(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """The helper puts a stream together, tool calls included, though the upstream repeats their ids."""
        parts: list[Json] = [
            {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": ""}},
            {"index": 0, "id": "call_a", "type": "function", "function": {"arguments": '{"at":'}},
            {"index": 0, "id": "call_a", "type": "function", "function": {"arguments": '"é"}'}},
        ]
        upstream.play(
            stream(
                HELLO,
                *(event(chunk({"tool_calls": [part]})) for part in parts),
                event(chunk({}, finish_reason="tool_calls")),
                *words()[-2:],
            )
        )
        with client.chat.completions.stream(
            model="zero", messages=HI, tools=TOOLS, stream_options={"include_usage": True}
        ) as events:
            kinds = {item.type for item in events}
            final = events.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} <= kinds
        assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
        [call] = final.choices[0].message.tool_calls or []
        assert ("call_a", "look", '{"at":"é"}') == (call.id, call.function.name, call.function.arguments)
        assert ("Hello,", "tool_calls") == (final.choices[0].message.content, final.choices[0].finish_reason)
        assert final.usage is not None
        assert 18 == final.usage.total_tokens

    def test_structured_output(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """``parse`` sends its schema through to the upstream and reads the answer with it."""

        class Place(BaseModel):
            name: str

        upstream.play(stream(*words('{"name": ', '"Köln"}')))
        answer = client.chat.completions.parse(model="zero", messages=HI, response_format=Place)
        assert Place(name="Köln") == answer.choices[0].message.parsed
        assert "Place" == upstream.last.json["response_format"]["json_schema"]["name"]

    def test_tools_round_trip(self, create: Call, upstream: FakeUpstream) -> None:
        """A tool call comes back, its result is sent, and the upstream sees the whole exchange."""
        call = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
        asking = stream(event(chunk({"tool_calls": [{"index": 0, **call}]}, finish_reason="tool_calls")))
        upstream.play(asking, stream(*words("It is red.")))
        first = create(model="zero", messages=HI, tools=TOOLS)
        said = first.choices[0].message
        assert TOOLS == upstream.last.json["tools"]
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "red"}
        second = create(model="zero", messages=[*HI, said, result], tools=TOOLS)
        assert "It is red." == second.choices[0].message.content
        _, assistant, tool = upstream.last.json["messages"]
        assert ([call], result) == (assistant["tool_calls"], tool)

    def test_session(self, create: Call, upstream: FakeUpstream) -> None:
        """``user`` makes a session: the second call continues the first."""
        user = f"someone-{time.monotonic_ns()}"
        upstream.play(stream(*words("Hello.")))
        create(model="zero", messages=[{"role": "user", "content": "I'm Ann."}], user=user)
        create(model="zero", messages=[{"role": "user", "content": "Who am I?"}], user=user)
        assert ["I'm Ann.", "Hello.", "Who am I?"] == [message["content"] for message in upstream.last.json["messages"]]


class TestModels:
    """The agents as models."""

    def test_list(self, client: OpenAI) -> None:
        """The default's name comes first, then each agent."""
        names = [model.id for model in client.models.list()]
        assert ["zero", "zero:main"] == names[:2]
        assert {"zero:echo", "zero:chained"} <= set(names)

    @pytest.mark.parametrize("name", ["zero", "zero:echo", "zero/echo", "agent:echo", "zero:default"])
    def test_retrieve(self, client: OpenAI, name: str) -> None:
        """Every name that ``model`` accepts can be looked up, colons and slashes included."""
        assert (name, "model") == ((model := client.models.retrieve(name)).id, model.object)

    def test_unknown(self, client: OpenAI) -> None:
        """A name that is no agent's isn't found."""
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("zero:nobody")
        assert "model_not_found" == caught.value.code


class Refusal(NamedTuple):
    """A request that fails before its first word: what is asked, what the upstream does, and what the SDK raises."""

    raised: type[openai.APIStatusError]
    status: int
    code: str | None
    param: str | None = None
    script: Script = ()
    asked: int = 0
    fields: Json = None


def upstream_error(status: int, **fields: Json) -> Script:
    """Return an upstream's error whose ``Retry-After`` would make the SDK try again."""
    return error(status, {"message": "no", **fields}, headers={"retry-after": "1"})


REFUSALS: Final[dict[str, Refusal]] = {
    "wrong token": Refusal(openai.AuthenticationError, 401, "invalid_api_key", fields={"api_key": "wrong"}),
    "unknown agent": Refusal(openai.NotFoundError, 404, "model_not_found", "model", fields={"model": "zero:nobody"}),
    "bad parameter": Refusal(openai.BadRequestError, 400, "invalid_value", "temperature", fields={"temperature": 3}),
    "forbidden tool": Refusal(
        openai.PermissionDeniedError,
        403,
        "tool_not_allowed",
        "tools[0].function.name",
        fields={"model": "zero:careful", "tools": FORBIDDEN},
    ),
    "upstream 400": Refusal(
        openai.BadRequestError,
        400,
        "unsupported_value",
        "top_k",
        upstream_error(400, code="unsupported_value", param="top_k"),
        1,
    ),
    "upstream 401": Refusal(
        openai.InternalServerError, 502, "upstream_authentication_failed", None, upstream_error(401), 1
    ),
    "upstream 429": Refusal(openai.RateLimitError, 429, "rate_limit_exceeded", None, upstream_error(429), 1),
    "upstream 500": Refusal(openai.InternalServerError, 502, "upstream_error", None, upstream_error(500), 1),
    "upstream 503": Refusal(openai.InternalServerError, 503, "upstream_error", None, upstream_error(503), 1),
    "upstream reset": Refusal(openai.InternalServerError, 502, "upstream_connection_lost", None, [Reset()], 1),
    "run timeout": Refusal(
        openai.InternalServerError, 504, "run_timeout", None, BLOCKED, 1, fields={"model": "zero:hasty"}
    ),
}


class TestErrors:
    """Failures are raised as the classes that programs catch, and a run that has begun is never repeated."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
    def test_refused(self, create: Call, upstream: FakeUpstream, refusal: Refusal, streamed: bool) -> None:
        """Class, status, code, param and request id are right, and the SDK's retries ask the upstream once."""
        upstream.play(*([refusal.script] if refusal.script else []))
        fields = {"model": "zero", "messages": HI, "stream": streamed, **(refusal.fields or {})}
        with pytest.raises(openai.APIStatusError) as caught:
            create(**fields)
        raised = caught.value
        assert refusal.raised is type(raised)
        assert (refusal.status, refusal.code, refusal.param) == (raised.status_code, raised.code, raised.param)
        assert raised.request_id
        assert refusal.asked == len(upstream.exchanges)

    def test_amid_a_stream(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """A failure behind the first words is raised while reading, with its code, and not taken for an end."""
        upstream.play(stream(HELLO, Pause(), event({"error": {"message": "no", "code": "overloaded"}})))
        chunks = client.chat.completions.create(model="zero", messages=HI, stream=True)
        assert "Hello," == next(chunks).choices[0].delta.content
        upstream.last.release()
        with pytest.raises(openai.APIError) as caught:
            list(chunks)
        assert ("overloaded", "server_error") == (caught.value.code, caught.value.type)
        assert 1 == len(upstream.exchanges)

    def test_amid_an_async_stream(self, make_async: Callable[[], AsyncOpenAI], upstream: FakeUpstream) -> None:
        """The same with the asynchronous client, for an upstream that breaks off."""
        upstream.play(stream(HELLO, Pause(), Reset()))

        async def read() -> openai.APIError:
            async with make_async() as client:
                chunks = await client.chat.completions.create(model="zero", messages=HI, stream=True)
                assert "Hello," == (await anext(chunks)).choices[0].delta.content
                upstream.last.release()
                with pytest.raises(openai.APIError) as caught:
                    await anext(chunks)
                return caught.value

        assert "upstream_connection_lost" == asyncio.run(read()).code

    def test_own_timeout_is_answered_in_time(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """Before the client's own time is up it gets a 504, and so it doesn't send the request again."""
        upstream.play(BLOCKED)
        with pytest.raises(openai.InternalServerError) as caught:
            client.with_options(timeout=4).chat.completions.create(model="zero", messages=HI)
        assert (504, "run_timeout") == (caught.value.status_code, caught.value.code)
        assert 1 == len(upstream.exchanges)
        assert upstream.last.wait_closed(CLOSED_WITHIN)


class TestLeaving:
    """A client that gives up takes its run along."""

    def test_timeout(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """A stream that doesn't begin in the client's time raises APITimeoutError, and the upstream is let go."""
        upstream.play(BLOCKED)
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.5, max_retries=0).chat.completions.create(
                model="zero", messages=HI, stream=True
            )
        assert upstream.wait().wait_closed(CLOSED_WITHIN)

    def test_retries_of_a_timeout_do_not_pile_up(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """When the SDK tries again, its former attempt's run has ended."""
        upstream.play(BLOCKED)
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.5, max_retries=1).chat.completions.create(
                model="zero", messages=HI, stream=True
            )
        assert 2 == len(upstream.exchanges)
        assert all(exchange.wait_closed(CLOSED_WITHIN) for exchange in upstream.exchanges)

    def test_closed_stream(self, client: OpenAI, upstream: FakeUpstream) -> None:
        """Closing a stream half-way ends the run."""
        upstream.play(stream(HELLO, Pause()))
        with client.chat.completions.create(model="zero", messages=HI, stream=True) as chunks:
            next(chunks)
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_cancelled_task(
        self, make_async: Callable[[], AsyncOpenAI], upstream: FakeUpstream, streamed: bool
    ) -> None:
        """Cancelling the task that waits ends the run."""
        upstream.play(BLOCKED)

        async def cancel() -> None:
            async with make_async() as client:
                asking = client.chat.completions.create(model="zero", messages=HI, stream=streamed)
                task = asyncio.ensure_future(asking)
                await asyncio.to_thread(upstream.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await asyncio.to_thread(upstream.last.wait_closed, CLOSED_WITHIN)

        asyncio.run(cancel())
