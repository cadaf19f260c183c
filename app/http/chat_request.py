"""From a chat-completions body and its headers to a job: what was asked, of whom, in which session.

The body is decoded twice: into the contract's struct, which validates it, and into raw slices, which travel on to the
engine, so that fields our contract doesn't know reach an upstream that does.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from app.config.structs import ChatCompletions
from app.contract.decoding import BodyDecoder, shortened
from app.contract.models import ChatCompletionRequestMessage, CreateChatCompletionRequest, PredictionContent
from app.contract.nulls import fields_without_nulls, message_without_nulls
from app.contract.part_alias import has_alias, plain_message, plain_prediction
from app.contract.request_rules import check_request
from app.errors import InvalidRequest
from app.http.idempotency_key import is_retry
from app.http.request_headers import RequestHeaders
from app.large.shortened import Shortened
from app.routing.agent_name import normalized_id
from app.routing.permitted import permitted
from app.routing.session_key import HEADER as SESSION_KEY_HEADER
from app.routing.session_key import TEMPORARY
from app.routing.target import AGENT_HEADER, AGENT_HEADER_ALIAS, TASK_HEADER, Directory, Target, Wish, resolve
from app.runs.allowance import Allowance
from app.runs.job import Job, new_run_id
from app.security.named_key import NamedKey, who
from app.sessions.message import Message

HISTORY_HEADER: Final = "x-zero-history"

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_TURN_ROLES: Final = frozenset({"user", "tool", "function"})
_AT_ONCE: Final = 2 * 1024 * 1024
"""Bytes that are decoded in one step."""
_NOT_PARAMETERS: Final = ("model", "messages")
_AGENT, _AGENT_ALIAS, _SESSION_KEY, _TASK, _HISTORY = (
    name.lower().encode()
    for name in (AGENT_HEADER, AGENT_HEADER_ALIAS, SESSION_KEY_HEADER, TASK_HEADER, HISTORY_HEADER)
)

_request_decoder = BodyDecoder(CreateChatCompletionRequest)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_message_decoder: BodyDecoder[Any] = BodyDecoder(cast("type[Any]", ChatCompletionRequestMessage))
_messages_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def decode_request(body: bytes) -> CreateChatCompletionRequest:
    """Decode and validate a body.

    Raises:
        InvalidRequest: If the contract doesn't allow it.
    """
    return _request_decoder.decode(body)


def large_job(
    body: bytes,
    headers: RequestHeaders,
    directory: Directory,
    settings: ChatCompletions,
    caller: NamedKey | None = None,
    allowance: Allowance | None = None,
) -> Job:
    """Return the job that a large body asks for, in the same three steps as for small ones. For a thread of its own.

    The messages' long texts are only in their raw slices: in the contract's structs is no more than their beginnings.

    Raises:
        GatewayError: As ``decode_request``, ``target_of`` and ``job_of``.
    """
    short = shortened(body)
    request = _request_of(short)
    for name in request.__struct_fields__:
        if name != "messages":
            setattr(request, name, short.restored(getattr(request, name)))
    target = target_of(request, headers, directory, settings, caller)
    return job_of(request, short, headers, target, allowance, who(caller))


def _request_of(short: Shortened) -> CreateChatCompletionRequest:
    """Decode a body without its long texts: message by message, if that is still a lot."""
    if len(short.json) > _AT_ONCE:
        # What is wrong has its place in the whole, so that a body with a mistake in it is decoded once more.
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidRequest, LookupError):
            fields = _fields_decoder.decode(short.json)
            first, *others = _messages_decoder.decode(fields["messages"])
            fields["messages"] = msgspec.Raw(b"[%b]" % bytes(first))
            request = _request_decoder.decode(msgspec.json.encode(fields))
            request.messages += [_message_decoder.decode(bytes(message)) for message in others]
            return request
    return _request_decoder.decode_shortened(short)


def target_of(
    request: CreateChatCompletionRequest,
    headers: RequestHeaders,
    directory: Directory,
    settings: ChatCompletions,
    caller: NamedKey | None = None,
) -> Target:
    """Resolve a request's agent and session.

    Args:
        request: What was asked.
        headers: The request's.
        directory: The configuration in force.
        settings: The endpoint's.
        caller: The API key that was shown; ``None`` for the operator.

    Raises:
        InvalidRequest: If a header is malformed or contradicts another.
        ModelNotFound: If it names an agent that there isn't, or that the caller may not use.
        PermissionDenied: If the caller may not say which session it wants.
    """
    agent, param = _agent_header(headers)
    session_key, session_param = _session_header(headers, settings.session_headers)
    if caller is not None:
        directory = permitted(directory, caller.agents)
    wish = Wish(
        model=request.model,
        agent=agent,
        agent_param=param,
        session_key=session_key,
        session_param=session_param,
        user=(request.user or "") if settings.session_from_user else "",
        scope=caller.session_scope if caller is not None else "",
        names_session=caller is None or caller.may_name_sessions,
        stateless=session_key.startswith(TEMPORARY) or any(map(bytes.strip, headers.all(_TASK))),
    )
    return resolve(wish, directory, strict_model=settings.strict_model)


def job_of(
    request: CreateChatCompletionRequest,
    body: bytes | Shortened,
    headers: RequestHeaders,
    target: Target,
    allowance: Allowance | None = None,
    caller: str = "operator",
) -> Job:
    """Take a request apart for a run.

    Raises:
        InvalidRequest: If none of its messages is from the user or a tool: there is no turn to answer then. Or if its
            fields contradict each other, or a header is malformed.
    """
    check_request(request, target.agent.params)
    short = body if isinstance(body, Shortened) and body else None
    parameters = _fields_decoder.decode(body.json if isinstance(body, Shortened) else body)
    raw_messages = _messages_decoder.decode(parameters["messages"])
    for name in _NOT_PARAMETERS:
        del parameters[name]
    parameters = fields_without_nulls(parameters)
    system: list[Message] = []
    messages: list[Message] = []
    has_turn = False
    for position, (sent, slice_) in enumerate(zip(request.messages, raw_messages, strict=True)):
        typed, raw = plain_message(sent, message_without_nulls(sent, slice_))
        if typed is not sent:
            request.messages[position] = typed
        role: str = typed.__struct_config__.tag
        has_turn = has_turn or role in _TURN_ROLES
        if short is not None:
            raw = short.whole_raw(raw)
        (system if role in _SYSTEM_ROLES else messages).append(Message(role, raw))
    if not has_turn:
        raise InvalidRequest(
            "There is nothing to answer: messages needs at least one message of role 'user' or 'tool'.",
            param="messages",
        )
    if isinstance(request.prediction, PredictionContent) and has_alias(request.prediction.content):
        parameters["prediction"] = plain_prediction(parameters["prediction"])
    if short is not None:
        parameters = {short.restored(name): short.whole_raw(raw) for name, raw in parameters.items()}
    return Job(
        run_id=new_run_id(),
        target=target,
        request=request,
        system=tuple(system),
        messages=tuple(messages),
        parameters=parameters,
        whole_history=_whole_history(headers),
        retried=is_retry(headers),
        allowance=allowance,
        caller=caller,
        time_limit=None if request.stream else _read_timeout(headers),
        time_limit_name="the client (x-stainless-read-timeout)",
    )


def _agent_header(headers: RequestHeaders) -> tuple[str, str]:
    """Return the agent that a header names, and that header's name. Both must be valid, though only one decides."""
    if not (headers.all(_AGENT) or headers.all(_AGENT_ALIAS)):
        return "", AGENT_HEADER
    named = [(headers.text(name.encode()), name) for name in (AGENT_HEADER, AGENT_HEADER_ALIAS)]
    for value, name in named:
        if value and normalized_id(value) is None:
            raise InvalidRequest(
                f"{name} must be an agent's id: a letter or digit, then up to 63 letters, digits, '_' or '-'.",
                param=name,
            )
    return next((pair for pair in named if pair[0]), named[0])


def _session_header(headers: RequestHeaders, others: tuple[str, ...]) -> tuple[str, str]:
    """Return the session key that the first header with one brings, and that header's name."""
    if value := headers.text(_SESSION_KEY):
        return value, SESSION_KEY_HEADER
    for name in others:
        if value := headers.text(name.lower().encode()):
            return value, name
    return "", SESSION_KEY_HEADER


def _whole_history(headers: RequestHeaders) -> bool:
    """Return whether the client says that it sends its whole conversation every time."""
    value = headers.text(_HISTORY)
    if value not in ("", "full"):
        raise InvalidRequest(f"{HISTORY_HEADER} can only be 'full'.", param=HISTORY_HEADER)
    return value == "full"


def _read_timeout(headers: RequestHeaders) -> float | None:
    """Return after how many seconds an official SDK gives up waiting, if it says so; nonsense is no error."""
    try:
        said = headers.text(b"x-stainless-read-timeout")
        if not said:
            return None
        seconds = float(said)
    except (ValueError, InvalidRequest):
        return None
    # A little earlier, or our answer would come to a client that has just given up and tries again.
    return seconds * 0.95 if math.isfinite(seconds) and seconds > 0 else None
