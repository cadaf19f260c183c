"""Between what is said over the WebSocket and the messages of a run: a text in, a transcript out. Pure."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from msgspec import UNSET

from app.contract.frames import ChatContent, ChatMessage, TokenUsage
from app.contract.models import ChatCompletionRequestUserMessage, CompletionUsage, CreateChatCompletionRequest
from app.large.shortened import read
from app.large.written import written
from app.routing.target import Target
from app.runs.allowance import Allowance
from app.runs.job import Job
from app.sessions.message import Message

MODEL = "zero"


def messages_of(text: str, system: str = "") -> tuple[Message, ...]:
    """Return what a user says, as if it had come over HTTP: one message, behind what is added to the agent's prompt."""
    said = (("developer", system), ("user", text)) if system else (("user", text),)
    return tuple(Message(role, msgspec.Raw(written({"role": role, "content": content}))) for role, content in said)


def job_of_text(
    text: str,
    target: Target,
    run_id: str,
    *,
    system: str = "",
    time_limit: float | None = None,
    said: tuple[Message, ...] = (),
    allowance: Allowance | None = None,
    caller: str = "operator",
) -> Job:
    """Return the job of one user message, as if it had come over HTTP.

    Args:
        text: What the user says.
        target: The agent and the session.
        run_id: The run's id.
        system: What is added to the agent's own prompt.
        time_limit: Seconds the run may take, if that is less than the agent may.
        said: What ``messages_of`` made of the texts, if it has been asked before.
        allowance: What it is taken of, if the caller may have only so much.
        caller: Who says it, as logs call it.
    """
    *added, message = said or messages_of(text, system)
    return Job(
        run_id=run_id,
        target=target,
        request=CreateChatCompletionRequest(model=MODEL, messages=[ChatCompletionRequestUserMessage(content=text)]),
        system=tuple(added),
        messages=(message,),
        parameters={},
        allowance=allowance,
        caller=caller,
        time_limit=time_limit,
        time_limit_name="the request's timeout",
    )


def chat_message(message: Message, *, max_chars: int | None = None) -> ChatMessage:
    """Return a stored message as clients of the protocol show it."""
    fields: dict[str, Any] = read(message.raw)
    parts = list(_parts(fields.get("content"), max_chars))
    if message.role == "assistant":
        parts += [_call(call) for call in fields.get("tool_calls") or ()]
    if message.role in ("tool", "function"):
        call_id = fields.get("tool_call_id")
        return ChatMessage(role="toolResult", content=parts, tool_call_id=call_id if call_id is not None else UNSET)
    return ChatMessage(role="assistant" if message.role == "assistant" else "user", content=parts)


def text_of(message: Message) -> str:
    """Return the words of a stored message."""
    fields: dict[str, Any] = read(message.raw)
    return "".join(part.text or "" for part in _parts(fields.get("content"), None))


def answer_message(text: str, timestamp: int) -> ChatMessage:
    """Return an assistant's message of that text; the timestamp in milliseconds since 1970."""
    return ChatMessage(role="assistant", content=[ChatContent(type="text", text=text)], timestamp=timestamp)


def token_usage(usage: CompletionUsage) -> TokenUsage:
    """Return a run's usage in the protocol's words."""
    return TokenUsage(input=usage.prompt_tokens, output=usage.completion_tokens, total=usage.total_tokens)


def _parts(content: Any, max_chars: int | None) -> list[ChatContent]:
    if isinstance(content, str):
        return [ChatContent(type="text", text=content[:max_chars])]
    return [
        ChatContent(type="text", text=part["text"][:max_chars])
        if part.get("type") == "text"
        else ChatContent(type="omitted")
        for part in content or ()
    ]


def _call(call: dict[str, Any]) -> ChatContent:
    function = call.get("function") or call.get("custom") or {}
    arguments: Any = function.get("arguments", function.get("input", ""))
    # What the model wrote may be no JSON; it is shown as it is then.
    with contextlib.suppress(msgspec.DecodeError, TypeError, RecursionError):
        arguments = msgspec.json.decode(arguments)
    return ChatContent(type="toolCall", id=call.get("id", ""), name=function.get("name", ""), arguments=arguments)
