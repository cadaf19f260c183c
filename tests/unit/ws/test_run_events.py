"""A run told as events: what is told, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import weakref

import msgspec
import pytest

from app.errors import EngineFailed, GatewayError, RunAborted, RunTimedOut
from app.runs.answer import Answer
from app.runs.event import Event, finish_event, text_event
from app.ws.run_events import AgentEvents, ChatEvents
from tests.official import Json
from tests.unit.runs.deltas import chunk, event, part, usage
from tests.unit.runs.jobs import job
from tests.ws.contract import EVENTS, validator

JOB = job(run_id="r1")
ABORTED = RunAborted("somebody said so")


class Heard(list[Json]):
    """The payloads that were published, in JSON, each valid by the contract."""

    def __call__(self, name: str, payload: msgspec.Struct) -> None:
        """Take an event."""
        found = msgspec.to_builtins(payload)
        validator(EVENTS[name]).validate(found)
        self.append(found)


def tell(listener: AgentEvents | ChatEvents, *events: Event) -> None:
    """Have a listener hear a run's events."""

    async def main() -> None:
        for one in events:
            await listener.on_event(one)
            await listener.flush()

    asyncio.run(main())


def tell_at_once(listener: AgentEvents | ChatEvents, *events: Event) -> None:
    """Have a listener hear events that an engine has all at once."""

    async def main() -> None:
        for one in events:
            await listener.on_event(one)

    asyncio.run(main())


def answer(*events: Event) -> Answer:
    """Return the answer that events make, complete."""
    whole = Answer(1)
    for one in (*events, finish_event("stop"), event(usage=usage(1, 2))):
        whole.feed(one)
    whole.complete()
    return whole


def test_agent_events_count_and_add_up() -> None:
    """The beginning, each piece with all of it until then, the end."""
    heard = Heard()
    listener = AgentEvents(JOB, heard)
    listener.begin()
    tell(listener, text_event("a"), text_event("b"), finish_event("stop"))
    listener.end(answer(text_event("ab")))

    assert [1, 2, 3, 4] == [one["seq"] for one in heard]
    assert [("a", "a"), ("b", "ab")] == [(one["data"]["delta"], one["data"]["text"]) for one in heard[1:3]]
    assert ["start", "end"] == [heard[0]["data"]["phase"], heard[3]["data"]["phase"]]


@pytest.mark.parametrize("kind", [AgentEvents, ChatEvents])
@pytest.mark.parametrize(
    "outcome", [answer(text_event("a")), ABORTED, EngineFailed("no")], ids=lambda one: type(one).__name__
)
def test_nothing_is_kept_of_a_run_that_is_over(
    kind: type[AgentEvents | ChatEvents], outcome: Answer | GatewayError
) -> None:
    """Whoever told it is free with the last who knows it, and needs no garbage collector."""
    listener = kind(JOB, Heard())
    tell(listener, text_event("a"))
    listener.end(outcome)
    known = weakref.ref(listener)
    gc.disable()
    try:
        del listener
        assert known() is None
    finally:
        gc.enable()


def test_only_the_first_choice_s_words_are_told() -> None:
    """Other choices, calls and empty pieces are no event of their own."""
    for kind in (AgentEvents, ChatEvents):
        heard = Heard()
        tell(
            kind(JOB, heard),
            event(chunk(1, content="other")),
            event(chunk(0, content="")),
            event(chunk(0, tool_calls=[part(0, "c1", "f")])),
            event(chunk(0, content="mine"), chunk(1, content="other")),
        )
        assert 1 == len(heard)
        assert "mine" == heard[0].get("deltaText", heard[0].get("data", {}).get("delta"))


def test_what_the_engine_has_at_once_is_one_event() -> None:
    """Words announced by ``more`` wait for the others; the end of the choice, or nothing more, ends the wait."""
    for kind in (AgentEvents, ChatEvents):
        heard = Heard()
        words = [text_event(word, more=True) for word in ("a", "b", "c")]
        tell_at_once(kind(JOB, heard), *words, finish_event("stop", more=True))
        assert ["abc"] == [one.get("deltaText", one.get("data", {}).get("delta")) for one in heard]


def test_what_was_kept_back_is_told_before_the_end() -> None:
    """Also when the run fails before there was more."""
    heard = Heard()
    listener = ChatEvents(JOB, heard)
    tell_at_once(listener, text_event("a", more=True))
    listener.end(ABORTED)

    assert [("delta", "a"), ("aborted", None)] == [(one["state"], one.get("deltaText")) for one in heard]
    assert "a" == heard[1]["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("outcome", "state", "more"),
    [
        (answer(text_event("ab")), "final", {"stopReason": "stop", "usage": {"input": 1, "output": 2, "total": 3}}),
        (ABORTED, "aborted", {"stopReason": "rpc", "errorMessage": ABORTED.message}),
        (RunTimedOut(1, "x"), "error", {"errorKind": "timeout"}),
        (EngineFailed("no", status=504), "error", {"errorKind": "timeout"}),
        (EngineFailed("no", status=429), "error", {"errorKind": "rate_limit"}),
        (EngineFailed("no", code="context_length_exceeded"), "error", {"errorKind": "context_length"}),
        (EngineFailed("no"), "error", {"errorKind": "unknown", "errorMessage": "no"}),
    ],
)
def test_chat_ends_with_one_event(outcome: Answer | GatewayError, state: str, more: Json) -> None:
    """Which says how; what was said until then is in it, unless the run failed."""
    heard = Heard()
    listener = ChatEvents(JOB, heard)
    tell(listener, text_event("a"), text_event("b"))
    listener.end(outcome)

    assert (["delta", "delta", state], [1, 2, 3]) == ([one["state"] for one in heard], [one["seq"] for one in heard])
    assert more.items() <= heard[-1].items()
    assert ("ab" if state != "error" else None) == heard[-1].get("message", {"content": [{"text": None}]})["content"][
        0
    ]["text"]


@pytest.mark.parametrize(("outcome", "aborted"), [(ABORTED, True), (EngineFailed("no"), None)])
def test_agent_says_how_it_failed(outcome: GatewayError, aborted: bool | None) -> None:
    """And whether somebody stopped it."""
    heard = Heard()
    AgentEvents(JOB, heard).end(outcome)
    data = heard[0]["data"]

    assert ("error", outcome.message, aborted) == (data["phase"], data["error"], data.get("aborted"))
