"""From a chat-completions body and its headers to a job: what was asked, of whom, in which session.

The body is decoded twice: into the contract's struct, which validates it, and into raw slices, which travel on to the
engine, so that fields our contract doesn't know reach an upstream that does.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from app.contract.decoding import BodyDecoder
from app.contract.models import CreateChatCompletionRequest
from app.errors import InvalidRequest
from app.http.request_headers import RequestHeaders
from app.routing.agent_name import normalized_id
from app.routing.session_key import HEADER as SESSION_KEY_HEADER
from app.routing.target import AGENT_HEADER, AGENT_HEADER_ALIAS, Directory, Target, Wish, resolve
from app.runs.job import Job, new_run_id
from app.sessions.message import Message

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_TURN_ROLES: Final = frozenset({"user", "tool", "function"})
_NOT_PARAMETERS: Final = ("model", "messages")

_request_decoder = BodyDecoder(CreateChatCompletionRequest)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_messages_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def decode_request(body: bytes) -> CreateChatCompletionRequest:
    """Decode and validate a body.

    Raises:
        InvalidRequest: If the contract doesn't allow it.
    """
    return _request_decoder.decode(body)


def target_of(
    request: CreateChatCompletionRequest,
    headers: RequestHeaders,
    directory: Directory,
    *,
    strict_model: bool,
    session_from_user: bool,
) -> Target:
    """Resolve a request's agent and session.

    Raises:
        InvalidRequest: If a header is malformed or contradicts another.
        ModelNotFound: If it names an agent that there isn't.
    """
    agent, param = _agent_header(headers)
    wish = Wish(
        model=request.model,
        agent=agent,
        agent_param=param,
        session_key=headers.text(SESSION_KEY_HEADER.encode()),
        user=(request.user or "") if session_from_user else "",
    )
    return resolve(wish, directory, strict_model=strict_model)


def job_of(request: CreateChatCompletionRequest, body: bytes, headers: RequestHeaders, target: Target) -> Job:
    """Take a request apart for a run.

    Raises:
        InvalidRequest: If none of its messages is from the user or a tool: there is no turn to answer then.
    """
    parameters = _fields_decoder.decode(body)
    raw_messages = _messages_decoder.decode(parameters["messages"])
    for name in _NOT_PARAMETERS:
        del parameters[name]
    system: list[Message] = []
    messages: list[Message] = []
    has_turn = False
    for typed, raw in zip(request.messages, raw_messages, strict=True):
        role = _role(typed)
        has_turn = has_turn or role in _TURN_ROLES
        (system if role in _SYSTEM_ROLES else messages).append(Message(role, raw))
    if not has_turn:
        raise InvalidRequest(
            "There is nothing to answer: messages needs at least one message of role 'user' or 'tool'.",
            param="messages",
        )
    return Job(
        run_id=new_run_id(),
        target=target,
        request=request,
        system=tuple(system),
        messages=tuple(messages),
        parameters=parameters,
        time_limit=None if request.stream else _read_timeout(headers),
        time_limit_name="the client (x-stainless-read-timeout)",
    )


def _agent_header(headers: RequestHeaders) -> tuple[str, str]:
    """Return the agent that a header names, and that header's name. Both must be valid, though only one decides."""
    named = [(headers.text(name.encode()), name) for name in (AGENT_HEADER, AGENT_HEADER_ALIAS)]
    for value, name in named:
        if value and normalized_id(value) is None:
            raise InvalidRequest(
                f"{name} must be an agent's id: a letter or digit, then up to 63 letters, digits, '_' or '-'.",
                param=name,
            )
    return next((pair for pair in named if pair[0]), named[0])


def _role(message: Any) -> str:
    role: str = message.__struct_config__.tag
    return role


def _read_timeout(headers: RequestHeaders) -> float | None:
    """Return after how many seconds an official SDK gives up waiting, if it says so; nonsense is no error."""
    try:
        seconds = float(headers.text(b"x-stainless-read-timeout"))
    except (ValueError, InvalidRequest):
        return None
    # A little earlier, or our answer would come to a client that has just given up and tries again.
    return seconds * 0.95 if math.isfinite(seconds) and seconds > 0 else None
