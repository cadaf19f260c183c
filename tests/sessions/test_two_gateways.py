"""Two gateways over one PostgreSQL: a request that is sent again to the other one, and guesses at both."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.doors.client import CHAT, SECONDS, ask, chat, user
from tests.doors.sessions import KEY, agents
from tests.doors.upstream import Upstream
from tests.live_gateway import TOKEN, LiveGateway, merged
from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PostgresqlServer

REPLAYED = "idempotent-replayed"
SESSION = {KEY: "k"}
HEADERS = {"Idempotency-Key": "a key", **SESSION}
KEEPALIVE = b": keepalive\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A service that shows what agents ask it."""
    service = Upstream()
    yield service
    service.close()


@pytest.fixture
def pair(tmp_path: Path, database: PostgresqlPlace, upstream: Upstream) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    """Two gateways of the test's own, which it may kill; they lock addresses out after three failures."""
    with started(tmp_path, database, upstream) as gateways:
        yield gateways


@pytest.fixture(scope="module")
def lasting_database(postgresql_server: PostgresqlServer) -> PostgresqlPlace:
    """The database of the gateways that nobody kills."""
    return PostgresqlPlace(postgresql_server)


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, lasting_database: PostgresqlPlace, upstream: Upstream
) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    """Two gateways that nobody kills, for all tests that use keys and sessions of their own."""
    with started(tmp_path_factory.mktemp("lasting"), lasting_database, upstream) as gateways:
        yield gateways


@pytest.fixture
def own(request: pytest.FixtureRequest) -> dict[str, str]:
    """The headers of a key and a session that no other test has."""
    return {"Idempotency-Key": request.node.name, KEY: request.node.name}


@contextmanager
def started(folder: Path, database: PostgresqlPlace, upstream: Upstream) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    """Start two gateways on a database."""
    config = agents(upstream, session={"store": database.setting})
    limit = {"enabled": True, "maxFailures": 3, "windowSeconds": 60, "lockoutSeconds": 60}
    more = {"auth": {"rateLimit": limit}, "http": {"endpoints": {"chatCompletions": {"keepaliveSeconds": 0.05}}}}
    config["gateway"] = merged(config["gateway"], more)
    with ExitStack() as stack:

        def start(name: str) -> LiveGateway:
            (folder / name).mkdir()
            live = stack.enter_context(LiveGateway(folder / name, config))
            began = time.monotonic()
            while 200 != ask(live, "GET", "/readyz").status:  # the first of them makes the tables
                assert time.monotonic() - began < SECONDS
            return live

        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(start, ("one", "other"))
        yield one, other
        assert "Traceback" not in one.log + other.log


@contextmanager
def opened(
    live: LiveGateway, text: str, headers: Mapping[str, str] = HEADERS, **fields: Any
) -> Iterator[http.client.HTTPConnection]:
    """Ask under the key and don't read; leaving closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=SECONDS)
    body = {"model": "zero", "messages": [user(text)], **fields}
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    try:
        connection.request("POST", CHAT, json.dumps(body), {**given, **headers})
        yield connection
    finally:
        connection.close()


def words(body: bytes) -> str:
    """What a stream says; it must end as streams end."""
    frames = [frame for frame in body.decode().split("\n\n") if frame and frame != KEEPALIVE.decode().strip()]
    assert "data: [DONE]" == frames[-1]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def without_keepalives(body: bytes) -> bytes:
    """Return a stream's events."""
    return body.replace(KEEPALIVE + b"\n", b"")


def turns(database: PostgresqlPlace, headers: Mapping[str, str] = HEADERS) -> int:
    """Count the messages stored in a request's session; a turn is two of them."""
    key = f"agent:main:{headers[KEY]}"
    return int(database.execute(f"SELECT count(*) FROM messages WHERE session_key = '{key}'")[0][0])


def everybody_died(database: PostgresqlPlace) -> None:
    """Have every lease be over."""
    database.execute("UPDATE idempotency SET leased_until = 1 WHERE leased_until IS NOT NULL")
    database.execute("UPDATE turns SET expires_at = clock_timestamp() - interval '1 second'")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_at_both_at_once(
    lasting: tuple[LiveGateway, LiveGateway],
    lasting_database: PostgresqlPlace,
    upstream: Upstream,
    own: dict[str, str],
    streamed: bool,
) -> None:
    """One run, one turn, and the same bytes for everybody; all but one are said to be repeats."""
    before = len(upstream.calls)
    with ThreadPoolExecutor(12) as pool, upstream.held() as calls:
        asked = [pool.submit(chat, lasting[n % 2], "x", headers=own, stream=streamed) for n in range(12)]
        call = calls.get(timeout=SECONDS)
        time.sleep(0.3)  # for the others to come; whenever they do, the outcome is the same
        call.answer("done")
        replies = [each.result() for each in asked]

    assert {200} == {reply.status for reply in replies}
    assert 1 == len({without_keepalives(reply.body) for reply in replies})
    assert 1 == len({reply.header("x-zero-run-id") for reply in replies})
    assert 11 == [reply.header(REPLAYED) for reply in replies].count("true")
    assert (1, 2) == (len(upstream.calls) - before, turns(lasting_database, own))


