"""Nulls where OpenAI's schema has no null: many clients write down what they don't set, ``tools: null`` say.

The contract takes them in every optional field of a request, and they count as not sent. Taken out here before anybody
else sees them: not every service that a request is forwarded to is as forgiving. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from app.contract.models import CreateChatCompletionRequest

_FIELDS: Final = frozenset(CreateChatCompletionRequest.__struct_encode_fields__)
_OF_MESSAGES: Final = ("name", "tool_calls")
_NULL: Final = b"null"


def fields_without_nulls(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return a request's fields but those that are null. What the contract doesn't know may mean something by it."""
    return {name: value for name, value in fields.items() if bytes(value) != _NULL or name not in _FIELDS}


def message_without_nulls(typed: Any, raw: msgspec.Raw) -> msgspec.Raw:
    """Return a message without the members that may be left out and are null: the very same, if it has none.

    Args:
        typed: The message as the contract understands it.
        raw: The same as it was sent.
    """
    # By the shortest way: a long conversation asks this of each message.
    if getattr(typed, "name", UNSET) is not None and getattr(typed, "tool_calls", UNSET) is not None:
        return raw
    names = [name for name in _OF_MESSAGES if getattr(typed, name, UNSET) is None]
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return msgspec.Raw(msgspec.json.encode({name: value for name, value in fields.items() if name not in names}))
