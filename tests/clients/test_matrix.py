"""Every combination of what a request can ask for: each chunk and body is OpenAI's, and its SDK puts them together.

Asked twice: by a client that validates every byte against OpenAI's published schema, and by openai-python's stream
helper or ``parse``, whose result is compared in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.engines.caller import Caller
from tests.fakes.script import DONE, USAGE, Json, Script, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

HI: Final[Json] = [{"role": "user", "content": "hi"}]
SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
FUNCTION: Final[Json] = {"name": "look", "strict": True, "parameters": SCHEMA}
OFFERED: Final[dict[str, Json]] = {
    "none": {},
    "called": {"tools": [{"type": "function", "function": FUNCTION}]},
    "parallel": {"tools": [{"type": "function", "function": FUNCTION}], "parallel_tool_calls": True},
    "custom": {"tools": [{"type": "custom", "custom": {"name": "sh"}}]},
    "legacy": {"functions": [{"name": "look", "parameters": SCHEMA}]},
}
FORMATS: Final[dict[str, Json]] = {
    "text": {},
    "object": {"response_format": {"type": "json_object"}},
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "Place", "schema": SCHEMA}}},
}
ARGUMENTS: Final = ('{"name":', ' "Köln"}')
TEXT: Final = ('{"name": ', '"Köln\u2028"}')
REFUSAL: Final = ("I'd ", "rather not.")
THOUGHT: Final = ("Hm, ", "let me see.")

Choices: TypeAlias = str
ONE: Final[Choices] = "one choice"
TWO: Final[Choices] = "two choices"
APART: Final[Choices] = "two choices, one at a time"
"""From an upstream that ignores ``n``."""


class Place(BaseModel):
    """What the answer's text says."""

    name: str


class Case(NamedTuple):
    """A combination."""

    streamed: bool
    choices: Choices
    tools: str
    format: str
    usage: bool
    logprobs: bool
    reasoning: bool
    refusal: bool

    @property
    def n(self) -> int:
        """How many choices are asked for."""
        return 1 if self.choices == ONE else 2

    @property
    def agent(self) -> str:
        """Whom to ask: of one model the gateway learns that it ignores ``n``."""
        return "careful" if self.choices == APART else "main"

    @property
    def calls(self) -> int:
        """How many tools are called."""
        return {"none": 0, "parallel": 2}.get(self.tools, 1)

    @property
    def fields(self) -> Json:
        """What the request says beside the messages and the tools."""
        options: Json = {"stream_options": {"include_usage": True}} if self.usage else {}
        return {"n": self.n, **options, **({"logprobs": True, "top_logprobs": 1} if self.logprobs else {})}

    @property
    def finish(self) -> str:
        """The reason that the client sees."""
        if self.tools == "legacy":
            return "function_call"
        return "tool_calls" if self.calls else "stop"


def token(text: str) -> Json:
    """Return a token with its probability."""
    return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}


def pieces(case: Case) -> Iterator[tuple[Json, Json]]:
    """Yield the deltas of a choice, each with the logprobs beside it."""
    yield {"role": "assistant", "content": ""}, None
    if case.reasoning:
        for thought in THOUGHT:
            detail = {"type": "reasoning.text", "index": 0, "text": thought}
            yield {"content": None, "reasoning_content": thought, "reasoning_details": [detail]}, None
    if case.refusal:
        for text in REFUSAL:
            yield {"refusal": text}, {"content": None, "refusal": [token(text)]}
    elif not case.calls:
        for text in TEXT:
            yield {"content": text}, {"content": [token(text)], "refusal": None}
    for number in range(case.calls):
        for position, text in enumerate(ARGUMENTS):
            yield call_piece(case.tools, number, text, first=not position), None


def call_piece(tools: str, number: int, text: str, *, first: bool) -> Json:
    """Return the delta of a piece of a call."""
    if tools == "legacy":
        return {"function_call": {"arguments": text, **({"name": "look"} if first else {})}}
    if tools == "custom":
        custom = {"input": text, **({"name": "sh"} if first else {})}
        head = {"id": "call_0", "type": "custom"} if first else {}
        return {"tool_calls": [{"index": 0, **head, "custom": custom}]}
    function = {"arguments": text, **({"name": "look"} if first else {})}
    head = {"id": f"call_{number}", "type": "function"} if first else {}
    return {"tool_calls": [{"index": number, **head, "function": function}]}


def script(case: Case) -> Script:
    """Return what the upstream says: choices piece by piece in turns, a careless end, and usage."""
    indexes = range(2 if case.choices == TWO else 1)
    events = [
        event(chunk(delta, index=index, **({"logprobs": probabilities} if case.logprobs else {})))
        for delta, probabilities in pieces(case)
        for index in indexes
    ]
    events += [event(chunk({}, index=index, finish_reason="stop")) for index in indexes]
    return stream(*events, event({**chunk(), "choices": [], "usage": USAGE}), DONE)


