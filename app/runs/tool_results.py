"""Tool calls and their results: each result answers a call of an earlier answer, each call has one result.

Checked by the run, because the call may lie in the session and only the result in the request. The rule is OpenAI's,
which answers 400 to the same conversations; docs/compatibility.md has it for users. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.errors import InvalidRequest
from app.large.aside import LARGE
from app.large.shortened import Shortened
from app.runs.job import Job
from app.sessions.message import Message

_SYSTEM_ROLES = frozenset({"system", "developer"})


class _Call(msgspec.Struct):
    id: str


class _Calls(msgspec.Struct):
    tool_calls: list[_Call] | None = None


class _Result(msgspec.Struct):
    tool_call_id: str


_calls_decoder = msgspec.json.Decoder(_Calls)
_result_decoder = msgspec.json.Decoder(_Result)


def check_tool_results(job: Job, kept: Sequence[Message], known: int) -> None:
    """Refuse a request whose tool messages and tool calls don't belong together.

    A stored call that the request leaves unanswered altogether is let be: the conversation may have gone on without it,
    and the client can't take it back.

    Args:
        job: The request.
        kept: What the session puts before its new messages.
        known: How many of its messages the session knows already; they were checked when they were new.

    Raises:
        InvalidRequest: If a result answers no call, a call has a second result, or a call of this request, or one of
            several that this request answers, has none.
    """
    new = job.messages[known:]
    if not any(message.role == "tool" or _may_call(message) for message in new):
        return
    waiting = _waiting(kept)
    caller: int | None = None
    answering = False
    for position, message in enumerate(new, known):
        if message.role == "tool":
            answering = True
            call_id = _result_decoder.decode(message.raw).tool_call_id
            if call_id not in waiting:
                raise _stray(call_id, (*kept, *new[: position - known]), job, position)
            del waiting[call_id]
            continue
        _check_answered(waiting, job, caller, answering=answering)
        waiting, caller, answering = {}, None, False
        if _may_call(message):
            waiting, caller = dict.fromkeys(_ids(message)), position
    _check_answered(waiting, job, caller, answering=answering)


def _may_call(message: Message) -> bool:
    # To search a large one takes longer than to look.
    return message.role == "assistant" and (len(message.raw) > LARGE or b"tool_calls" in bytes(message.raw))


def _ids(message: Message) -> list[str]:
    if len(message.raw) <= LARGE:
        return [call.id for call in _calls_decoder.decode(message.raw).tool_calls or ()]
    short = Shortened(bytes(message.raw))
    return [short.restored(call.id) for call in _calls_decoder.decode(short.json).tool_calls or ()]


def _waiting(kept: Sequence[Message]) -> dict[str, None]:
    """Return the calls at the end of a conversation that have no result yet; no more of it is looked at than needed."""
    answered: list[str] = []
    for message in reversed(kept):
        if message.role != "tool":
            calls = _ids(message) if _may_call(message) else []
            return {call_id: None for call_id in calls if call_id not in answered}
        answered.append(_result_decoder.decode(message.raw).tool_call_id)
    return {}


def _stray(call_id: str, before: Sequence[Message], job: Job, position: int) -> InvalidRequest:
    why = (
        "that call has its result already, or the conversation has gone on without it"
        if any(_may_call(message) and call_id in _ids(message) for message in before)
        else "no assistant message before it has a tool call of that id"
    )
    return InvalidRequest(
        f"The tool message with tool_call_id {call_id[:100]!r} answers nothing: {why}.",
        param=f"messages[{_place(job, position)}].tool_call_id",
    )


def _check_answered(waiting: dict[str, None], job: Job, caller: int | None, *, answering: bool) -> None:
    if not waiting or (caller is None and not answering):
        return
    names = ", ".join(repr(call_id[:100]) for call_id in list(waiting)[:5])
    raise InvalidRequest(
        "An assistant message with tool_calls must be followed by a tool message for each of them. "
        f"No result has come for: {names}.",
        param="messages" if caller is None else f"messages[{_place(job, caller)}].tool_calls",
    )


def _place(job: Job, position: int) -> int:
    """Return where one of the job's messages stands in the request, which has system messages between them too."""
    others = _others(job)
    return others[position] if position < len(others) else position


def _others(job: Job) -> Sequence[int]:
    return [at for at, message in enumerate(job.request.messages) if message.__struct_config__.tag not in _SYSTEM_ROLES]
