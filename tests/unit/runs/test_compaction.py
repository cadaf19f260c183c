"""Runs in long sessions whose beginning a model sums up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from app.config import AgentProfile, ModelRef, Session, SessionCompaction, Window
from app.errors import EngineFailed, InvalidRequest, RunTimedOut
from app.runs import compaction
from app.runs.event import Event, finish_event, text_event
from app.runs.run import Runs
from app.runs.summary_prompt import section
from app.runs.token_count import count, size
from app.runs.turn import Turn
from app.sessions.message import Message
from app.sessions.store import StoreError
from app.sessions.summary import Summary
from tests.unit.conversation import assistant, said, script, user
from tests.unit.runs.deltas import chunk, event, usage
from tests.unit.runs.engines import Shelf, TinyEngine, failing, saying, waiting
from tests.unit.runs.jobs import KEY, agent, job
from tests.unit.runs.test_run import Bench, play, settle

WORDS = "word " * 20
LONG = 25
"""Turns that are more than there is room for, and of which one summary tells."""
ROOM = 2_000 - 200 - 500
ONE, TWO = ModelRef("one", "m"), ModelRef("two", "m")
NARROW = agent(windows={ONE: Window(2_000)}, system_prompt="Be kind.")
BY_TWO = SessionCompaction(mode="model", model="two/m")


def summing_up() -> Callable[[Turn], AsyncIterator[Event]]:
    """Answer with a number that counts the answers, behind what a summary might say."""
    answers = 0

    async def answer(_turn: Turn) -> AsyncIterator[Event]:
        nonlocal answers
        answers += 1
        yield text_event(f"Summary {answers}.")
        yield finish_event("stop")

    return answer


def compacting(bench: Bench, settings: SessionCompaction = BY_TWO) -> None:
    """Switch compaction on."""
    bench.runs = Runs(Shelf(bench.engines), bench.store, settings=lambda: Session(compaction=settings))


async def talk(bench: Bench, turns: range, by: AgentProfile = NARROW) -> None:
    """Have turns, each with another number."""
    for turn in turns:
        await bench.say(f"{turn} {WORDS}", by=by)


def head(messages: tuple[Message, ...]) -> str:
    """Return the system message's text."""
    content = msgspec.json.decode(messages[0].raw)["content"]
    assert isinstance(content, str)
    return content


def asked(turn: Turn) -> str:
    """Return what a summariser was given."""
    return script(turn.messages)[-1]


def numbers(told: list[str]) -> list[int]:
    """Return the numbers of the turns whose user's words are there."""
    return [int(line.split()[1]) for line in told if line.startswith("user: ")]


