"""Long sessions summed up, over HTTP: what the upstream receives, how often, and what a client sees of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from app.runs.token_count import size
from app.sessions.message import Message
from tests.doors.test_reload import edit, until
from tests.engines.caller import KEEPALIVE, Caller
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Pause, Script, error, stream, words
from tests.fakes.upstream import Exchange, FakeUpstream
from tests.live_gateway import LiveGateway

WINDOW = 2_000
ROOM = WINDOW - WINDOW // 10 - WINDOW // 4
PROMPT = "You are terse."
SUMMARY = "The user counts. Nothing is open."
WORDS = "word " * 40
Start = Callable[..., LiveGateway]


def gateway(start: Start, upstream: FakeUpstream, **compaction: Any) -> LiveGateway:
    """Start a gateway whose agent has room for little, and has the model ``summary`` sum up."""
    config = upstream_configuration(upstream)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["keepaliveSeconds"] = 0.1
    config["models"]["providers"]["fake"]["models"] = [
        {"id": "terse", "contextWindow": WINDOW},
        {"id": "summary", "contextWindow": WINDOW},
    ]
    config["agents"] = {"list": [{"id": "main", "model": "fake/terse", "systemPrompt": PROMPT}]}
    settings = {"mode": "model", "model": "fake/summary", **compaction}
    return start({**config, "session": {"compaction": settings}})


def play(upstream: FakeUpstream, summary: Script) -> None:
    """Have the upstream answer "so", and sum up as the script says."""
    upstream.play(stream(*words("so")), model="terse")
    upstream.play(summary, model="summary")


def of(upstream: FakeUpstream, model: str) -> list[Exchange]:
    """Return what one model was asked."""
    return [exchange for exchange in upstream.exchanges if exchange.json["model"] == model]


def tokens(exchange: Exchange) -> int:
    """Return how much a model was sent."""
    sent = exchange.json["messages"]
    return sum(size(Message(message["role"], msgspec.Raw(msgspec.json.encode(message)))) for message in sent)


def say(caller: Caller, number: int, **fields: Any) -> None:
    """Say a number, and some words."""
    message = {"role": "user", "content": f"{number} {WORDS}"}
    assert "so" == caller.stream(user="u", messages=[message], **fields).text()


def test_sixty_turns(start_gateway: Start, upstream: FakeUpstream) -> None:
    """The last request holds prompt, summary, first turn and newest turns, within the window; few asked for one."""
    play(upstream, stream(*words(SUMMARY)))
    caller = Caller(gateway(start_gateway, upstream))
    for number in range(60):
        say(caller, number)

    answered, summed_up = of(upstream, "terse"), of(upstream, "summary")
    assert 60 == len(answered)
    assert 1 <= len(summed_up) <= 6
    assert all(tokens(exchange) <= ROOM for exchange in answered)
    assert all(tokens(exchange) <= WINDOW - WINDOW // 10 for exchange in summed_up)
    system, *told = answered[-1].json["messages"]
    assert "system" == system["role"]
    assert system["content"].startswith(f"{PROMPT}\n\n# Earlier in this conversation\n")
    assert system["content"].endswith(f"\n\n> {SUMMARY}")
    said = [int(message["content"].split()[0]) for message in told if message["role"] == "user"]
    assert [0, *range(61 - len(said), 60)] == said
    assert len(said) > 3
    assert ["system", "user"] == [message["role"] for message in summed_up[0].json["messages"]]
    assert f"User:\n> 1 {WORDS.strip()}\n\nAssistant:\n> so" in summed_up[0].json["messages"][1]["content"]
    assert f"Summary so far:\n\n> {SUMMARY}" in summed_up[-1].json["messages"][1]["content"]


def test_keepalives_meanwhile(start_gateway: Start, upstream: FakeUpstream) -> None:
    """A stream doesn't fall silent while a summary is written; a client that leaves ends the writing."""
    play(upstream, stream(*words(SUMMARY)))
    caller = Caller(gateway(start_gateway, upstream))
    upstream.play([Pause(), *stream(*words(SUMMARY))], model="summary")
    messages = [
        message
        for number in range(27)
        for message in ({"role": "user", "content": f"{number} {WORDS}"}, {"role": "assistant", "content": "so"})
    ]
    sent = [*messages, {"role": "user", "content": "x"}]
    with caller.open(user="u", messages=sent) as answer:
        left, asked_at = upstream.wait(), time.monotonic()
        while time.monotonic() < asked_at + 0.3:
            assert KEEPALIVE == answer.frame()
    left.wait_closed()
    assert [] == of(upstream, "terse")
    with caller.open(user="u", messages=sent) as answer:
        writing = upstream.wait(2)
        assert KEEPALIVE == answer.frame()
        writing.release()
        assert "so" == answer.rest(KEEPALIVE).text()
    assert f"\n\n> {SUMMARY}" in upstream.last.json["messages"][0]["content"]


def test_an_upstream_that_sums_nothing_up(start_gateway: Start, upstream: FakeUpstream) -> None:
    """The conversation goes on as without it, and the log says why there is no summary."""
    play(upstream, error(500, {"message": "out of order", "type": "server_error"}))
    live = gateway(start_gateway, upstream)
    caller = Caller(live)
    for number in range(30):
        say(caller, number)
    assert 1 == len(of(upstream, "summary"))
    assert PROMPT == of(upstream, "terse")[-1].json["messages"][0]["content"]
    assert "no summary by fake/summary: " in live.log


def test_switched_on_while_it_runs(start_gateway: Start, upstream: FakeUpstream) -> None:
    """Like other settings of sessions it applies to the requests that come after the edit."""
    play(upstream, stream(*words(SUMMARY)))
    live = gateway(start_gateway, upstream, mode="off")
    caller = Caller(live)
    for number in range(28):
        say(caller, number)
    assert [] == of(upstream, "summary")
    edit(live, live.config_file.read_text().replace('"mode": "off"', '"mode": "model"'))
    more = count(28)

    def another() -> bool:
        say(caller, next(more))
        return bool(of(upstream, "summary"))

    until(another)
