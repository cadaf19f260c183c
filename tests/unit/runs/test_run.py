"""The run: what the engine sees, what is kept, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from app.config import ToolPolicy
from app.errors import (
    EngineFailed,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    RunAborted,
    RunTimedOut,
    SessionMovedOn,
    StoreUnavailable,
    UnsupportedParameter,
)
from app.runs.answer import Answer
from app.runs.event import Event, finish_event, text_event
from app.runs.job import Job
from app.runs.lanes import MAX_WAITING, LaneStatistics
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions.history import History
from app.sessions.interruption import BegunRun
from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore
from app.sessions.store import SessionConflict, SessionStore, StoreError
from tests.unit.conversation import assistant, said, script, user
from tests.unit.runs.deltas import chunk, event, usage
from tests.unit.runs.engines import Shelf, TinyEngine, failing, saying, waiting
from tests.unit.runs.jobs import KEY, agent, job, request

Scenario = Callable[["Bench"], Awaitable[None]]


class Bench:
    """Runs over a real store, with engines called one, two and three."""

    def __init__(self, store: SessionStore, **engines: TinyEngine) -> None:
        self.store = store
        self.engines = {name: TinyEngine() for name in ("one", "two", "three")} | engines
        self.runs = Runs(Shelf(self.engines), store)

    @property
    def one(self) -> TinyEngine:
        """The first engine."""
        return self.engines["one"]

    async def say(self, *messages: Message | str, **about: object) -> str | None:
        """Run a job and return the answer's text."""
        answer = await self.runs.execute(job(*messages, **about))  # type: ignore[arg-type]  # a job's own arguments
        return text_of(answer)

    async def written(self, key: str = KEY) -> list[str]:
        """Write a session down."""
        return script(stored.message for stored in await self.store.history(key))

    def idle(self) -> bool:
        """Tell whether no lane has anybody in it."""
        lanes = (self.runs._session_lanes, self.runs._agent_lanes)
        return all(lane.statistics() == LaneStatistics(0, 0) for lane in lanes)


class Listening:
    """A door: notes what it hears and, at each event, asks the test."""

    def __init__(self, at_event: Callable[[Event], Awaitable[None]] | None = None) -> None:
        self.heard: list[str] = []
        self.heard_and_flushed: list[str] = []
        self._at_event = at_event

    async def on_event(self, event: Event) -> None:
        """Note an event."""
        if self._at_event is not None:
            await self._at_event(event)
        words = [str(choice.delta.content or choice.finish_reason) for choice in event.choices]
        self.heard += words
        self.heard_and_flushed += words

    async def flush(self) -> None:
        """Note the flush."""
        self.heard_and_flushed.append("flush")


def text_of(answer: Answer) -> str | None:
    """Return the text of an answer's first choice."""
    return answer.choices()[0].message.content


def play(folder: Path, scenario: Scenario, **engines: TinyEngine) -> None:
    """Run a scenario on a bench; in the end nobody may be left in a lane."""

    async def main() -> None:
        store = await SqliteStore.open(folder / "s.db")
        bench = Bench(store, **engines)
        try:
            await scenario(bench)
            assert bench.idle()
        finally:
            await store.close()

    asyncio.run(main())