def test_a_long_session(tmp_path: Path) -> None:
    """What is left out is in the summary, which is carried on now and then: each turn goes into just one of them."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(60))
        summarised: set[int] = set()
        for turn, seen in enumerate(bench.one.turns):
            assert sum(map(size, seen.messages)) <= ROOM
            told = numbers(script(seen.messages))
            assert [0, turn] == [told[0], told[-1]]
            assert list(range(told[-len(told[1:])], turn + 1)) == told[1:] if turn else told == [0]
        assert 60 > len(bench.engines["two"].turns) * 4
        for question in bench.engines["two"].turns:
            parts = [int(line.split()[1]) for line in asked(question).splitlines() if line[:3].strip("> ").isdigit()]
            assert not summarised & set(parts)
            summarised |= set(parts)
        last = bench.one.turns[-1]
        shown = numbers(script(last.messages))
        assert set(range(60)) == summarised | set(shown)
        newest = len(bench.engines["two"].turns)
        assert f"Be kind.\n\n{section(f'Summary {newest}.')}" == head(last.messages)
        assert 120 == len(await bench.written())
        assert () == (await bench.store.verify()).faults

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_the_next_one_is_made_of_the_last(tmp_path: Path) -> None:
    """A summariser gets what it wrote before and what was said since, all of it quoted."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(60))
        first, second, *_ = map(asked, bench.engines["two"].turns)
        assert "Summary so far" not in first
        assert f"User:\n> 0 {WORDS.strip()}\n\nAssistant:\n> re: 0 {WORDS.strip()}\n\nUser:\n> 1 " in first
        assert "Summary so far:\n\n> Summary 1.\n\nWhat was said since:\n\nUser:\n> " in second
        assert "> 0 " not in second

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_off_by_default(tmp_path: Path) -> None:
    """Nobody is asked and nothing is looked up."""

    async def scenario(bench: Bench) -> None:
        bench.store.summaries.read = None  # type: ignore[method-assign, assignment]  # whoever calls it fails
        await talk(bench, range(LONG))
        assert [] == bench.engines["two"].turns
        assert "Be kind." == head(bench.one.turns[-1].messages)

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_what_fits_is_not_summed_up(tmp_path: Path) -> None:
    """A short session, a model with room enough, a stateless request, a window that nobody knows."""
    long = [said for turn in range(40) for said in (user(f"{turn} {WORDS}"), assistant(WORDS))]

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await bench.say(*long[:6], user("b"), by=NARROW)
        await bench.say(*long, user("b"), key=None, by=NARROW)
        await bench.say(*long, user("b"), key="agent:main:wide", by=agent(windows={ONE: Window(100_000)}))
        await bench.say(*long, user("b"), key="agent:main:unknown")
        assert [] == bench.engines["two"].turns

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_it_outlives_the_process(tmp_path: Path) -> None:
    """A summary is stored, so that another gateway goes on with it."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(60))
        written = len(bench.engines["two"].turns)
        compacting(bench)
        await bench.say("short", by=NARROW)
        assert written == len(bench.engines["two"].turns)
        assert section(f"Summary {written}.") in head(bench.one.turns[-1].messages)
        ids = [stored.id for stored in await bench.store.history(KEY)]
        kept = await bench.store.summaries.read(KEY)
        assert ["two/m"] * len(kept) == [summary.model for summary in kept]
        places = [ids.index(summary.upto) for summary in kept]
        assert sorted(places, reverse=True) == places

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_a_fork_before_its_end(tmp_path: Path) -> None:
    """Makes a summary unusable: it tells of what is no longer so. An older one that still holds is carried on."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(60))
        history = await bench.store.history(KEY)
        newest, older, *_ = await bench.store.summaries.read(KEY)
        ids = [stored.id for stored in history]
        fork = (ids.index(newest.upto) - 3) // 2 * 2
        assert ids.index(older.upto) < fork
        await bench.say(*(stored.message for stored in history[:fork]), user("another " + "way " * 700), by=NARROW)
        seen = head(bench.one.turns[-1].messages)
        assert newest.text not in seen
        assert older.text in asked(bench.engines["two"].turns[-1])

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_a_session_begun_anew(tmp_path: Path) -> None:
    """Has no summary of the old one."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(60))
        await bench.say("/new", by=NARROW)
        assert [] == await bench.store.summaries.read(KEY)
        await bench.say("hi", by=NARROW)
        assert ["system: Be kind.", "user: hi"] == bench.one.seen[-1]

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_history_that_comes_with_the_request(tmp_path: Path) -> None:
    """Is summed up as well, in as many parts as the summariser has room for; what isn't stored yet keeps no summary."""
    long = [said for turn in range(60) for said in (user(f"{turn} {WORDS}"), assistant(WORDS))]
    by = agent(windows={ONE: Window(4_000), TWO: Window(1_600)}, system_prompt="Be kind.")

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await bench.say(*long, user("b"), by=by)
        questions = bench.engines["two"].turns
        assert 2 <= len(questions) < 10
        assert all(sum(map(size, question.messages)) <= 1_440 for question in questions)
        assert section(f"Summary {len(questions)}.") in head(bench.one.turns[-1].messages)
        assert [] == await bench.store.summaries.read(KEY)

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_history_that_comes_to_a_session(tmp_path: Path) -> None:
    """Its messages have their ids before they are stored, so that the summary serves for the turns to come."""
    long = [said for turn in range(LONG) for said in (user(f"{turn} {WORDS}"), assistant(f"re: {turn} {WORDS}"))]

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await bench.say("hi", by=NARROW)
        await bench.say(*long, user("b"), by=NARROW)
        (summary,) = await bench.store.summaries.read(KEY)
        assert summary.upto in [stored.id for stored in await bench.store.history(KEY)]
        await bench.say("c", by=NARROW)
        assert 1 == len(bench.engines["two"].turns)
        assert section("Summary 1.") in head(bench.one.turns[-1].messages)

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_calls_and_results(tmp_path: Path) -> None:
    """What is left out of a turn of many steps is told as text; no call is left without its results."""
    sent: list[Message] = [user("do it all")]
    for number in range(40):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "step", "arguments": f'{{"a": {number}}}'}}
        sent.append(said("assistant", None, tool_calls=[call]))
        sent.append(said("tool", f"result {number} {WORDS}", tool_call_id=f"c{number}"))

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        for steps in range(3, len(sent) + 1, 2):
            await bench.runs.execute(job(*sent[:steps], by=NARROW))
            told = bench.one.turns[-1].messages
            fields = [msgspec.json.decode(message.raw) for message in told]
            calls = [call["id"] for message in fields for call in message.get("tool_calls") or ()]
            assert calls == [message["tool_call_id"] for message in fields if message["role"] == "tool"]
            assert "user: do it all" == script(told)[1]
            assert sum(map(size, told)) <= ROOM
        first = asked(bench.engines["two"].turns[0])
        assert 'Assistant:\n> [calls the tool step] {"a": 0}\n\nResult of a tool:\n> result 0 word' in first
        assert len(bench.engines["two"].turns) < 20

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


