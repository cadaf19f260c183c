"""Streamed chat completions.

This module is written by hand and copied into the generated package, because the generator leaves out the answers that
are streams of server-sent events. It has the operation's own parameters and knows nothing else of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from zero_gateway_client.api.chat import create_chat_completion
from zero_gateway_client.client import AuthenticatedClient, Client
from zero_gateway_client.models import (
    CreateChatCompletionRequest,
    CreateChatCompletionStreamResponse,
    Error,
    ErrorResponse,
)

_DONE = "[DONE]"


class ChatCompletionFailed(Exception):
    """The gateway refused to stream, or the stream broke off.

    Args:
        message: What went wrong.
        status: The HTTP status: 200 when the failure came in the middle of the stream.
        error: The gateway's own words, unless something else answered in its place.
    """

    def __init__(self, message: str, status: int, error: Error | None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


def stream_chat_completion(
    *, client: AuthenticatedClient | Client, body: CreateChatCompletionRequest, **headers: str
) -> Iterator[CreateChatCompletionStreamResponse]:
    """Run one turn of an agent and yield the answer's chunks as they come.

    Args:
        client: The gateway.
        body: The request. `stream` need not be set.
        headers: As in `create_chat_completion`, such as `x_zero_session_key`.

    Raises:
        ChatCompletionFailed: The run failed, before its first chunk or later.
    """
    with client.get_httpx_client().stream(**_request(body, headers)) as response:
        if not response.is_success:
            response.read()
            raise _failure(response)
        for line in response.iter_lines():
            data = _data(line)
            if data == _DONE:
                return
            if data:
                yield _chunk(data)
    raise _broken_off()


async def astream_chat_completion(
    *, client: AuthenticatedClient | Client, body: CreateChatCompletionRequest, **headers: str
) -> AsyncIterator[CreateChatCompletionStreamResponse]:
    """Do what `stream_chat_completion` does, in an event loop."""
    async with client.get_async_httpx_client().stream(**_request(body, headers)) as response:
        if not response.is_success:
            await response.aread()
            raise _failure(response)
        async for line in response.aiter_lines():
            data = _data(line)
            if data == _DONE:
                return
            if data:
                yield _chunk(data)
    raise _broken_off()


def _request(body: CreateChatCompletionRequest, headers: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = create_chat_completion._get_kwargs(body=body, **headers)  # noqa: SLF001 - same package
    request["json"]["stream"] = True
    return request


def _data(line: str) -> str:
    """Return what a line says: nothing, unless it is data. Comments keep the connection alive."""
    return line.removeprefix("data:").strip() if line.startswith("data:") else ""


def _chunk(data: str) -> CreateChatCompletionStreamResponse:
    found = json.loads(data)
    if "error" in found:
        error = ErrorResponse.from_dict(found).error
        raise ChatCompletionFailed(error.message, 200, error)
    return CreateChatCompletionStreamResponse.from_dict(found)


def _failure(response: httpx.Response) -> ChatCompletionFailed:
    try:
        error = ErrorResponse.from_dict(response.json()).error
    except (AttributeError, KeyError, TypeError, ValueError):
        return ChatCompletionFailed(f"{response.status_code} {response.reason_phrase}", response.status_code, None)
    return ChatCompletionFailed(error.message, response.status_code, error)


def _broken_off() -> ChatCompletionFailed:
    return ChatCompletionFailed("The stream ended before it was complete.", 200, None)
