"""What a door hands to a run: a resolved target and a request taken apart. Pure values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.contract.models import CreateChatCompletionRequest
from app.routing.target import Target
from app.runs.allowance import Allowance
from app.sessions.idempotency import StoredAnswer
from app.sessions.message import Message
from app.unique_id import unique_id


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to run.

    Attributes:
        run_id: Name of the run, new for each.
        target: The agent and the session.
        request: The request as the contract understands it.
        system: The request's system and developer messages, in order.
        messages: Its other messages, in order; at least one of them from the user or a tool.
        parameters: Its other top-level fields as they were sent.
        whole_history: Whether ``messages`` is known to be the whole conversation, however short it is.
        retried: Whether the client may have sent the same before, and not for the sake of another answer.
        keyed: The ``Idempotency-Key`` that it is run under, once that is its own.
        answered: What a session has of its answer, where a process that died had stored the turn.
        allowance: What it is taken of, if its caller may have only so much.
        caller: Who asks for it, as logs say it: ``operator``, or ``key:`` and an API key's name.
        time_limit: Seconds the caller is willing to wait, if it said so.
        time_limit_name: Where it said so, for the message when time is up.
    """

    run_id: str
    target: Target
    request: CreateChatCompletionRequest
    system: tuple[Message, ...]
    messages: tuple[Message, ...]
    parameters: Mapping[str, msgspec.Raw]
    whole_history: bool = False
    retried: bool = False
    keyed: str | None = None
    answered: StoredAnswer | None = None
    allowance: Allowance | None = None
    caller: str = "operator"
    time_limit: float | None = None
    time_limit_name: str = "the client"


def new_run_id() -> str:
    """Return an id that no other run has."""
    return f"run_{unique_id()}"