REFUSED = InvalidRequest("no", code="content_policy_violation")


@pytest.mark.parametrize(
    "answer",
    [
        failing(EngineFailed("down")),
        failing(REFUSED),
        failing(ZeroDivisionError()),
        failing(EngineFailed("broke off"), text_event("The user")),
        saying(finish_event("stop")),
        saying(text_event(" \n"), finish_event("stop")),
        saying(text_event("I can't"), finish_event("content_filter")),
    ],
    ids=["down", "refused", "defect", "broke off", "empty", "blank", "filtered"],
)
def test_a_summary_that_fails(
    tmp_path: Path, answer: Callable[[Turn], AsyncIterator[Event]], caplog: pytest.LogCaptureFixture
) -> None:
    """Never fails the run: the session is cut as if there were no compaction, and for a while nobody is asked again."""
    caplog.set_level(logging.WARNING, "zero.runs")

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        plain = bench.one.seen[-1]
        compacting(bench)
        await bench.say(*(stored.message for stored in (await bench.store.history(KEY))[:-1]), by=NARROW)
        assert plain == bench.one.seen[-1]
        await talk(bench, range(LONG, LONG + 4))
        assert 1 == len(bench.engines["two"].turns)
        assert [] == await bench.store.summaries.read(KEY)

    play(tmp_path, scenario, two=TinyEngine(answer))
    assert "no summary by two/m: " in caplog.text


def test_after_a_while_it_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that was out of order for a while sums up once it is back."""
    monkeypatch.setattr(compaction, "REST_SECONDS", 0.0)

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        compacting(bench)
        await bench.say("b", by=NARROW)
        bench.engines["two"] = TinyEngine(summing_up())
        await bench.say("c", by=NARROW)
        assert section("Summary 1.") in head(bench.one.turns[-1].messages)

    play(tmp_path, scenario, two=TinyEngine(failing(EngineFailed("down"))))


def test_an_older_summary_is_better_than_none(tmp_path: Path) -> None:
    """Where it can't be carried on, it stays what the model is told."""

    async def scenario(bench: Bench) -> None:
        compacting(bench)
        await talk(bench, range(30))
        newest = (await bench.store.summaries.read(KEY))[0]
        bench.engines["two"] = TinyEngine(failing(EngineFailed("down")))
        compacting(bench)
        await talk(bench, range(30, 50))
        assert section(newest.text) in head(bench.one.turns[-1].messages)
        assert sum(map(size, bench.one.turns[-1].messages)) <= ROOM
        assert 1 == len(bench.engines["two"].turns)

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    """Is given up after its own time, or after half of the run's if that is less; the run has an answer."""

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        for number, (own, run) in enumerate([(0.05, 600.0), (60.0, 0.1)]):
            compacting(bench, SessionCompaction(mode="model", model="two/m", timeout_seconds=own))
            by = msgspec.structs.replace(NARROW, timeout_seconds=run if number == 0 else 5.0)
            limit = {} if number == 0 else {"time_limit": run * 20}
            assert f"re: {number}" == await bench.say(str(number), by=by, **limit)
        assert ["cancelled", "cancelled"] == bench.engines["two"].ended

    play(tmp_path, scenario, two=TinyEngine(waiting(asyncio.Event())))


