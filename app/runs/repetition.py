"""A request that an SDK sends once more by itself, without a key: is its turn stored already, and its answer again.

Pure. A user may say the same thing twice, so this is for requests that say that they are retries, and for the newest
turn only. Source of the rule: docs/idempotency.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.contract.models import ChatCompletionStreamResponseDelta
from app.large.aside import LARGE
from app.large.shortened import read
from app.runs.answer import Answer
from app.runs.event import ChoiceExtra, Event, Extra, finish_event
from app.runs.job import Job
from app.sessions.merge import Merge, Sent
from app.sessions.message import Message
from app.sessions.store import StoredMessage

RETRY_SECONDS: Final = 120.0
"""How long after a turn a retry of it may come: no SDK waits longer between two attempts."""

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

_DELTA: Final = frozenset(ChatCompletionStreamResponseDelta.__struct_fields__)
_CALL: Final = frozenset({"id", "function", "custom"})


def is_repetition(history: Sequence[StoredMessage], sent: Sequence[Sent], merged: Merge) -> bool:
    """Tell whether a session ends with exactly the turn that a request asks for, and its answer.

    Args:
        history: The session's active branch.
        sent: Those of the request's messages that the session doesn't know.
        merged: How ``merge`` would continue the session with all of them.
    """
    if not history or history[-1].message.role != "assistant":
        return False
    if merged.known:
        return asks_anew(history, sent, merged)
    # Nothing of the assistant's is sent along: what it was the answer to then stands right before the last answer.
    before = [message.digest for message in history[max(0, len(history) - 1 - len(sent)) : -1]]
    return merged.kept == len(history) and before == [message.digest for message in sent]


def asks_anew(history: Sequence[StoredMessage], sent: Sequence[Sent], merged: Merge) -> bool:
    """Tell whether a request is the whole session but its last answer, as if that were to be made anew."""
    return bool(history) and merged.known > 0 and merged.kept == len(history) - 1 and not sent


def can_be_given_again(job: Job, answer: Message) -> bool:
    """Tell whether a stored answer is all that the request wants: sessions keep one choice, and no sound."""
    return (job.request.n or 1) == 1 and not job.request.audio and "audio" not in _fields_decoder.decode(answer.raw)


def given_again(job: Job, stored: Message) -> tuple[Answer, list[Event]]:
    """Return a stored answer as the answer to a job, all but complete, and the events to pass on before its last ones.

    Why it ended isn't stored: it is "stop", or what its calls say.
    """
    fields: dict[str, Any] = read(stored.raw)
    del fields["role"]
    beside = ChoiceExtra()
    reason = "stop"
    if calls := fields.get("tool_calls"):
        reason = "tool_calls"
        beside.calls = {
            place: {name: value for name, value in call.items() if name not in _CALL and name != "type"}
            for place, call in enumerate(calls)
        }
        fields["tool_calls"] = [_call(place, call) for place, call in enumerate(calls)]
    elif fields.get("function_call"):
        reason = "function_call"
    beside.delta = {name: value for name, value in fields.items() if name not in _DELTA}
    delta = {name: value for name, value in fields.items() if name in _DELTA}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    first = msgspec.convert({"choices": [choice], "replayed": True}, Event)
    if beside.delta or any(beside.calls.values()):
        first.extra = Extra(choices={0: beside})
    first.large = len(stored.raw) > LARGE
    last = finish_event(reason)
    last.replayed = True
    answer = Answer.to(job.request, job.run_id)
    answer.replayed = True
    return answer, [event for event in (answer.feed(first), answer.feed(last)) if event is not None]


def _call(place: int, call: dict[str, Any]) -> dict[str, Any]:
    # Chunks know the type of functions only.
    kind = {"type": "function"} if "function" in call else {}
    return {"index": place, **kind, **{name: value for name, value in call.items() if name in _CALL}}
