"""Checks of our own, beside those that schemathesis has: what OpenAPI 3.1 can't say, and what schemathesis doesn't try.

Run by schemathesis in its own process. They know the wire and OpenAI's schemas, not the server.
"""

import json
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

from tests.official import Json, validator

_CHAT = "createChatCompletion"
_OFFICIAL = {
    _CHAT: "CreateChatCompletionResponse",
    "listModels": "ListModelsResponse",
    "retrieveModel": "Model",
}


@schemathesis.check
def official_schema(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every answer of ours that OpenAI has a schema for validates against it."""
    name = _OFFICIAL.get(_operation_id(case))
    if name is None or response.status_code != 200:
        return
    if _is_stream(response):
        documents, name = _chunks(response), "CreateChatCompletionStreamResponse"
    else:
        documents = [json.loads(response.content)]
    for document in documents:
        errors = [f"{error.instance_path}: {error.message}" for error in validator(name).iter_errors(document)]
        if errors:
            raise AssertionError(f"not OpenAI's {name}: {errors[0]}")


@schemathesis.check
def event_stream(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """A stream is whole: only `data:` lines, one identity, a role first, one finish per choice, usage, `[DONE]`."""
    if response.status_code != 200 or not _is_stream(response):
        return
    text = response.content.decode()
    assert text.endswith("\n\n"), "the last event is cut off"
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    assert all(event.startswith("data: ") and "\n" not in event for event in events), "an event is not one data line"
    assert events.count("data: [DONE]") == 1, "[DONE] is missing or doubled"
    assert events[-1] == "data: [DONE]", "something follows [DONE]"
    chunks = _chunks(response)
    assert chunks, "the stream has no chunk"
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1, "identity changes"
    body = response.request.body
    assert isinstance(body, bytes), "chat completions have a body"
    request = json.loads(body)
    first: dict[int, Json] = {}
    finished: list[int] = []
    for chunk in chunks:
        for choice in chunk["choices"]:
            first.setdefault(choice["index"], choice["delta"])
            assert choice["index"] not in finished, "a choice goes on after its end"
            if choice["finish_reason"] is not None:
                finished.append(choice["index"])
    assert all(delta.get("role") == "assistant" for delta in first.values()), "a choice begins without a role"
    assert sorted(finished) == sorted(first) == list(range(int(request.get("n") or 1))), "not one end for each choice"
    usages = [chunk["usage"] for chunk in chunks if "usage" in chunk]
    if (request.get("stream_options") or {}).get("include_usage") is True:
        assert len(usages) == len(chunks), "a chunk has no usage"
        assert not any(usages[:-1]), "usage comes before the last chunk"
        assert usages[-1]["total_tokens"] > 0, "usage is a false zero"
        assert chunks[-1]["choices"] == [], "the usage chunk has choices"
    else:
        assert not any(usages), "nobody asked for usage"


@schemathesis.check
def near_miss(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """An accepted example is refused once it is changed in a way that schemathesis, whatever the seed, never tries."""
    if context.phase != "examples" or _operation_id(case) != _CHAT or response.status_code != 200:
        return
    for spoil in (_without_turn, _with_newline):
        body = json.loads(json.dumps(case.body))
        if not spoil(body):
            continue
        probe = case.operation.Case(headers=case.headers, body=body, media_type="application/json")
        status = probe.call().status_code
        assert status == 400, f"{spoil.__name__.strip('_')}: {status} instead of 400"


def _without_turn(body: Json) -> bool:
    """Leave no message of a user or a tool (the contract's `contains`)."""
    for message in body["messages"]:
        message.clear()
        message.update(role="system", content="Be brief.")
    return True


def _with_newline(body: Json) -> bool:
    """Let a name end with a line break, before which `$` also matches in Python."""
    for tool in body.get("tools", ()):
        tool["function"]["name"] += "\n"
    return "tools" in body


def _operation_id(case: Case[Any]) -> str:
    return str(case.operation.definition.raw.get("operationId"))


def _is_stream(response: Response) -> bool:
    return response.headers.get("content-type", [""])[0].startswith("text/event-stream")


def _chunks(response: Response) -> list[Json]:
    data = [line.removeprefix("data: ") for line in response.content.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(item) for item in data if item != "[DONE]"]