async def settle(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def test_conversation(tmp_path: Path) -> None:
    """A session's engine sees the stored turns, then this request's; the answer is stored behind them."""

    async def scenario(bench: Bench) -> None:
        assert "re: a" == await bench.say("a")
        assert "re: b" == await bench.say("b")
        assert [["user: a"], ["user: a", "assistant: re: a", "user: b"]] == bench.one.seen
        assert ["user: a", "assistant: re: a", "user: b", "assistant: re: b"] == await bench.written()

    play(tmp_path, scenario)


def test_resent_conversation_is_seen_once(tmp_path: Path) -> None:
    """Resending all, a part, or another version of it: the engine sees what the client means, each turn once."""

    async def scenario(bench: Bench) -> None:
        a, ra, b, rb = user("a"), assistant("re: a"), user("b"), assistant("re: b")
        await bench.say(a)
        await bench.say(a, ra, b)
        await bench.say(b, rb, user("c"))
        await bench.say(a, ra, user("B"))
        await bench.say(a, ra, user("B"))
        told = ["user: a", "assistant: re: a", "user: b"]
        assert [
            ["user: a"],
            told,
            [*told, "assistant: re: b", "user: c"],
            ["user: a", "assistant: re: a", "user: B"],
            ["user: a", "assistant: re: a", "user: B"],
        ] == bench.one.seen
        assert ["user: a", "assistant: re: a", "user: B", "assistant: re: B"] == await bench.written()

    play(tmp_path, scenario)


def test_answer_resent_in_the_sdk_s_spelling(tmp_path: Path) -> None:
    """An answer that a client resends as its SDK dumps it, nulls and all, is recognised as the stored one."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        dumped = said(
            "assistant", "re: a", refusal=None, annotations=[], audio=None, function_call=None, tool_calls=None
        )
        await bench.say("a", dumped, "b")
        assert [["user: a"], ["user: a", "assistant: re: a", "user: b"]] == bench.one.seen

    play(tmp_path, scenario)


def test_stateless(tmp_path: Path) -> None:
    """A stateless run sees only what it was sent, and leaves nothing behind."""

    async def scenario(bench: Bench) -> None:
        for _ in range(2):
            assert "re: a" == await bench.say("a", key=None)
        assert [["user: a"]] * 2 == bench.one.seen
        assert [] == await bench.written("agent:main:openai:1")

    play(tmp_path, scenario)


def test_system_messages(tmp_path: Path) -> None:
    """The agent's prompt and the request's system messages stand at the head, and are not kept."""

    async def scenario(bench: Bench) -> None:
        by = agent(system_prompt="You are Zero.")
        await bench.say("a", by=by, system=(said("system", "Be brief."),))
        await bench.say("b", by=by)
        assert ["system: You are Zero.\n\nBe brief.", "user: a"] == bench.one.seen[0]
        assert ["system: You are Zero.", "user: a", "assistant: re: a", "user: b"] == bench.one.seen[1]
        assert ["user: a", "assistant: re: a", "user: b", "assistant: re: b"] == await bench.written()

    play(tmp_path, scenario)


def test_turn(tmp_path: Path) -> None:
    """The engine is told the run, the model's own name, and the parameters: the request's over the agent's."""

    async def scenario(bench: Bench) -> None:
        asked = request(n=1, temperature=0.5)
        by = agent("two", params={"temperature": 1.0, "top_k": 3})
        sent = {"temperature": msgspec.Raw(b"0.5"), "vendor": msgspec.Raw(b"true"), "top_k": msgspec.Raw(b"null")}
        task = job("a", by=by, request=asked, parameters=sent)
        await bench.runs.execute(task)
        [turn] = bench.engines["two"].turns
        assert (task.run_id, by, "m", asked, 1) == (turn.run_id, turn.agent, turn.model, turn.request, turn.choices)
        expected = {"temperature": 0.5, "top_k": 3, "vendor": True}
        assert expected == msgspec.json.decode(msgspec.json.encode(turn.parameters))

    play(tmp_path, scenario)


def test_tool_policy(tmp_path: Path) -> None:
    """A tool that the agent may not use is refused before anything is done."""

    async def scenario(bench: Bench) -> None:
        tools = [{"type": "function", "function": {"name": "f"}}]
        with pytest.raises(PermissionDenied):
            await bench.say("a", by=agent(tools=ToolPolicy(deny=("f",))), request=request(tools=tools))
        assert [] == bench.one.turns
        assert [] == await bench.written()

    play(tmp_path, scenario)


def test_several_choices(tmp_path: Path) -> None:
    """With n choices all are answered, and the session remembers the first."""
    both = event(chunk(1, "stop", content="second"), chunk(0, "stop", content="first"))

    async def scenario(bench: Bench) -> None:
        answer = await bench.runs.execute(job("a", request=request(n=2)))
        assert ["first", "second"] == [choice.message.content for choice in answer.choices()]
        assert ["user: a", "assistant: first"] == await bench.written()

    play(tmp_path, scenario, one=TinyEngine(saying(both)))


@pytest.mark.parametrize("reported", [None, usage(0, 0), usage(30, 40)])
def test_usage(tmp_path: Path, reported: dict[str, object] | None) -> None:
    """The usage is the engine's own; where it reports none, or only zeros, an estimate that is never zero."""
    events = [event(chunk(content="hello world", finish="stop")), event(usage=reported)]

    async def scenario(bench: Bench) -> None:
        answer = await bench.runs.execute(job("hello world"))
        assert answer.usage is not None
        expected = (30, 40, 70) if reported == usage(30, 40) else (6, 2, 8)
        assert expected == (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)

    play(tmp_path, scenario, one=TinyEngine(saying(*events)))


def test_last_event_after_the_store(tmp_path: Path) -> None:
    """A listener hears each event as it comes, and the end only once the store has the turn."""
    stored: list[tuple[str, int]] = []

    async def scenario(bench: Bench) -> None:
        async def look(event: Event) -> None:
            choice = event.choices[0]
            stored.append((str(choice.delta.content or choice.finish_reason), len(await bench.written())))

        listener = Listening(look)
        await bench.runs.execute(job("a"), listener)
        assert ["re: ", "a", "stop"] == listener.heard
        assert [("re: ", 0), ("a", 0), ("stop", 2)] == stored

    play(tmp_path, scenario)


def test_listener_is_told_to_flush(tmp_path: Path) -> None:
    """When an event announced by the one before says nothing, the listener writes what it kept for it."""
    events = [
        text_event("a", more=True),
        event(chunk(content="")),
        text_event("b", more=True),
        finish_event("stop", more=True),
    ]

    async def scenario(bench: Bench) -> None:
        listener = Listening()
        await bench.runs.execute(job("a"), listener)
        assert ["a", "flush", "b", "flush", "stop"] == listener.heard_and_flushed

    play(tmp_path, scenario, one=TinyEngine(saying(*events)))


def test_slow_listener_holds_the_engine_back(tmp_path: Path) -> None:
    """The next event is taken from the engine only when the listener has taken the one before."""
    made: list[int] = []

    async def count(_turn: Turn) -> AsyncIterator[Event]:
        for number in range(5):
            made.append(number)
            yield text_event(str(number))
        yield finish_event("stop")

    async def scenario(bench: Bench) -> None:
        async def look(_event: Event) -> None:
            await asyncio.sleep(0)
            taken.append(len(made))

        taken: list[int] = []
        await bench.runs.execute(job("a"), Listening(look))
        assert [1, 2, 3, 4, 5, 5] == taken

    play(tmp_path, scenario, one=TinyEngine(count))


def test_talkative_engine_lets_others_go_on(tmp_path: Path) -> None:
    """An engine that never waits for anything doesn't keep the event loop to itself."""
    # With a count of its own, so that no estimate makes the run wait.
    talk = [*[text_event("a")] * 1000, event(chunk(finish="stop"), usage=usage(1, 1000))]

    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.say("a", key=None))
        turns = 0
        while not running.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 10

    play(tmp_path, scenario, one=TinyEngine(saying(*talk)))


