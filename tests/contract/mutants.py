"""The gateway with one fault each, to find out whether the contract suite would notice.

``uvicorn tests.contract.mutants:<name>`` serves one, ``name`` being a key of ``MUTANTS``. Each is the real application,
changed at one seam: its responses (``tampering``), or one function, replaced before the application is made. A process
makes one only, so nothing is ever put back.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
from litestar.types import ASGIApp

import app
from app.contract.decoding import BodyDecoder
from app.contract.models import CreateChatCompletionRequest
from app.errors import GatewayError, InvalidRequest, ModelNotFound, UnsupportedParameter
from app.http import chat_request
from app.security.authenticator import Authenticator
from tests.contract.run import CHAT
from tests.contract.tampering import Reply, Tampered
from tests.official import Json


class Effort(NamedTuple):
    """As much of the suite as it takes: phases of schemathesis, and operations, or all when empty."""

    phases: tuple[str, ...]
    operations: tuple[str, ...]


EXAMPLES = Effort(("examples",), ())
"""The contract's own examples, one of which is streamed, and the credentials left out: a second."""

CHAT_COVERAGE = Effort(("coverage",), ("createChatCompletion",))
"""Every limit of the request broken once, other methods and media types: four seconds."""

MODELS_COVERAGE = Effort(("coverage",), ("listModels", "retrieveModel"))
"""The same for the lists."""


class Mutant(NamedTuple):
    """A broken gateway.

    Args:
        make: Returns it.
        caught_by: The checks that must fail.
        effort: What must be run for that.
    """

    make: Callable[[], ASGIApp]
    caught_by: frozenset[str]
    effort: Effort


MUTANTS: dict[str, Mutant] = {}


def _mutant(effort: Effort, *caught_by: str) -> Callable[[Callable[[], ASGIApp]], None]:
    """Register what makes a broken gateway, under its name without the underscore."""

    def register(make: Callable[[], ASGIApp]) -> None:
        MUTANTS[make.__name__.removeprefix("_")] = Mutant(make, frozenset(caught_by), effort)

    return register


def _spoiler(effort: Effort, *caught_by: str) -> Callable[[Callable[[Reply], None]], None]:
    """Register what spoils every response of a gateway."""

    def register(change: Callable[[Reply], None]) -> None:
        name = change.__name__.removeprefix("_")
        MUTANTS[name] = Mutant(lambda: Tampered(_gateway(), change), frozenset(caught_by), effort)

    return register


def _gateway() -> ASGIApp:
    application: ASGIApp = app.gateway
    return application


def __getattr__(name: str) -> Any:
    """Make the variant that uvicorn asks for."""
    if name not in MUTANTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return MUTANTS[name].make()


# What is answered.


@_spoiler(CHAT_COVERAGE, "status_code_conformance")
def _undeclared_status(reply: Reply) -> None:
    """400 has become 418, which the contract doesn't know."""
    if reply.status == 400:
        reply.status = 418


@_spoiler(EXAMPLES, "response_schema_conformance", "official_schema")
def _usage_as_text(reply: Reply) -> None:
    """The usage of an answer is a text."""
    _edit(reply, lambda answer: answer.update(usage=str(answer["usage"])))


@_spoiler(EXAMPLES, "response_schema_conformance", "official_schema")
def _no_finish_reason(reply: Reply) -> None:
    """An answer's choice doesn't say why it ended."""
    _edit(reply, lambda answer: answer["choices"][0].pop("finish_reason"))


@_spoiler(EXAMPLES, "response_schema_conformance", "official_schema")
def _broken_event(reply: Reply) -> None:
    """The chunks of a stream have no object."""
    if _streamed(reply):
        reply.body = reply.body.replace(b'"object":"chat.completion.chunk"', b'"object":null')


@_spoiler(EXAMPLES, "response_schema_conformance")
def _named_event(reply: Reply) -> None:
    """The events of a stream have a name, which makes the SDKs ignore them."""
    if _streamed(reply):
        reply.body = reply.body.replace(b"data: {", b"event: chunk\ndata: {")


@_spoiler(EXAMPLES, "event_stream")
def _no_done(reply: Reply) -> None:
    """A stream just ends."""
    if _streamed(reply):
        reply.body = reply.body.removesuffix(b"data: [DONE]\n\n")


@_spoiler(EXAMPLES, "event_stream")
def _endless_choice(reply: Reply) -> None:
    """No chunk of a stream has a finish reason."""
    if _streamed(reply):
        reply.body = reply.body.replace(b'"finish_reason":"stop"', b'"finish_reason":null')


@_spoiler(CHAT_COVERAGE, "response_schema_conformance")
def _error_of_another_shape(reply: Reply) -> None:
    """An error looks as other frameworks make it."""
    if reply.status >= 400:
        reply.body = b'{"detail":"Bad Request"}'


@_spoiler(EXAMPLES, "content_type_conformance")
def _json_as_text(reply: Reply) -> None:
    """JSON is sent as plain text."""
    if reply.media_type == b"application/json":
        reply.put(b"content-type", b"text/plain")


@_spoiler(MODELS_COVERAGE, "response_schema_conformance", "official_schema")
def _created_as_text(reply: Reply) -> None:
    """The list of models has dates instead of seconds."""
    if reply.path == "/v1/models" and reply.status == 200:
        answer = json.loads(reply.body)
        answer["data"][0]["created"] = "2026-01-01"
        reply.body = json.dumps(answer).encode()


