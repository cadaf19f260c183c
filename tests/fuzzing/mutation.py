"""Changes to bytes that have JSON in them which leave it JSON: what libFuzzer does by itself rarely does.

Pure: the same bytes and the same seed give the same result.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

LEAVES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 1.5, 1.0, 2**31, 2**63, -(2**64), 1e308, "", "x", "\0", "\n\n", "\u2028", "\ud800",
    "data: ", "user", "assistant", "tool", "function", "custom", "text", "image_url", "refusal", "stop", "length",
    "tool_calls", "zero:beta", "agent:main:x", "json_schema", "https://a.example/x.png", "data:image/png;base64,AAAA",
    [], {}, [None], {"": None}, [{}], [[]],
)  # fmt: skip
NAMES: Final = (
    "", "role", "content", "name", "type", "text", "tool_calls", "tool_call_id", "function", "function_call", "custom",
    "arguments", "input", "id", "index", "delta", "message", "choices", "finish_reason", "logprobs", "usage", "error",
    "code", "audio", "transcript", "data", "annotations", "reasoning", "reasoning_content", "refusal", "service_tier",
    "prompt_tokens", "completion_tokens", "total_tokens", "obfuscation", "n", "stream", "stop", "user", "prediction",
)  # fmt: skip
_LINE: Final = b"data: "


def mutated(data: bytes, max_size: int, seed: int, by_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Change one place in one of the JSON values in some bytes; or, now and then, whatever bytes there are.

    Args:
        data: The bytes: some that are none, then one value, or events with one each.
        max_size: How long the result may be.
        seed: Decides.
        by_bytes: Changes bytes that mean nothing.
    """
    dice = random.Random(seed)
    start = data.find(_LINE) if _LINE in data else data.find(b"{")
    if start < 0 or dice.random() < 0.25:
        return by_bytes(data, max_size)
    head, texts = data[:start], data[start:].split(b"\n\n")
    which = dice.randrange(len(texts))
    text = texts[which].removeprefix(_LINE)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return by_bytes(data, max_size)
    for _ in range(dice.choice((1, 1, 2, 3))):
        value = _changed(value, dice)
    written = json.dumps(value, ensure_ascii=dice.random() < 0.5).encode(errors="replace")
    texts[which] = texts[which].removesuffix(text) + written
    if len(texts) > 1 and dice.random() < 0.1:
        texts.insert(dice.randrange(len(texts)), dice.choice(texts))
    found = head + b"\n\n".join(texts)
    return found if len(found) <= max_size else by_bytes(data, max_size)


def _changed(value: Any, dice: random.Random) -> Any:
    places = list(_places(value))
    if not places:
        return dice.choice(LEAVES)
    holder, key = dice.choice(places)
    how = dice.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[dice.choice(NAMES)] = holder.pop(key)
    elif how == 2 and isinstance(holder, dict):
        holder[dice.choice(NAMES)] = _copy(dice.choice(LEAVES))
    elif how == 3:
        other, place = dice.choice(places)
        holder[key] = _copy(other[place])
    elif how == 4 and isinstance(holder, list):
        holder.insert(key, _copy(holder[key]))
    else:
        holder[key] = _copy(dice.choice(LEAVES))
    return value


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    rest = [value] if isinstance(value, dict | list) else []
    while rest:
        node = rest.pop()
        for key, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
            found.append((node, key))
            if isinstance(inner, dict | list):
                rest.append(inner)
    return found