FAILED = EngineFailed("Broken.", status=503, retry_after=3)


def test_fallbacks_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A model that fails before it says anything is followed by the next, in order, with the same conversation."""
    one, two = TinyEngine(failing(FAILED)), TinyEngine(saying())

    async def scenario(bench: Bench) -> None:
        assert "re: a" == await bench.say("a", by=agent("one", "two", "three"))
        assert [[["user: a"]]] * 3 == [bench.engines[name].seen for name in ("one", "two", "three")]
        assert ["user: a", "assistant: re: a"] == await bench.written()

    with caplog.at_level(logging.WARNING, "zero.runs"):
        play(tmp_path, scenario, one=one, two=two)
    assert ["trying two/m", "trying three/m"] == [
        message[-len("trying two/m") :].strip() for message in caplog.messages
    ][:1] + [message.rsplit("; ", 1)[1] for message in caplog.messages][1:]


def test_answer_names_its_model(tmp_path: Path) -> None:
    """The one that gave it, be it the agent's own or a fallback."""

    async def scenario(bench: Bench) -> None:
        for models, expected in (
            (("two", "one"), "two/m"),
            (("one", "two"), "two/m"),
            (("one", "one", "three"), "three/m"),
        ):
            answer = await bench.runs.execute(job("a", by=agent(*models)))
            assert expected == str(answer.model)

    play(tmp_path, scenario, one=TinyEngine(failing(FAILED)))


def test_last_failure_is_the_run_s(tmp_path: Path) -> None:
    """When every model fails, the last one's failure is what the client learns, and retrying isn't advised."""

    async def scenario(bench: Bench) -> None:
        with pytest.raises(EngineFailed) as caught:
            await bench.say("a", by=agent("one", "two"))
        assert (503, "Broken.") == (caught.value.status, caught.value.message)
        assert [("retry-after", "3"), ("x-should-retry", "false")] == caught.value.headers
        assert (["done"], ["failed"]) == (bench.one.ended, bench.engines["two"].ended)
        assert [] == await bench.written()

    play(tmp_path, scenario, one=TinyEngine(saying()), two=TinyEngine(failing(FAILED)))


