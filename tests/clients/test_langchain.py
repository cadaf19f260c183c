"""LangChain's ``ChatOpenAI`` works with the gateway: answers, streams, tools, structured output, sessions, errors."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.fakes.script import Json, Reset, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HELLO: Final = event(chunk({"content": "Hello,"}))


class Place(BaseModel):
    """A place on the map."""

    name: str


@tool
def look(at: str) -> str:
    """Look at something and say its colour."""
    return f"{at} is red"


def model(live: LiveGateway, **options: Any) -> ChatOpenAI:
    """Return LangChain's model, as its users make it for a service that isn't OpenAI's."""
    return ChatOpenAI(
        base_url=f"{live.url}/v1", api_key=SecretStr(live.token), model="zero", use_responses_api=False, **options
    )


def asking_for_a_tool() -> list[bytes]:
    """Return an answer that calls ``look``, its arguments in pieces."""
    first: Json = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": ""}}
    pieces: list[Json] = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"at":', ' "é"}')]
    deltas = [event(chunk({"tool_calls": [part]})) for part in (first, *pieces)]
    return [*deltas, event(chunk({}, finish_reason="tool_calls")), *words()[-2:]]


def test_invoke(live: LiveGateway, upstream: FakeUpstream) -> None:
    """An answer comes with its usage and its finish reason; the system message reaches the model."""
    upstream.play(stream(*words("Hello,", " you")))
    answer = model(live).invoke([SystemMessage("Be brief."), HumanMessage("hi")])
    assert "Hello, you" == answer.content
    assert answer.usage_metadata is not None
    assert 18 == answer.usage_metadata["total_tokens"]
    assert "stop" == answer.response_metadata["finish_reason"]
    assert ["Be brief.", "hi"] == [message["content"] for message in upstream.last.json["messages"]]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_stream(live: LiveGateway, upstream: FakeUpstream, asynchronous: bool) -> None:
    """A stream's pieces add up to the answer, with usage at the end."""
    upstream.play(stream(*words("Hello,", " you")))

    async def read() -> list[AIMessageChunk]:
        return [piece async for piece in model(live, stream_usage=True).astream("hi")]

    pieces = asyncio.run(read()) if asynchronous else list(model(live, stream_usage=True).stream("hi"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    assert "Hello, you" == whole.content
    assert whole.usage_metadata is not None
    assert 18 == whole.usage_metadata["total_tokens"]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_loop(live: LiveGateway, upstream: FakeUpstream, streamed: bool) -> None:
    """A bound tool is called with the model's arguments, and its result brings the answer."""
    upstream.play(stream(*asking_for_a_tool()), stream(*words("It is red.")))
    bound = model(live, streaming=streamed).bind_tools([look])
    asked = HumanMessage("what colour is é?")
    first = bound.invoke([asked])
    [call] = first.tool_calls
    assert ("look", {"at": "é"}, "call_a") == (call["name"], call["args"], call["id"])
    result = look.invoke(call)
    assert isinstance(result, ToolMessage)
    assert "It is red." == bound.invoke([asked, first, result]).content
    last = upstream.last.json["messages"][-1]
    assert ("tool", "call_a", "é is red") == (last["role"], last["tool_call_id"], last["content"])
    assert "look" == upstream.last.json["tools"][0]["function"]["name"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output(live: LiveGateway, upstream: FakeUpstream, method: Any) -> None:
    """A pydantic model comes back, by each of LangChain's ways of asking for it."""
    if method == "function_calling":
        call = {"index": 0, "id": "call_p", "type": "function", "function": {"name": "Place", "arguments": ""}}
        pieces = [call, {"index": 0, "function": {"arguments": '{"name": "Köln"}'}}]
        deltas = [event(chunk({"tool_calls": [piece]})) for piece in pieces]
        upstream.play(stream(*deltas, event(chunk({}, finish_reason="tool_calls")), *words()[-2:]))
    else:
        upstream.play(stream(*words('{"name": ', '"Köln"}')))
    asked = model(live).with_structured_output(Place, method=method)
    assert Place(name="Köln") == asked.invoke("Where is the cathedral? Answer in JSON.")
    sent = upstream.last.json
    named = {"json_schema": "json_schema", "json_mode": "json_object"}.get(method)
    assert named == (sent.get("response_format") or {}).get("type")


def test_session(live: LiveGateway, upstream: FakeUpstream) -> None:
    """A default header makes every call of a model part of one session."""
    upstream.play(stream(*words("Hello.")))
    kept = model(live, default_headers={"x-zero-session-key": "langchain"})
    kept.invoke("I'm Ann.")
    kept.invoke("Who am I?")
    assert ["I'm Ann.", "Hello.", "Who am I?"] == [message["content"] for message in upstream.last.json["messages"]]


def test_batch(live: LiveGateway, upstream: FakeUpstream) -> None:
    """Several questions at once are several answers."""
    echo = model(live).model_copy(update={"model_name": "zero:echo"})
    assert ["one", "two", "three"] == [answer.content for answer in echo.batch(["one", "two", "three"])]


def test_errors(live: LiveGateway, upstream: FakeUpstream) -> None:
    """Failures are raised as OpenAI's classes, before and amid a stream, and runs are not repeated."""
    upstream.play(error(500, {"message": "no"}, headers={"retry-after": "1"}), stream(HELLO, Reset()))
    with pytest.raises(openai.InternalServerError):
        model(live).invoke("hi")
    assert 1 == len(upstream.exchanges)
    with pytest.raises(openai.APIError) as caught:
        list(model(live).stream("hi"))
    assert "upstream_connection_lost" == caught.value.code
    with pytest.raises(openai.AuthenticationError):
        model(live).model_copy(update={}).bind().invoke("hi", extra_headers={"Authorization": "Bearer wrong"})
    assert 2 == len(upstream.exchanges)
