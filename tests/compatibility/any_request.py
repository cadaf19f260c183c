"""Requests drawn from OpenAI's published schema at random: whatever it allows, in any combination.

What no schema of one field can say (that a tool choice names a tool, that results answer calls) is put right in most of
them, or nearly all would be refused for that and nothing else would be tried.
"""

from __future__ import annotations

from random import Random
from typing import Final

from tests.official import Json, schemas

TEXTS: Final = ("hi", "", "a b c", "\u00e9\u2028x", "\x00", "  ", "\U0001f600", "{}", "x" * 70)
NAMES: Final = ("look", "f", "a-b", "c_1", "sql")
KNOWN_NAMES: Final = ("x_extra", "index", "text", "audio", "tool_calls", "refusal", "type2")
"""Some of them mean something in other places than where they are put."""
FORMS: Final[dict[str, tuple[Json, ...]]] = {
    "model": ("zero",),
    "user": ("",),  # sessions would make each request depend on those before it
    "url": ("https://example.com/a.png", "data:image/png;base64,AAAA"),
    "arguments": ("{}", '{"a":1}', "", "not json"),
    "n": (1, 2, 3),
    "max_tokens": (1, 5, 100),
    "max_completion_tokens": (1, 5, 100),
    "seed": (0, -1, 2**63 - 1024),
}


class AnyRequest:
    """Draws requests.

    Args:
        seed: The same one gives the same requests.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def draw(self) -> Json:
        """Return a request's body."""
        body = self._of({"$ref": "/CreateChatCompletionRequest"}, "")
        self._coherent(body)
        return body

    def _of(self, schema: Json, name: str) -> Json:
        random = self._random
        if name in FORMS and schema.get("type") != "null":
            return random.choice(FORMS[name])
        if "$ref" in schema:
            component = schema["$ref"].rsplit("/", 1)[1]
            if component in ("FunctionParameters", "ResponseFormatJsonSchemaSchema"):
                return self._schema(0)
            return self._of(schemas()[component], name)
        if "allOf" in schema:
            return {key: value for part in schema["allOf"] for key, value in self._of(part, name).items()}
        if variants := schema.get("oneOf") or schema.get("anyOf"):
            return self._of(random.choice(variants), name)
        if "enum" in schema:
            return random.choice(schema["enum"])
        if schema.get("type", "object") == "object":
            return self._object(schema)
        if schema["type"] == "array":
            most = min(schema.get("maxItems", 4), 4)
            return [self._of(schema.get("items", {}), name) for _ in range(random.randint(1, most))]
        return self._leaf(schema, name)

    def _leaf(self, schema: Json, name: str) -> Json:
        random = self._random
        match schema["type"]:
            case "string":
                text = random.choice(NAMES if name == "name" else TEXTS)[: schema.get("maxLength", 99)]
                return text.ljust(schema.get("minLength", 0), "x")
            case "integer":
                return random.randint(schema.get("minimum", -3), schema.get("maximum", 300))
            case "number":
                return random.choice([schema.get("minimum", -1), schema.get("maximum", 1), 0, 0.5])
            case "boolean":
                return random.random() < 0.5
        return None

    def _object(self, schema: Json) -> Json:
        random = self._random
        properties, required = schema.get("properties", {}), schema.get("required", ())
        often = 0.12 if len(properties) > 15 else 0.5
        made = {
            name: self._of(inner, name)
            for name, inner in properties.items()
            if name in required or random.random() < often
        }
        others = schema.get("additionalProperties", True)
        if isinstance(others, dict):
            made |= {key: self._of(others, "") for key in random.sample(["1", "50256", "2"], random.randrange(3))}
        elif others and properties and random.random() < 0.1:
            extra = random.choice(KNOWN_NAMES)
            made.setdefault(extra, random.choice([None, 1.5, "x", [1], {"a": None}])) if extra not in properties else 0
        return made

    def _schema(self, depth: int) -> Json:
        random = self._random
        if depth == 0 or (depth < 4 and random.random() < 0.3):
            names = random.sample(["a", "b", "city", "$ref"], random.randrange(3))
            inner = {name: self._schema(depth + 1) for name in names}
            return {"type": "object", "properties": inner, "required": names, "additionalProperties": False}
        leaves: list[Json] = [{}, {"type": ["string", "null"]}, {"enum": ["a", 1, None]}, {"$ref": "#"}]
        leaves += [{"type": "integer", "minimum": 3}, {"type": "array", "items": {"type": "string"}, "minItems": 2}]
        leaves += [{"anyOf": [{"type": "string", "pattern": "^a+$"}, {"type": "null"}]}, {"allOf": [{}, {"const": 1}]}]
        return random.choice(leaves)

    def _coherent(self, body: Json) -> None:
        random = self._random
        if "tools" in body and "functions" in body:
            del body[random.choice(["tools", "functions"])]
        body.pop("tool_choice", None)
        if "tools" in body and random.random() < 0.7:
            named = [
                {"type": kind, kind: {"name": tool[kind]["name"]}} for tool in body["tools"] for kind in _kind(tool)
            ]
            mode = random.choice(["auto", "required"])
            allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
            body["tool_choice"] = random.choice(["none", "auto", "required", random.choice(named), allowed])
        if "functions" not in body:
            body.pop("function_call", None)
        elif isinstance(body.get("function_call"), dict):
            body["function_call"] = {"name": body["functions"][0]["name"]}
        if body.get("top_logprobs"):
            body["logprobs"] = True
        if body.get("logit_bias"):
            body["logit_bias"] = {key: value % 100 for key, value in body["logit_bias"].items()}
        body["messages"] = self._conversation(body["messages"])

    def _conversation(self, messages: list[Json]) -> list[Json]:
        made: list[Json] = []
        for message in messages:
            if message["role"] == "tool":
                continue
            made.append(message)
            for call in (message.get("tool_calls") or ()) if message["role"] == "assistant" else ():
                call["id"] = f"call_{len(made)}"
                made.append({"role": "tool", "tool_call_id": call["id"], "content": self._random.choice(TEXTS)})
        return [*made, {"role": "user", "content": self._random.choice(TEXTS)}]


def _kind(tool: Json) -> list[str]:
    return [tool["type"]]