def test_no_fallback_once_begun(tmp_path: Path) -> None:
    """A model that fails after its first words isn't replaced: the client would see two beginnings."""

    async def scenario(bench: Bench) -> None:
        listener = Listening()
        with pytest.raises(EngineFailed, match="Broken"):
            await bench.runs.execute(job("a", by=agent("one", "two")), listener)
        assert (["half"], []) == (listener.heard, bench.engines["two"].turns)

    play(tmp_path, scenario, one=TinyEngine(failing(FAILED, text_event("half"))))


@pytest.mark.parametrize("error", [InvalidRequest("Too long."), UnsupportedParameter("No n.", param="n")])
def test_no_fallback_for_a_bad_request(tmp_path: Path, error: InvalidRequest) -> None:
    """A request that one model refuses as wrong isn't shown to the next."""

    async def scenario(bench: Bench) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await bench.say("a", by=agent("one", "two"))
        assert error is caught.value
        assert [] == bench.engines["two"].turns

    play(tmp_path, scenario, one=TinyEngine(failing(error)))


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), TimeoutError(), KeyError("choices"), OSError(5, "io")])
def test_exception_in_an_engine(tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An exception nobody foresaw in an engine is 502 without its words, which are in the log; fallbacks are tried."""

    async def scenario(bench: Bench) -> None:
        with pytest.raises(EngineFailed) as caught:
            await bench.say("a")
        assert (502, "engine_error") == (caught.value.status, caught.value.code)
        assert "secret" not in caught.value.message
        assert [] == await bench.written()
        assert "re: a" == await bench.say("a", by=agent("one", "two"))

    with caplog.at_level(logging.ERROR, "zero.runs"):
        play(tmp_path, scenario, one=TinyEngine(failing(error)))
    assert 2 == len([record for record in caplog.records if record.exc_info])


def test_engine_that_is_gone(tmp_path: Path) -> None:
    """A provider that a reloaded configuration no longer has is a failure like another, and fallbacks are tried."""

    async def scenario(bench: Bench) -> None:
        with pytest.raises(EngineFailed) as caught:
            await bench.say("a", by=agent("gone"))
        assert 502 == caught.value.status
        assert "re: a" == await bench.say("a", by=agent("gone", "one"))

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(failing(FAILED), id="at once"),
        pytest.param(failing(FAILED, text_event("half")), id="in the middle"),
        pytest.param(failing(FAILED, text_event("all"), finish_event("stop")), id="behind the end"),
        pytest.param(failing(ValueError("x"), text_event("half")), id="exception"),
        pytest.param(saying(text_event("half")), id="truncated"),
        pytest.param(saying(event(chunk(7, content="x"))), id="nonsense"),
    ],
)
def test_failed_run_leaves_the_session(tmp_path: Path, answer: Callable[[Turn], AsyncIterator[Event]]) -> None:
    """A run that fails, wherever, leaves the session as it was, and the next run goes on from there."""
    broken = TinyEngine(answer)

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        before = await bench.store.history(KEY)
        with pytest.raises(EngineFailed):
            await bench.say("b", by=agent("two"))
        assert before == await bench.store.history(KEY)
        await bench.say("c")
        assert ["user: a", "assistant: re: a", "user: c"] == bench.one.seen[-1]

    play(tmp_path, scenario, two=broken)


def test_cancelled_run_leaves_the_session(tmp_path: Path) -> None:
    """A cancelled run stops its engine at once and leaves the session as it was; the next in the lane gets its turn."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        before = await bench.store.history(KEY)
        heard = Listening()
        running = asyncio.create_task(bench.runs.execute(job("b", by=agent("two")), heard))
        await settle(lambda: heard.heard)
        behind = asyncio.create_task(bench.say("c"))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert ["cancelled"] == bench.engines["two"].ended
        assert "re: c" == await behind
        assert before == (await bench.store.history(KEY))[:2]
        assert ["user: a", "assistant: re: a", "user: c"] == bench.one.seen[-1]

    play(tmp_path, scenario, two=TinyEngine(waiting(asyncio.Event(), text_event("half"))))


@pytest.mark.parametrize("place", ["at work", "in the queue"])
def test_aborted_run_leaves_the_session(tmp_path: Path, place: str) -> None:
    """A run stopped from outside says so, stops its engine, and leaves session and lane as they were."""

    async def scenario(bench: Bench) -> None:
        gone = job("a", by=agent("two"))
        first = asyncio.create_task(bench.runs.execute(gone if place == "at work" else job("b", by=agent("two"))))
        await settle(lambda: bench.engines["two"].turns)
        second = asyncio.create_task(bench.runs.execute(job("c") if place == "at work" else gone))
        await settle(lambda: len(bench.runs.active) == 2)
        stopped = bench.runs.active.get(gone.run_id)
        assert stopped is not None
        stopped.abort("chat.abort")
        with pytest.raises(RunAborted, match=r"chat\.abort"):
            await (first if place == "at work" else second)
        assert bench.runs.active.get(gone.run_id) is None
        other = second if place == "at work" else first
        if place == "at work":
            await other
            assert ["user: c", "assistant: re: c"] == await bench.written()
        else:
            other.cancel()
            await asyncio.wait({other})
            assert [] == await bench.written()
        assert 0 == len(bench.runs.active)

    play(tmp_path, scenario, two=TinyEngine(waiting(asyncio.Event())))


def test_changes_are_told(tmp_path: Path) -> None:
    """Who asks hears of every session that a run has continued, and of nothing else."""

    async def scenario(bench: Bench) -> None:
        told: list[tuple[str, str, str]] = []

        def tell(*change: str) -> None:
            told.append((change[0], change[1], change[2]))

        bench.runs.changes.subscribe(tell)
        await bench.say("a")
        await bench.say("a", key=None)
        with pytest.raises(EngineFailed):
            await bench.say("b", by=agent("two"))
        bench.runs.changes.unsubscribe(tell)
        await bench.say("c")
        assert [(KEY, "main", "update")] == told

    play(tmp_path, scenario, two=TinyEngine(failing(FAILED)))


def test_engine_is_closed_when_the_listener_goes(tmp_path: Path) -> None:
    """Cancelled while the listener takes an event, the engine's iterator is closed before the run is over."""

    async def scenario(bench: Bench) -> None:
        reached = asyncio.Event()

        async def never(_event: Event) -> None:
            reached.set()
            await asyncio.Event().wait()

        running = asyncio.create_task(bench.runs.execute(job("a"), Listening(never)))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert ["closed"] == bench.one.ended
        assert [] == await bench.written()

    play(tmp_path, scenario)


@pytest.mark.parametrize("at", ["re: ", "a"])
def test_engine_is_closed_when_the_listener_fails(tmp_path: Path, at: str) -> None:
    """What a door raises ends the run as it is, with the engine's iterator closed and the session as it was."""

    async def fail(event: Event) -> None:
        if event.choices[0].delta.content == at:
            raise ZeroDivisionError

    async def scenario(bench: Bench) -> None:
        with pytest.raises(ZeroDivisionError):
            await bench.runs.execute(job("a"), Listening(fail))
        assert ["closed"] == bench.one.ended
        assert ([], 0) == (await bench.written(), len(bench.runs.active))

    play(tmp_path, scenario)


class FragileEngine(TinyEngine):
    """An engine that raises when it is closed before its end."""

    async def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``."""
        try:
            async for one in super().run(turn):
                yield one
        except GeneratorExit:
            raise ZeroDivisionError("while closing") from None


@pytest.mark.parametrize("at", ["event", "flush"])
@pytest.mark.parametrize("engine", [TinyEngine, FragileEngine])
def test_what_a_listener_raises_is_no_failure_of_the_engine(
    tmp_path: Path, at: str, engine: type[TinyEngine], caplog: pytest.LogCaptureFixture
) -> None:
    """It comes out as it was raised: the engine gets no blame, whatever closing it raises; no fallback is tried."""
    failure = ZeroDivisionError("the door's own")

    class Door(Listening):
        async def on_event(self, event: Event) -> None:
            if at == "event":
                raise failure

        async def flush(self) -> None:
            raise failure

    async def scenario(bench: Bench) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            await bench.runs.execute(job("a", by=agent("one", "two")), Door())
        assert caught.value is failure
        assert (1, []) == (len(bench.one.turns), bench.engines["two"].turns)
        assert ([], 0) == (await bench.written(), len(bench.runs.active))
        assert "re: b" == await bench.say("b", by=agent("two"))

    play(tmp_path, scenario, one=engine(saying(event(usage=usage(1, 1)), text_event("half"), finish_event("stop"))))
    told = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert (["the engine of one/m raised while it was closed"] if engine is FragileEngine else []) == told


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"by": agent(timeout_seconds=0.4)}, "within 0.4 s, the limit set by timeoutSeconds of agent 'main'"),
        ({"time_limit": 0.4}, "within 0.4 s, the limit set by the client"),
        ({"by": agent(timeout_seconds=0.4), "time_limit": 60.0}, "timeoutSeconds of agent 'main'"),
        ({"by": agent(timeout_seconds=0.4), "key": None}, "timeoutSeconds of agent 'main'"),
    ],
)
@pytest.mark.parametrize("begun", [[], [text_event("half")]])
def test_timeout(tmp_path: Path, limits: dict[str, object], words: str, begun: list[Event]) -> None:
    """The shorter limit stops the engine: 504, says which limit, advises against retrying, and nothing is kept."""

    async def scenario(bench: Bench) -> None:
        with pytest.raises(RunTimedOut) as caught:
            await bench.say("a", **limits)
        assert (504, "run_timeout") == (caught.value.status, caught.value.code)
        assert words in caught.value.message
        assert [("x-should-retry", "false")] == caught.value.headers
        assert ["cancelled"] == bench.one.ended
        assert [] == await bench.written()
        task = asyncio.current_task()
        assert task is not None
        assert 0 == task.cancelling()

    play(tmp_path, scenario, one=TinyEngine(waiting(asyncio.Event(), *begun)))


def test_waiting_counts_towards_the_limit(tmp_path: Path) -> None:
    """The limit holds in the queue too: a run that doesn't get its turn in time never starts."""

    async def scenario(bench: Bench) -> None:
        first = asyncio.create_task(bench.say("a", by=agent("two")))
        await settle(lambda: bench.engines["two"].turns)
        with pytest.raises(RunTimedOut):
            await bench.say("b", by=agent(timeout_seconds=0.05))
        assert [] == bench.one.turns
        first.cancel()
        await asyncio.wait({first})

    play(tmp_path, scenario, two=TinyEngine(waiting(asyncio.Event())))


def test_one_session_in_arrival_order(tmp_path: Path) -> None:
    """Runs of one session go one after the other in the order of their arrival, each seeing those before it."""
    gate = asyncio.Event()

    async def scenario(bench: Bench) -> None:
        runs = [asyncio.create_task(bench.say(text)) for text in "abcd"]
        await settle(lambda: bench.one.turns)
        assert 1 == len(bench.one.turns)
        gate.set()
        await asyncio.gather(*runs)
        assert list("abcd") == [conversation[-1].removeprefix("user: ") for conversation in bench.one.seen]
        assert [1, 3, 5, 7] == [len(conversation) for conversation in bench.one.seen]

    play(tmp_path, scenario, one=TinyEngine(waiting(gate)))


def test_sessions_in_parallel(tmp_path: Path) -> None:
    """Runs of different sessions, and stateless ones, don't wait for each other."""
    gate = asyncio.Event()

    async def scenario(bench: Bench) -> None:
        keys = ["agent:main:a", "agent:main:b", None, None]
        runs = [asyncio.create_task(bench.say("a", key=key)) for key in keys]
        await settle(lambda: len(bench.one.turns) == 4)
        gate.set()
        assert ["re: a"] * 4 == await asyncio.gather(*runs)

    play(tmp_path, scenario, one=TinyEngine(waiting(gate)))


def test_max_concurrent(tmp_path: Path) -> None:
    """An agent with maxConcurrent runs that many at a time, stateless ones too, and no more."""
    gate = asyncio.Event()

    async def scenario(bench: Bench) -> None:
        by = agent(max_concurrent=2)
        runs = [asyncio.create_task(bench.say("a", key=None, by=by)) for _ in range(5)]
        await settle(lambda: bench.runs._agent_lanes.statistics().waiting == 3)
        assert 2 == len(bench.one.turns)
        gate.set()
        await asyncio.gather(*runs)
        assert 5 == len(bench.one.turns)

    play(tmp_path, scenario, one=TinyEngine(waiting(gate)))


def test_full_queue(tmp_path: Path) -> None:
    """When too many wait for one session the next is 429 before any work; a retry is safe and not forbidden."""

    async def scenario(bench: Bench) -> None:
        runs = [asyncio.create_task(bench.say("a")) for _ in range(MAX_WAITING + 1)]
        await settle(lambda: bench.runs._session_lanes.statistics().waiting == MAX_WAITING)
        with pytest.raises(RateLimited) as caught:
            await bench.say("b")
        assert (429, [("retry-after", "2")]) == (caught.value.status, caught.value.headers)
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)

    play(tmp_path, scenario, one=TinyEngine(waiting(asyncio.Event())))


