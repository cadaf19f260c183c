"""What schemathesis makes up, corrected where the contract alone can't say it.

Loaded by schemathesis (`hooks` in contracts/schemathesis.toml) in its own process, and brings our checks along.
"""

import json
import re
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

from tests.contract import checks as checks  # registers them
from tests.contract import stored_sessions
from tests.contract.refusals import rightly_refused
from tests.official import Json

_CHAT = "POST /v1/chat/completions"
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
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
    if context.operation is not None and context.operation.label == stored_sessions.IMPORT:
        return stored_sessions.often_right(body)
    if context.operation is None or context.operation.label != _CHAT or not isinstance(body, dict) or "stream" in body:
        return st.just(body)
    return st.sampled_from(_STREAMED).map(lambda fields: {**fields, **body})


@schemathesis.hook
def before_add_examples(_context: HookContext, examples: list[Case[Any]]) -> None:
    """Put the agent's example back where schemathesis has taken the id in an example answer for an agent's.

    Otherwise one of the contract's example requests, the streamed one, would end with 404.
    """
    for example in examples:
        if example.headers and str(example.headers.get("x-zero-agent-id")).startswith("chatcmpl-"):
            example.headers["x-zero-agent-id"] = "main"


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], kwargs: Json) -> None:
    """Send each request that has an ``Idempotency-Key`` with one of its own, whose beginning is what was made up.

    Otherwise all requests with the example's key would be taken for that example, and refused since they aren't. Done
    to what is sent, by requests' own hook for that: schemathesis judges a case that was changed as a faultless one.
    The session that the contract shows is there for each request about one, whatever the requests before it did.
    """
    stored_sessions.provide(case)
    for name, key in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and isinstance(key, str) and _KEY.fullmatch(key):
            kwargs["auth"] = _Renamed(name, f"{key[:200].rstrip()}.{uuid4()}")


class _Renamed:
    """Gives a header of a prepared request another value."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def __call__(self, request: Any) -> Any:
        request.headers[self._name] = self._value
        return request


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Let 400 pass where a valid request is rightly refused, judged by the request alone.

    That is a session key of one agent beside the explicit choice of another (design.md, "Which session"), and what
    ``refusals`` knows.
    """
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    if stored_sessions.rightly_refused(case):
        return False
    error = json.loads(response.content)["error"]
    if rightly_refused(case.body, error["code"], error["param"]):
        return False
    headers = {name.lower(): str(value) for name, value in (case.headers or {}).items()}
    owner = re.match("agent:([^:]+):", headers.get("x-zero-session-key", ""), re.IGNORECASE)
    model = str(case.body.get("model")) if isinstance(case.body, dict) else ""
    named = re.match("(?:zero[:/]|agent:)(.+)", model, re.IGNORECASE)
    chosen = headers.get("x-zero-agent-id") or headers.get("x-zero-agent") or (named[1] if named else "")
    return owner is None or not chosen or owner[1].lower() == chosen.lower()
