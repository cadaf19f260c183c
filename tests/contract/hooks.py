"""What the contract alone can't say to schemathesis: ask for streams often, and judge each answer as a whole.

Loaded by schemathesis (`hooks` in contracts/schemathesis.toml), in its own process. Knows the wire, not the server.
OpenAPI 3.1 describes one event of a stream but no order of events, so the order is checked here (design.md, "Answer").
"""

import json
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

from tests.official import Json, validator

_CHAT = "POST /v1/chat/completions"
_OFFICIAL = {
    "createChatCompletion": "CreateChatCompletionResponse",
    "listModels": "ListModelsResponse",
    "retrieveModel": "Model",
}
# Hypothesis favours what comes first.
_STREAMED: tuple[dict[str, Json], ...] = (
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {},
)


@schemathesis.hook
def flatmap_body(context: HookContext, body: Any) -> st.SearchStrategy[Any]:
    """Ask for a stream in two of three requests that say nothing of it: left to chance, one in fifty does.

    Fields that are there stay as they are, so an invalid body stays invalid for the reason it was made for.
    """
    if context.operation is None or context.operation.label != _CHAT or not isinstance(body, dict) or "stream" in body:
        return st.just(body)
    return st.sampled_from(_STREAMED).map(lambda fields: {**fields, **body})


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Let 400 pass for a session key of one agent beside the explicit choice of another (design.md, "Which session").

    The one rule between two fields of a request, which OpenAPI has no words for. It is judged by the request alone.
    """
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    headers = {name.lower(): str(value) for name, value in (case.headers or {}).items()}
    owner = re.match("agent:([^:]+):", headers.get("x-zero-session-key", ""), re.IGNORECASE)
    model = str(case.body.get("model")) if isinstance(case.body, dict) else ""
    named = re.match("(?:zero[:/]|agent:)(.+)", model, re.IGNORECASE)
    chosen = headers.get("x-zero-agent-id") or headers.get("x-zero-agent") or (named[1] if named else "")
    return owner is None or not chosen or owner[1].lower() == chosen.lower()


@schemathesis.check
def official_schema(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every answer of ours that OpenAI has a schema for validates against it."""
    name = _OFFICIAL.get(str(case.operation.definition.raw.get("operationId")))
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
    assert sorted(finished) == sorted(first) == list(range(request.get("n") or 1)), "not one end for each choice"
    usages = [chunk["usage"] for chunk in chunks if "usage" in chunk]
    if (request.get("stream_options") or {}).get("include_usage") is True:
        assert len(usages) == len(chunks), "a chunk has no usage"
        assert not any(usages[:-1]), "usage comes before the last chunk"
        assert usages[-1]["total_tokens"] > 0, "usage is a false zero"
        assert chunks[-1]["choices"] == [], "the usage chunk has choices"
    else:
        assert not any(usages), "nobody asked for usage"


def _is_stream(response: Response) -> bool:
    return response.headers.get("content-type", [""])[0].startswith("text/event-stream")


def _chunks(response: Response) -> list[Json]:
    data = [line.removeprefix("data: ") for line in response.content.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(item) for item in data if item != "[DONE]"]