def test_a_stream_at_the_other_one(
    lasting: tuple[LiveGateway, LiveGateway],
    lasting_database: PostgresqlPlace,
    upstream: Upstream,
    own: dict[str, str],
) -> None:
    """It says keepalives while it waits, and then what was said there from its beginning."""
    one, other = lasting
    with upstream.held() as calls, opened(one, "x", own, stream=True) as first:
        call = calls.get(timeout=SECONDS)
        call.say("one ")
        assert (400, "idempotency_key_reused", "Idempotency-Key") == chat(other, "y", headers=own).summary
        with opened(other, "x", own, stream=True) as second:
            repeat = second.getresponse()
            assert KEEPALIVE == repeat.readline()
            assert (400, "idempotency_key_reused", "Idempotency-Key") == chat(other, "y", headers=own).summary
            call.answer("two")
            response = first.getresponse()
            said, again = response.read(), KEEPALIVE + repeat.read()

    assert "one two" == words(said)
    assert without_keepalives(said) == without_keepalives(again)
    assert (None, "true") == (response.getheader(REPLAYED), repeat.getheader(REPLAYED))
    assert response.getheader("x-zero-run-id") == repeat.getheader("x-zero-run-id")
    assert 2 == turns(lasting_database, own)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_failure_is_everybodys(
    lasting: tuple[LiveGateway, LiveGateway], upstream: Upstream, own: dict[str, str], streamed: bool
) -> None:
    """Who waits at the other gateway gets it, too; it is not run again there by itself. Then the key is free."""
    one, other = lasting
    with upstream.held() as calls, ThreadPoolExecutor(2) as pool, opened(other, "x", own, stream=True) as second:
        call = calls.get(timeout=SECONDS)
        repeat = second.getresponse()
        assert KEEPALIVE == repeat.readline()
        waiting = pool.submit(chat, one, "x", headers=own, stream=True)
        time.sleep(0.2)
        call.fail(500)
        ends = [without_keepalives(KEEPALIVE + repeat.read()), without_keepalives(waiting.result().body)]
        assert calls.empty()
        assert ends[0] == ends[1]
        assert b'"upstream_error"' in ends[0]
        third = pool.submit(chat, one, "y", headers=own, stream=streamed)
        calls.get(timeout=SECONDS).answer("done")
        assert (200, None) == (third.result().status, third.result().header(REPLAYED))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_killed_amid_the_run(
    pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace, upstream: Upstream, streamed: bool
) -> None:
    """The other one, which waits already, runs it once the dead one's lease is over; there is one turn."""
    one, other = pair
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool, opened(one, "x", stream=streamed):
        calls.get(timeout=SECONDS).say("lost")
        repeat = pool.submit(chat, other, "x", headers=HEADERS, stream=streamed)
        one.kill()
        time.sleep(0.2)
        assert not repeat.done()
        everybody_died(database)
        calls.get(timeout=SECONDS).answer("done")
        reply = repeat.result()
    assert 200 == reply.status
    assert "done" == (words(reply.body) if streamed else reply.text)
    assert 2 == turns(database)
    again = chat(other, "x", headers=HEADERS, stream=streamed)
    assert (without_keepalives(reply.body), "true") == (again.body, again.header(REPLAYED))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_killed_between_the_turn_and_its_answer(
    pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace, upstream: Upstream, streamed: bool
) -> None:
    """The stored turn is the answer: nothing is run, and nothing stored; so it is when the other one dies, too."""
    one, other = pair
    fields: dict[str, Any] = {"stream": streamed, **({"stream_options": {"include_usage": True}} if streamed else {})}
    assert 200 == chat(one, "x", headers=HEADERS, **fields).status
    one.kill()
    before = len(upstream.calls)
    for _ in range(2):
        # What the record is like at that moment, which no test can hit: claimed, the turn noted, no answer kept.
        noted = "UPDATE idempotency SET leased_until = 1, body = NULL, size = 0"
        database.execute(noted)
        replies = [chat(other, "x", headers=HEADERS, **fields) for _ in range(2)]
        assert [200, 200] == [reply.status for reply in replies]
        assert 1 == len({without_keepalives(reply.body) for reply in replies})
        assert ["true", "true"] == [reply.header(REPLAYED) for reply in replies]
        assert "re: x" == (words(replies[0].body) if streamed else replies[0].text)
        assert b'"prompt_tokens":0' not in replies[0].body
    assert (0, 2) == (len(upstream.calls) - before, turns(database))