def expected(case: Case) -> Json:
    """Return what a choice is in the end, in the SDK's words."""
    message: Json = {"content": None if case.refusal or case.calls else "".join(TEXT)}
    message["refusal"] = "".join(REFUSAL) if case.refusal else None
    message["reasoning"] = "".join(THOUGHT) if case.reasoning else None
    words = "".join(ARGUMENTS)
    message["calls"] = [] if case.tools == "legacy" else [(f"call_{at}", words) for at in range(case.calls)]
    message["function"] = ("look", words) if case.tools == "legacy" else None
    said = REFUSAL if case.refusal else () if case.calls else TEXT
    message["logprobs"] = list(said) if case.logprobs else []
    return {**message, "finish": case.finish}


def found(choice: Any) -> Json:
    """Return the same of a choice that the SDK has put together."""
    message, probabilities = choice.message, choice.logprobs
    tokens = [*(probabilities.content or ()), *(probabilities.refusal or ())] if probabilities else []
    function = message.function_call
    return {
        "content": message.content or None,
        "refusal": message.refusal,
        "reasoning": (message.model_extra or {}).get("reasoning_content"),
        "calls": [(call.id, words_of(call)) for call in message.tool_calls or ()],
        "function": (function.name, function.arguments) if function else None,
        "logprobs": [item.token for item in tokens],
        "finish": choice.finish_reason,
    }


def words_of(call: Any) -> str:
    """Return a call's arguments or input; the SDK doesn't know the latter in streams."""
    if getattr(call, "function", None) is not None:
        words: str = call.function.arguments
        return words
    custom = call.custom
    text: str = custom["input"] if isinstance(custom, dict) else custom.input
    return text


def cases(streamed: bool, choices: Choices, tools: str) -> Iterator[Case]:
    """Yield every combination of the rest. Only a stream can be asked for its usage."""
    flags = (False, True)
    for format_, usage, logprobs, reasoning, refusal in product(FORMATS, flags[: 1 + streamed], flags, flags, flags):
        yield Case(streamed, choices, tools, format_, usage, logprobs, reasoning, refusal)


@pytest.fixture(scope="module")
def client(live: LiveGateway) -> Iterator[OpenAI]:
    """The SDK."""
    with OpenAI(base_url=f"{live.url}/v1", api_key=live.token, max_retries=0) as made:
        yield made


MATRIX: Final = pytest.mark.parametrize(
    ("streamed", "choices", "tools"),
    [
        pytest.param(streamed, choices, tools, id=f"{'streamed' if streamed else 'whole'}, {choices}, {tools}")
        for streamed, choices, tools in product((False, True), (ONE, TWO, APART), OFFERED)
    ],
)


@MATRIX
def test_schema(live: LiveGateway, upstream: FakeUpstream, streamed: bool, choices: Choices, tools: str) -> None:
    """Every chunk and every body validates, and all choices end for the right reason."""
    caller = Caller(live)
    for case in cases(streamed, choices, tools):
        upstream.play(script(case))
        fields = {**case.fields, **OFFERED[case.tools], **FORMATS[case.format], "messages": HI}
        if case.streamed:
            answer = caller.stream(case.agent, **fields)
            assert answer.error is None, case
            assert [case.finish] * case.n == [answer.finish(index) for index in range(case.n)], case
            assert case.usage == bool(answer.usage), case
        else:
            body = caller.ask(case.agent, **fields).body
            assert [case.finish] * case.n == [choice["finish_reason"] for choice in body["choices"]], case


@MATRIX
def test_sdk(client: OpenAI, upstream: FakeUpstream, streamed: bool, choices: Choices, tools: str) -> None:
    """The SDK's helpers take every answer and make of it what the upstream said."""
    for case in cases(streamed, choices, tools):
        upstream.play(script(case))
        answer = asked(client, case)
        assert [expected(case)] * case.n == [found(choice) for choice in answer.choices], case
        parsed = [getattr(choice.message, "parsed", None) for choice in answer.choices]
        if case.format == "schema" and not case.calls and not case.refusal:
            assert [Place(name="Köln\u2028")] * case.n == parsed, case
        else:
            assert [None] * case.n == parsed, case
        if case.usage or not case.streamed:
            total = USAGE["prompt_tokens"] + USAGE["completion_tokens"] * (case.n if choices == APART else 1)
            assert answer.usage is not None
            assert total == answer.usage.total_tokens, case


def asked(client: OpenAI, case: Case) -> Any:
    """Ask with the SDK's stream helper or ``parse``. What these don't take as arguments goes into the body."""
    fields: dict[str, Any] = {"model": f"zero:{case.agent}", "messages": HI, **case.fields}
    body: Json = {}
    if case.tools == "custom":
        body |= OFFERED["custom"]
    else:
        fields |= OFFERED[case.tools]
    if case.format == "schema":
        fields["response_format"] = Place
    else:
        body |= FORMATS[case.format]
    if not case.streamed and case.tools == "custom":
        # ``parse`` leaves calls of custom tools out, with a warning.
        return client.chat.completions.create(**{**fields, **FORMATS[case.format]}, extra_body=body)
    if not case.streamed:
        return client.chat.completions.parse(**fields, extra_body=body)
    with client.chat.completions.stream(**fields, extra_body=body) as events:
        for _ in events:
            pass
        return events.get_final_completion()
