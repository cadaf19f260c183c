"""Whether a message is one that a request may hold. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.contract.models import ChatCompletionRequestMessage

_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(ChatCompletionRequestMessage)


def is_message(raw: bytes) -> bool:
    """Tell whether JSON is a message of the contract's, of whatever role."""
    try:
        _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