def test_an_answer_that_a_session_does_not_have(
    pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace, upstream: Upstream
) -> None:
    """Of several choices only one is stored: the request isn't run again, and says why."""
    one, other = pair
    assert 200 == chat(one, "x", headers=HEADERS, n=2).status
    one.kill()
    before = len(upstream.calls)
    database.execute("UPDATE idempotency SET leased_until = 1, body = NULL, size = 0")
    for _ in range(2):
        reply = chat(other, "x", headers=HEADERS, n=2)
        assert (503, "idempotent_answer_not_kept", None) == reply.summary
        assert "false" == reply.header("x-should-retry")
    assert (0, 2) == (len(upstream.calls) - before, turns(database))


def test_stopped_amid_the_run(
    pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace, upstream: Upstream
) -> None:
    """A gateway that ends in good order gives the key back, and the other one runs the request at once."""
    one, other = pair
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        with opened(one, "x"):
            calls.get(timeout=SECONDS)
        repeat = pool.submit(chat, other, "x", headers=HEADERS)
        time.sleep(0.2)
        one.stop_process()
        calls.get(timeout=SECONDS).answer("done")
        assert "done" == repeat.result().text
    assert 2 == turns(database)


def test_afterwards_at_the_other_one(
    pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace, upstream: Upstream
) -> None:
    """The answer is kept for all, and outlives both."""
    before = len(upstream.calls)
    first = chat(pair[0], "x", headers=HEADERS)
    replies = [chat(pair[1], "x", headers=HEADERS)]
    for live in pair:
        live.kill()
        live.restart()
        replies.append(chat(live, "x", headers=HEADERS))
    assert [first.body] * 3 == [reply.body for reply in replies]
    assert ["true"] * 3 == [reply.header(REPLAYED) for reply in replies]
    assert (1, 2) == (len(upstream.calls) - before, turns(database))


class TestLockOut:
    """Guesses at one gateway, and what the other one makes of them."""

    def guess(self, live: LiveGateway) -> int:
        """Send a wrong secret."""
        return ask(live, "GET", "/v1/models", token="wrong").status

    def locked_out(self, database: PostgresqlPlace) -> None:
        """Wait until the database says so."""
        began = time.monotonic()
        there = "SELECT 1 FROM pg_tables WHERE tablename = 'auth_failures'"  # gateways answer before they have made it
        while not (database.execute(there) and database.execute("SELECT 1 FROM auth_failures WHERE locked_until > 0")):
            assert time.monotonic() - began < 10
            time.sleep(0.02)

    def becomes(self, live: LiveGateway, status: int) -> float:
        """Ask with the right secret until it is so; return how long that took."""
        began = time.monotonic()
        while status != ask(live, "GET", "/v1/models").status:
            assert time.monotonic() - began < 10
            time.sleep(0.05)
        return time.monotonic() - began

    def test_holds_at_the_other_one(self, pair: tuple[LiveGateway, LiveGateway]) -> None:
        """Within two seconds or so."""
        one, other = pair
        assert 200 == ask(other, "GET", "/v1/models").status
        assert [401] * 3 == [self.guess(one) for _ in range(3)]
        assert 429 == ask(one, "GET", "/v1/models").status
        assert self.becomes(other, 429) < 3

    def test_guesses_at_both_add_up(self, pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace) -> None:
        """Neither has seen enough of them by itself."""
        one, other = pair
        assert [401] * 3 == [self.guess(one), self.guess(other), self.guess(one)]
        self.locked_out(database)
        for live in pair:
            self.becomes(live, 429)

    def test_outlives_a_restart(self, pair: tuple[LiveGateway, LiveGateway], database: PostgresqlPlace) -> None:
        """A gateway that comes back knows it."""
        one, _ = pair
        assert [401] * 3 == [self.guess(one) for _ in range(3)]
        self.locked_out(database)
        one.kill()
        one.restart()
        assert self.becomes(one, 429) < 3
