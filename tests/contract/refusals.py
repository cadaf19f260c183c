"""Which valid bodies may be refused all the same: by a rule between fields, or by the echo engine, which can't do all.

OpenAPI has no words for either. Judged by the request alone, and anew: nothing of the application is asked, so that a
refusal for no reason, or under a wrong name, is still found. The rules are those of docs/compatibility.md.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema_rs import Draft7Validator, Draft202012Validator

from tests.official import Json

_META = (
    Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
    Draft7Validator({"$ref": "http://json-schema.org/draft-07/schema#"}),
)
_INDEX = re.compile(r"\[(\d+)\]")


def rightly_refused(body: Any, code: str | None, param: str | None) -> bool:
    """Tell whether a body that the contract allows has what a refusal with 400 says it has."""
    if not isinstance(body, dict) or param is None:
        return False
    rule = _RULES.get(code or "", {}).get(_INDEX.sub("[]", param))
    return rule is not None and rule(body, *(int(index) for index in _INDEX.findall(param)))


def _custom(body: Json, at: int) -> bool:
    return bool(body["tools"][at]["type"] == "custom")


def _not_text(body: Json, at: int, part: int) -> bool:
    message = body["messages"][at]
    return bool(message["role"] == "user" and message["content"][part]["type"] not in ("text", "input_text"))


def _offered(body: Json) -> set[tuple[str, str]]:
    return {(tool["type"], tool[tool["type"]]["name"]) for tool in body.get("tools") or ()}


def _unknown_choice(body: Json, *at: int) -> bool:
    """Tell whether a choice, or an entry of those allowed, names no tool."""
    choice = body["tool_choice"]
    chosen = choice["allowed_tools"]["tools"][at[0]] if at else choice
    kind = chosen.get("type")
    inner = chosen.get(kind) if isinstance(kind, str) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return not isinstance(name, str) or (kind, name) not in _offered(body)


def _nothing_allowed(body: Json) -> bool:
    allowed = body["tool_choice"]["allowed_tools"]
    return bool(allowed["mode"] == "required" and not allowed["tools"])


def _unknown_function(body: Json) -> bool:
    return not any(function["name"] == body["function_call"]["name"] for function in body.get("functions") or ())


def _no_such_call(body: Json, at: int) -> bool:
    """Tell whether a result answers no call, or one that was answered or passed over before."""
    wanted = body["messages"][at]["tool_call_id"]
    return wanted not in _waiting(body["messages"][:at])


def _unanswered(body: Json, at: int) -> bool:
    """Tell whether a call of a message has no result before the conversation goes on, or ends."""
    rest = [message for message in body["messages"][at + 1 :] if message["role"] not in ("system", "developer")]
    end = next((place for place, message in enumerate(rest) if message["role"] != "tool"), len(rest))
    return bool(_waiting([body["messages"][at], *rest[:end]]))


def _waiting(messages: Json) -> set[str]:
    """Return the ids of the calls that the next message could answer."""
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            waiting.discard(message["tool_call_id"])
        elif message["role"] not in ("system", "developer"):
            waiting = (
                {call["id"] for call in message.get("tool_calls") or ()} if message["role"] == "assistant" else set()
            )
    return waiting


def _no_schema(find: Callable[..., tuple[Json, Json]]) -> Callable[..., bool]:
    """Return the rule that a schema must be one, and a strict one closed."""

    def rule(body: Json, *at: int) -> bool:
        schema, strict = find(body, *at)
        if not any(meta.is_valid(schema) for meta in _META):
            return True
        return strict is True and (schema.get("type") != "object" or any(_open(schema)))

    return rule


def _open(node: Json) -> Iterator[bool]:
    """Yield whether each object in a schema lacks what strictness asks for; references count as a lack."""
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict) or node.get("type") == "object" or "object" in (node.get("type") or ()):
            closed = node.get("additionalProperties") is False
            yield not closed or set(properties or ()) != set(node.get("required", ()))
        yield "$ref" in node or "anyOf" in node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _open(inner)


_RULES: dict[str, dict[str, Callable[..., bool]]] = {
    "unsupported_parameter": {
        "logprobs": lambda body: body["logprobs"] is True,
        "modalities": lambda body: "audio" in body["modalities"],
        "audio": lambda body: body["audio"] is not None,
        "web_search_options": lambda body: body["web_search_options"] is not None,
        "moderation": lambda body: body["moderation"] is not None,
        "tools[]": _custom,
        "messages[].content[]": _not_text,
    },
    "invalid_value": {
        "functions": lambda body: bool(body["functions"] and body["tools"]),
        "tool_choice": lambda body: not body.get("tools"),
        "tool_choice.function.name": _unknown_choice,
        "tool_choice.custom.name": _unknown_choice,
        "tool_choice.allowed_tools.tools[]": _unknown_choice,
        "tool_choice.allowed_tools.tools": _nothing_allowed,
        "function_call": lambda body: not body.get("functions"),
        "function_call.name": _unknown_function,
        "top_logprobs": lambda body: body["top_logprobs"] > 0 and body.get("logprobs") is not True,
        "messages[].tool_call_id": _no_such_call,
        "messages[].tool_calls": _unanswered,
    },
    "invalid_json_schema": {
        "tools[].function.parameters": _no_schema(
            lambda body, at: (body["tools"][at]["function"]["parameters"], body["tools"][at]["function"].get("strict"))
        ),
        "functions[].parameters": _no_schema(lambda body, at: (body["functions"][at]["parameters"], False)),
        "response_format.json_schema.schema": _no_schema(
            lambda body: (
                body["response_format"]["json_schema"]["schema"],
                body["response_format"]["json_schema"].get("strict"),
            )
        ),
    },
}