class BrokenStore(SqliteStore):
    """A store whose methods fail where the test says.

    Args:
        history: What reading a session raises; without it there is nothing to be read.
        append: What writing raises.
    """

    def __init__(self, *, history: Exception | None = None, append: Exception | None = None) -> None:
        # No database at all: what isn't overridden here must not be used.
        self._history = history
        self._append = append
        self.appends = 0

    @asynccontextmanager
    async def noted(self, run: BegunRun) -> AsyncIterator[None]:
        """Note nothing."""
        yield

    async def history(self, session_key: str) -> History:
        """Return nothing, or fail."""
        if self._history is not None:
            raise self._history
        return History()

    async def append(
        self,
        session_key: str,
        agent_id: str,
        run_id: str,
        *,
        expected_head: str | None,
        parent: str | None,
        messages: Sequence[Message],
        fence: int | None = None,
        keyed: str | None = None,
    ) -> None:
        """Fail."""
        self.appends += 1
        assert self._append is not None
        raise self._append


def test_store_unreadable() -> None:
    """When the session can't be read, the engine isn't even asked; 503, and a retry makes sense."""

    async def main() -> None:
        bench = Bench(BrokenStore(history=StoreError("disk on fire")))
        with pytest.raises(StoreUnavailable) as caught:
            await bench.say("a")
        assert (503, "session_store_unavailable") == (caught.value.status, caught.value.code)
        assert [("retry-after", "5")] == caught.value.headers
        assert "disk" not in caught.value.message
        assert [] == bench.one.turns

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreError("disk full"), "session_store_unavailable"), (SessionConflict(KEY), "session_conflict")],
)
def test_store_unwritable(error: Exception, code: str) -> None:
    """When the turn can't be stored the run fails, though the model has answered: no end is heard, no retry advised."""

    async def main() -> None:
        store = BrokenStore(append=error)
        bench = Bench(store)
        listener = Listening()
        with pytest.raises((StoreUnavailable, SessionMovedOn)) as caught:
            await bench.runs.execute(job("a"), listener)
        assert (503, code) == (caught.value.status, caught.value.code)
        assert [("x-should-retry", "false")] == caught.value.headers
        assert ["re: ", "a"] == listener.heard
        assert (["done"], 1) == (bench.one.ended, store.appends)
        assert bench.idle()

    asyncio.run(main())


