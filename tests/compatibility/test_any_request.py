"""No request that OpenAI's schema accepts is a 5xx or gets an answer of a wrong shape, and refusals name a field.

``Caller`` validates each body and each chunk against OpenAI's own schemas.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import pytest

from tests.compatibility.answers import USAGE
from tests.compatibility.any_request import AnyRequest
from tests.compatibility.statements import cells
from tests.engines.caller import Caller, Whole
from tests.fakes.script import chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.official import Json, validator

COUNT: Final = 150
"""Requests per seed and engine."""
OURS: Final = {"model", "messages", "stream", "stream_options"}
REWRITTEN: Final = {"functions", "function_call", "tools", "tool_choice", "parallel_tool_calls"}


def drawn(seed: int) -> Iterator[Json]:
    """Yield requests that OpenAI's schema accepts; a few of those drawn match two of its variants and so none."""
    accepts = validator("CreateChatCompletionRequest").is_valid
    requests = AnyRequest(seed)
    while True:
        if accepts(body := requests.draw()):
            yield body


def fit(body: Json) -> Json:
    """Return a request without what the echo engine refuses, of which there is something in nearly all of them."""
    refused = {cell.id.rpartition(".")[2] for cell in cells("refused") if cell.engine == "echo"}
    fitted = {name: value for name, value in body.items() if name not in refused}
    functions = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    if functions != body.get("tools", []):
        fitted = {name: value for name, value in fitted.items() if name not in ("tools", "tool_choice")}
    for message in fitted["messages"]:
        if message["role"] == "user" and isinstance(message["content"], list):
            texts = [part for part in message["content"] if part["type"] == "text"]
            message["content"] = texts or "hi"
    return fitted


def answer(choices: int) -> list[bytes]:
    """Return what a service says to so many choices."""
    said = [event(chunk({"role": "assistant", "content": "Hi."}, index=index)) for index in range(choices)]
    said += [event(chunk({}, index=index, finish_reason="stop")) for index in range(choices)]
    return [*said, event({**chunk(), "choices": [], "usage": USAGE}), b"data: [DONE]\n\n"]


def outcome(caller: Caller, engine: str, body: Json, *, streamed: bool) -> tuple[Whole | None, list[Json]]:
    """Return a refusal, or what each choice says and how it ends."""
    fields = {name: value for name, value in body.items() if name not in ("model", "stream")}
    whole = caller.ask(engine, **fields)
    if whole.status != 200:
        return whole, []
    if not streamed:
        return None, [(c["message"]["content"] or "", c["finish_reason"]) for c in whole.body["choices"]]
    said = caller.stream(engine, **fields)
    assert said.error is None, said.error
    return None, [(said.text(index), said.finish(index)) for index in range(fields.get("n") or 1)]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("engine", ["echo", "openai-completions"])
def test_any_request(caller: Caller, upstream: FakeUpstream, engine: str, seed: int) -> None:
    """It is answered, streamed as whole, or refused with the field's name; a provider gets all that was sent."""
    answered = 0
    for position, body in enumerate(islice(drawn(seed), COUNT)):
        if engine == "echo" and position % 3:
            body = fit(body)
        upstream.reset()
        upstream.play(stream(*answer(body.get("n") or 1)))
        refusal, whole = outcome(caller, engine, body, streamed=False)
        if refusal is not None:
            assert (400, True) == (refusal.status, bool(refusal.error["param"])), (body, refusal.body)
            continue
        answered += 1
        assert (None, whole) == outcome(caller, engine, body, streamed=True), body
        if engine == "openai-completions":
            got = upstream.last.json
            sent = {name: value for name, value in body.items() if name not in OURS and value is not None}
            ignored = REWRITTEN if "functions" in body else set()
            assert {n: v for n, v in sent.items() if n not in ignored} == {
                n: got.get(n) for n in sent if n not in ignored
            }
    assert answered > COUNT / 2, "most are answered, or this says little"


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("engine", ["echo", "openai-completions"])
def test_any_request_in_a_session(caller: Caller, upstream: FakeUpstream, engine: str, seed: int) -> None:
    """Stored, resent and merged it is no 5xx either: answered, or refused with the field's name, both times alike."""
    answered = 0
    for position, body in enumerate(islice(drawn(seed), COUNT // 2)):
        body = fit(body) if engine == "echo" else body
        fields = {name: value for name, value in body.items() if name not in ("model", "stream")}
        key = {"x-zero-session-key": f"any-{engine}-{seed}-{position}"}
        upstream.reset()
        upstream.play(stream(*answer(body.get("n") or 1)))
        first, again = (caller.ask(engine, key, **fields) for _ in range(2))
        for reply in (first, again):
            assert reply.status == 200 or (reply.status == 400 and reply.error["param"]), (body, reply.body)
        assert first.status == again.status, (body, again.body)
        answered += first.status == 200
    assert answered > COUNT / 4, "most are answered, or this says little"
