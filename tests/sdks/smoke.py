"""A walk through the generated Python client. Prints what it sees; smoke.ts prints the same.

Run with the gateway's address and secret, and with the generated package on the path. Written as a user would, against
the package's public names only, so that mypy --strict says whether these are typed.
"""

# ruff: noqa: T201 - what it prints is what the test looks at
from __future__ import annotations

import asyncio
import sys

from zero_gateway_client import (
    AuthenticatedClient,
    ChatCompletionFailed,
    Client,
    astream_chat_completion,
    stream_chat_completion,
)
from zero_gateway_client.api.chat import create_chat_completion
from zero_gateway_client.api.models import list_models, retrieve_model
from zero_gateway_client.api.service import get_contract_json, get_health
from zero_gateway_client.models import (
    ChatCompletionMessageToolCall,
    ChatCompletionRequestDeveloperMessage,
    ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestUserMessage,
    ChatCompletionStreamOptions,
    ChatCompletionTool,
    ContractDocument,
    CreateChatCompletionRequest,
    CreateChatCompletionResponse,
    CreateChatCompletionStreamResponse,
    ErrorResponse,
    FunctionObject,
    FunctionParameters,
    HealthStatus,
    ListModelsResponse,
    Model,
)

TEXT = "Olá, mundo!"


def request(model: str) -> CreateChatCompletionRequest:
    """Ask an agent, in parts and with a tool, as the contract's unions allow."""
    part = ChatCompletionRequestMessageContentPartText(type_="text", text=TEXT)
    parameters = FunctionParameters.from_dict({"type": "object", "properties": {"city": {"type": "string"}}})
    tool = ChatCompletionTool(type_="function", function=FunctionObject(name="get_weather", parameters=parameters))
    return CreateChatCompletionRequest(
        model=model,
        messages=[
            ChatCompletionRequestDeveloperMessage(role="developer", content="Be brief."),
            ChatCompletionRequestUserMessage(role="user", content=[part]),
        ],
        tools=[tool] if model == "zero:caller" else [],
        stop=["STOP"],
        stream_options=ChatCompletionStreamOptions(include_usage=True),
    )


def said(chunk: CreateChatCompletionStreamResponse) -> str:
    """Return a chunk's text."""
    return "".join(choice.delta.content or "" for choice in chunk.choices)


def models(client: AuthenticatedClient) -> None:
    """List the agents, describe one, and one that isn't there."""
    found = list_models.sync(client=client)
    assert isinstance(found, ListModelsResponse)
    print("models:", *(model.id for model in found.data))
    model = retrieve_model.sync("zero/beta", client=client)
    assert isinstance(model, Model)
    print("model:", model.id)
    missing = retrieve_model.sync_detailed("zero:nobody", client=client)
    assert isinstance(missing.parsed, ErrorResponse)
    print("unknown model:", missing.status_code.value, missing.parsed.error.code, missing.parsed.error.param)


def completions(client: AuthenticatedClient, stranger: AuthenticatedClient) -> None:
    """Complete: a text in a session, a tool call, and a refusal."""
    answer = create_chat_completion.sync_detailed(client=client, body=request("zero"), x_zero_session_key="smoke")
    assert isinstance(answer.parsed, CreateChatCompletionResponse)
    print("completion:", answer.parsed.choices[0].message.content, answer.parsed.choices[0].finish_reason)
    print("session:", answer.headers["x-zero-session-key"])
    calling = create_chat_completion.sync(client=client, body=request("zero:caller"))
    assert isinstance(calling, CreateChatCompletionResponse)
    for call in calling.choices[0].message.tool_calls or []:
        assert isinstance(call, ChatCompletionMessageToolCall)
        print("tool call:", call.function.name, call.function.arguments)
    refused = create_chat_completion.sync_detailed(client=stranger, body=request("zero"))
    assert isinstance(refused.parsed, ErrorResponse)
    print("wrong token:", refused.status_code.value, refused.parsed.error.code, refused.parsed.error.type_)


def streams(client: AuthenticatedClient) -> None:
    """Stream: an answer to its end, one that is refused, and one that breaks off."""
    chunks = list(stream_chat_completion(client=client, body=request("zero"), x_zero_session_key="smoke"))
    [total] = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    print("stream:", "".join(map(said, chunks)), "usage" if total else "no usage")
    for model in ("zero:nobody", "zero:broken"):
        text = ""
        try:
            for chunk in stream_chat_completion(client=client, body=request(model)):
                text += said(chunk)
        except ChatCompletionFailed as failed:
            code = failed.error.code if failed.error else "no error object"
            print(f"stream of {model}:", text or "nothing", failed.status, code)


def leaving(client: AuthenticatedClient) -> None:
    """Leave a stream early, which stops its run: the agent has room for one, and the next one isn't kept waiting."""
    for chunk in stream_chat_completion(client=client, body=request("zero:slow")):
        if said(chunk):
            break
    chunks = stream_chat_completion(client=client, body=request("zero:slow"))
    print(f"stream left early: {said(chunk)}, then {''.join(map(said, chunks))}")


async def in_an_event_loop(client: AuthenticatedClient) -> None:
    """Do a little of it without blocking."""
    found = await list_models.asyncio(client=client)
    assert isinstance(found, ListModelsResponse)
    chunks = [chunk async for chunk in astream_chat_completion(client=client, body=request("zero"))]
    assert "".join(map(said, chunks)) == TEXT
    statuses = []
    for model in ("zero:nobody", "zero:broken"):
        try:
            async for _ in astream_chat_completion(client=client, body=request(model)):
                pass
        except ChatCompletionFailed as failed:
            statuses.append(failed.status)
    assert statuses == [404, 200]


def service(url: str) -> None:
    """Ask without a secret what needs none."""
    client = Client(base_url=url)
    health = get_health.sync(client=client)
    assert isinstance(health, HealthStatus)
    contract = get_contract_json.sync(client=client)
    assert isinstance(contract, ContractDocument)
    print("service:", health.status, contract["openapi"])


def main(url: str, token: str) -> None:
    """Do everything, in the order that smoke.ts has too."""
    with AuthenticatedClient(base_url=url, token=token) as client:
        models(client)
        completions(client, AuthenticatedClient(base_url=url, token="wrong"))
        streams(client)
        leaving(client)
    asyncio.run(in_an_event_loop(AuthenticatedClient(base_url=url, token=token)))
    service(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
