"""Content parts that clients spell as the Responses API does: ``input_text``, ``input_image``.

Made ``text`` and ``image_url`` before anybody else sees them: before a message is recognised in its session, judged by
an engine or sent to an upstream. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.contract.models import (
    ChatCompletionRequestMessage,
    ChatCompletionRequestMessageContentPartInputImage,
    ChatCompletionRequestMessageContentPartInputText,
    ChatCompletionTextOnlyPart,
)

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ChatCompletionRequestMessage)


def plain_message(typed: Any, raw: msgspec.Raw) -> tuple[Any, msgspec.Raw]:
    """Return a message in the chat completions' own words: the very same, unless it has a part under another name.

    Args:
        typed: The message as the contract understands it.
        raw: The same as it was sent.
    """
    content = getattr(typed, "content", None)
    if not isinstance(content, list) or not has_alias(content):
        return typed, raw
    fields = msgspec.json.decode(raw)
    fields["content"] = [_plain_part(part) for part in fields["content"]]
    plain = msgspec.Raw(msgspec.json.encode(fields))
    return _decoder.decode(plain), plain


def plain_prediction(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a prediction whose content has parts under other names, with their own."""
    fields = msgspec.json.decode(raw)
    fields["content"] = [_plain_part(part) for part in fields["content"]]
    return msgspec.Raw(msgspec.json.encode(fields))


def has_alias(content: Any) -> bool:
    """Tell whether one of a content's parts goes under another name."""
    return isinstance(content, list) and any(
        (isinstance(part, ChatCompletionTextOnlyPart) and part.type != "text")
        or isinstance(
            part,
            ChatCompletionRequestMessageContentPartInputText | ChatCompletionRequestMessageContentPartInputImage,
        )
        for part in content
    )


def _plain_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "input_text":
        return {**part, "type": "text"}
    if part["type"] == "input_image":
        image = {name: part[name] for name in ("detail",) if part.get(name) is not None}
        others = {name: value for name, value in part.items() if name not in ("type", "image_url", "detail")}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **image}, **others}
    return part