# Headers.


@_spoiler(EXAMPLES, "response_headers_conformance")
def _no_request_id(reply: Reply) -> None:
    """Nothing has a name to quote."""
    reply.drop(b"x-request-id")


@_spoiler(CHAT_COVERAGE, "response_headers_conformance")
def _no_www_authenticate(reply: Reply) -> None:
    """401 doesn't say how to authenticate."""
    reply.drop(b"www-authenticate")


@_spoiler(CHAT_COVERAGE, "unsupported_method")
def _no_allow(reply: Reply) -> None:
    """405 doesn't say which methods there are."""
    reply.drop(b"allow")


@_spoiler(CHAT_COVERAGE, "allow_header_conformance")
def _wrong_allow(reply: Reply) -> None:
    """405 names a method that there isn't."""
    if reply.status == 405:
        reply.put(b"allow", b"GET, POST")


@_spoiler(CHAT_COVERAGE, "unsupported_method")
def _any_method(reply: Reply) -> None:
    """A method that there isn't is answered as an unknown address."""
    if reply.status == 405:
        reply.status = 404


# What is taken in.


@_mutant(EXAMPLES, "ignored_auth")
def _no_authentication() -> ASGIApp:
    """Nobody is asked for the secret."""
    patch.object(Authenticator, "check", lambda *_args, **_kwargs: None).start()
    return _gateway()


@_mutant(CHAT_COVERAGE, "negative_data_rejection")
def _any_temperature() -> ASGIApp:
    """One number is not checked."""
    return _loosened("temperature")


@_mutant(CHAT_COVERAGE, "negative_data_rejection")
def _any_metadata() -> ASGIApp:
    """One object is not checked, neither its keys nor its values."""
    return _loosened("metadata")


@_mutant(EXAMPLES, "near_miss")
def _no_turn_needed() -> ASGIApp:
    """Messages without a user's or a tool's are answered."""
    patch.object(chat_request, "_TURN_ROLES", frozenset({"user", "tool", "function", "system"})).start()
    return _gateway()


@_mutant(EXAMPLES, "near_miss")
def _line_break_in_name() -> ASGIApp:
    """A function's name may end with a line break."""

    def decode(body: bytes) -> CreateChatCompletionRequest:
        return original(body.replace(rb'\n", "description"', b'", "description"'))

    original = chat_request.decode_request
    return _gateway_with(decode)


@_mutant(CHAT_COVERAGE, "negative_data_rejection")
def _invalid_is_not_found() -> ASGIApp:
    """An invalid body is answered with 404, behind which an accepted one could hide."""

    def decode(decoder: BodyDecoder[Any], body: bytes) -> Any:
        try:
            return original(decoder, body)
        except GatewayError as error:
            raise ModelNotFound(error.message) from None

    original = BodyDecoder.decode
    patch.object(BodyDecoder, "decode", decode).start()
    return _gateway()


@_mutant(CHAT_COVERAGE, "positive_data_acceptance")
def _no_zero() -> ASGIApp:
    """A number that may be 0 is taken for absent, and that for a mistake."""

    def decode(body: bytes) -> CreateChatCompletionRequest:
        request = original(body)
        if request.temperature == 0:
            raise InvalidRequest("temperature is missing")
        return request

    original = chat_request.decode_request
    return _gateway_with(decode)


@_mutant(CHAT_COVERAGE, "positive_data_acceptance")
def _no_false() -> ASGIApp:
    """What a field would ask for is refused as unsupported, though the field says that it isn't wanted."""

    def decode(body: bytes) -> CreateChatCompletionRequest:
        request = original(body)
        if request.logprobs is False:
            raise UnsupportedParameter("logprobs can't be had", param="logprobs")
        return request

    original = chat_request.decode_request
    return _gateway_with(decode)


@_mutant(CHAT_COVERAGE, "not_a_server_error")
def _crash() -> ASGIApp:
    """A valid request meets a mistake in the code."""

    def decode(body: bytes) -> CreateChatCompletionRequest:
        request = original(body)
        if request.logprobs:
            raise ZeroDivisionError
        return request

    original = chat_request.decode_request
    return _gateway_with(decode)


def _loosened(name: str) -> ASGIApp:
    """Return the gateway with a decoder that takes anything for one field."""
    loose = msgspec.defstruct("Loose", [(name, Any, msgspec.UNSET)], bases=(CreateChatCompletionRequest,), kw_only=True)
    patch.object(chat_request, "_request_decoder", BodyDecoder(loose)).start()
    return _gateway()


def _gateway_with(decode: Callable[[bytes], CreateChatCompletionRequest]) -> ASGIApp:
    from app.http import chat_completions

    patch.object(chat_completions, "decode_request", decode).start()
    return _gateway()


def _streamed(reply: Reply) -> bool:
    return reply.media_type == b"text/event-stream"


def _edit(reply: Reply, change: Callable[[Json], object]) -> None:
    """Change the document of a whole chat completion."""
    if reply.path == CHAT and reply.status == 200 and not _streamed(reply):
        answer = json.loads(reply.body)
        change(answer)
        reply.body = json.dumps(answer).encode()