def test_it_is_cancelled_with_the_run(tmp_path: Path) -> None:
    """Nobody writes summaries for a client that has gone."""

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        compacting(bench)
        run = asyncio.create_task(bench.say("b", by=NARROW))
        await settle(lambda: bench.engines["two"].turns)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert ["cancelled"] == bench.engines["two"].ended
        assert 2 * LONG == len(await bench.written())

    play(tmp_path, scenario, two=TinyEngine(waiting(asyncio.Event())))


def test_the_run_s_time_is_the_run_s(tmp_path: Path) -> None:
    """A run whose time is up while its model answers fails as ever, summary or not."""

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        compacting(bench)
        bench.engines["one"] = TinyEngine(waiting(asyncio.Event()))
        with pytest.raises(RunTimedOut):
            await bench.say("b", by=msgspec.structs.replace(NARROW, timeout_seconds=0.3))
        assert ["done"] == bench.engines["two"].ended

    play(tmp_path, scenario, two=TinyEngine(summing_up()))


def test_one_that_is_too_long(tmp_path: Path) -> None:
    """A model that doesn't stop is stopped; the sentences that fit into a quarter of the room are the summary."""

    async def endless(_turn: Turn) -> AsyncIterator[Event]:
        for number in range(100_000):
            yield text_event(f"Sentence {number}.\n")

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        compacting(bench)
        await bench.say("b", by=NARROW)
        assert ["closed"] == bench.engines["two"].ended
        (summary,) = await bench.store.summaries.read(KEY)
        assert ROOM / 8 < count(section(summary.text)) <= ROOM / 4
        assert summary.text.startswith("Sentence 0.\nSentence 1.\n")
        assert summary.text.endswith(".")
        assert section(summary.text) in head(bench.one.turns[-1].messages)
        assert sum(map(size, bench.one.turns[-1].messages)) <= ROOM

    play(tmp_path, scenario, two=TinyEngine(endless))


def test_what_it_costs(tmp_path: Path) -> None:
    """The tokens that a summary's engine counts are part of the run's usage, whoever answers in the end."""
    counted = saying(text_event("Summary."), event(chunk(finish="stop"), usage=usage(100, 10)))
    by = agent("one", "three", windows={ONE: Window(2_000), ModelRef("three", "m"): Window(100_000)})

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        compacting(bench)
        bench.engines["one"] = TinyEngine(failing(EngineFailed("down")))
        bench.engines["three"] = TinyEngine(saying(text_event("b"), event(chunk(finish="stop"), usage=usage(7, 5))))
        answer = await bench.runs.execute(job("b", by=by))
        assert answer.usage is not None
        assert (107, 15, 122) == (
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
            answer.usage.total_tokens,
        )

    play(tmp_path, scenario, two=TinyEngine(counted))


def test_without_a_model_of_its_own(tmp_path: Path) -> None:
    """The model that is to answer is asked, with the configuration's instructions and without the agent's prompt."""

    async def scenario(bench: Bench) -> None:
        compacting(bench, SessionCompaction(mode="model", instructions="Mention the weather."))
        by = msgspec.structs.replace(NARROW, params={"temperature": 0.1, "tools": []})
        await talk(bench, range(30), by)
        questions = [turn for turn in bench.one.turns if "Mention the weather." in head(turn.messages)]
        assert questions
        assert all("Be kind." not in head(turn.messages) and not turn.parameters for turn in questions)
        assert all(sum(map(size, turn.messages)) <= ROOM + 200 for turn in questions)
        assert {"one/m"} == {summary.model for summary in await bench.store.summaries.read(KEY)}

    play(tmp_path, scenario)


def test_a_store_that_keeps_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Summaries that can be neither read nor written are made all the same, and the log says so."""

    class Broken:
        async def read(self, _session_key: str) -> list[Summary]:
            raise StoreError("no table")

        async def keep(self, _session_key: str, _summary: Summary) -> bool:
            raise StoreError("disk full")

    async def scenario(bench: Bench) -> None:
        await talk(bench, range(LONG))
        bench.store.summaries = Broken()  # type: ignore[misc]  # the protocol has it read-only, the store hasn't
        compacting(bench)
        await bench.say("b", by=NARROW)
        assert section("Summary 1.") in head(bench.one.turns[-1].messages)

    play(tmp_path, scenario, two=TinyEngine(summing_up()))
    assert "no table" in caplog.text
    assert "disk full" in caplog.text