def test_store_is_not_needed_without_a_session() -> None:
    """A stateless run works while the store is broken."""

    async def main() -> None:
        bench = Bench(BrokenStore(history=StoreError("x"), append=StoreError("x")))
        assert "re: a" == await bench.say("a", key=None)

    asyncio.run(main())


def test_two_gateways_on_one_session(tmp_path: Path) -> None:
    """When another process has moved the session on meanwhile, the run fails and the other's turn stands."""
    gate = asyncio.Event()

    async def scenario(bench: Bench) -> None:
        other = Bench(bench.store)
        running = asyncio.create_task(bench.say("a"))
        await settle(lambda: bench.one.turns)
        await other.say("b")
        gate.set()
        with pytest.raises(SessionMovedOn) as caught:
            await running
        assert [("x-should-retry", "false")] == caught.value.headers
        assert ["user: b", "assistant: re: b"] == await bench.written()

    play(tmp_path, scenario, one=TinyEngine(waiting(gate)))


def test_job_is_a_value() -> None:
    """Jobs are immutable, and each has a run id of its own."""
    one, other = job("a"), job("a")
    assert one.run_id != other.run_id
    with pytest.raises(AttributeError):
        setattr(one, "run_id", "x")  # noqa: B010 - the attribute is read-only for the type checker too
    assert one == msgspec.structs.replace(other, run_id=one.run_id, request=one.request)
    assert isinstance(one, Job)
