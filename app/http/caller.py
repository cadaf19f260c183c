"""Who a request is from, as the guard has found out: the operator, or somebody with an API key."""

from __future__ import annotations

from typing import Any, Final

from app.log import about
from app.security.named_key import NamedKey, who

_CALLER: Final = "zero.caller"


def note_caller(scope: Any, key: NamedKey | None) -> None:
    """Note the key that was shown; ``None`` for the operator."""
    scope[_CALLER] = key
    told = about.get()
    if told is not None:
        told.who = who(key)


def caller_of(scope: Any) -> NamedKey | None:
    """Return the key that was shown, or ``None`` for the operator.

    Raises:
        KeyError: If no guard has looked at the request: nobody is taken for the operator by mistake.
    """
    key: NamedKey | None = scope[_CALLER]
    return key
