"""``Idempotency-Key``: sending a request again doesn't run it again (docs/idempotency.md)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from app.sessions.leases import LEASE_SECONDS
from tests.doors.client import CHAT, SECONDS, Reply, chat, post, user
from tests.doors.sessions import KEY, agents
from tests.doors.upstream import Upstream
from tests.live_gateway import TOKEN, LiveGateway, merged

REPEATS = 20
REPLAYED = "idempotent-replayed"
HEADERS_OF_A_RUN = ("x-zero-run-id", "x-zero-session-key", "x-zero-agent-id", "content-type")

Name = Callable[[str], dict[str, str]]


@pytest.fixture
def named(request: pytest.FixtureRequest) -> Name:
    """Headers with a key that no other test uses."""
    return lambda key: {"Idempotency-Key": f"{request.node.name}/{key}"}


def run_of(reply: Reply) -> list[str | None]:
    """What an answer says about the run that it is of."""
    return [reply.header(name) for name in HEADERS_OF_A_RUN]


def words(body: bytes) -> str:
    """What a whole stream says; it must end as streams end."""
    frames = [frame for frame in body.decode().split("\n\n") if frame and frame != ": keepalive"]
    assert frames[-1] == "data: [DONE]", body
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


@contextmanager
def opened(
    live: LiveGateway, text: str, headers: Mapping[str, str], **fields: Any
) -> Iterator[http.client.HTTPConnection]:
    """Ask and don't read; leaving closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=SECONDS)
    body = {"model": "zero", "messages": [user(text)], **fields}
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    try:
        connection.request("POST", CHAT, json.dumps(body), {**given, **headers})
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
class TestAfterwards:
    """A repeat of a request that was answered."""

    def test_gets_the_same_bytes(self, live: LiveGateway, upstream: Upstream, named: Name, streamed: bool) -> None:
        """Same answer, same identity, one run; and it says that it is a repeat."""
        calls = len(upstream.calls)
        first, second = (chat(live, "one two", headers=named("k"), stream=streamed) for _ in range(2))

        assert (200, first.body, run_of(first)) == (second.status, second.body, run_of(second))
        assert (None, "true") == (first.header(REPLAYED), second.header(REPLAYED))
        assert 1 == len(upstream.calls) - calls

    def test_in_a_session_is_no_second_turn(
        self, live: LiveGateway, upstream: Upstream, named: Name, key: dict[str, str], streamed: bool
    ) -> None:
        """The agent sees the turn once."""
        for _ in range(3):
            chat(live, "one", headers={**named("a"), **key}, stream=streamed)
        chat(live, "two", headers={**named("b"), **key}, stream=streamed)

        assert [("user", "one"), ("assistant", "re: one"), ("user", "two")] == upstream.last.conversation


class TestTheSame:
    """What counts as the same request."""

    def test_another_spelling(self, live: LiveGateway, named: Name) -> None:
        """Order, blanks and escapes of the JSON don't matter."""
        spellings = (
            b'{"model": "zero", "messages": [{"role": "user", "content": "\xc3\xa1"}], "x": 1e400}',
            b'{"x":1e400,"messages":[{"content":"\\u00e1","role":"user"}],"model":"zero"}',
        )
        plain = [text.replace(b', "x": 1e400', b"").replace(b'"x":1e400,', b"") for text in spellings]

        assert 1 == len({post(live, body, headers=named("plain")).body for body in plain})
        assert 1 == len({post(live, spellings[0], headers=named("strange")).body for _ in range(2)})

    @pytest.mark.parametrize(
        ("headers", "fields"),
        [
            ({}, {"messages": [user("other")]}),
            ({}, {"stream": True}),
            ({}, {"temperature": 0.5}),
            ({"x-zero-agent-id": "beta"}, {}),
            ({KEY: "another"}, {}),
            ({"x-zero-history": "full"}, {}),
        ],
        ids=["messages", "stream", "parameter", "agent", "session", "history"],
    )
    def test_another_request(
        self, live: LiveGateway, named: Name, headers: dict[str, str], fields: dict[str, Any]
    ) -> None:
        """A key that was used for something else is refused, and keeps its answer."""
        first = chat(live, headers=named("k"))
        refused = chat(live, **{"messages": "hello", "headers": {**named("k"), **headers}, **fields})
        again = chat(live, headers=named("k"))

        assert (400, "idempotency_key_reused", "Idempotency-Key") == refused.summary
        assert first.body == again.body

    def test_another_request_while_the_first_runs(self, live: LiveGateway, upstream: Upstream, named: Name) -> None:
        """It is refused at once."""
        with upstream.held() as calls, opened(live, "first", named("k")) as first:
            call = calls.get(timeout=SECONDS)
            assert (400, "idempotency_key_reused", "Idempotency-Key") == chat(
                live, "second", headers=named("k")
            ).summary
            call.answer("done")
            assert 200 == first.getresponse().status

    def test_without_a_key(self, live: LiveGateway, upstream: Upstream) -> None:
        """The same request twice is two runs."""
        calls = len(upstream.calls)
        replies = [chat(live, "again") for _ in range(2)]

        assert (2, [None, None]) == (len(upstream.calls) - calls, [reply.header(REPLAYED) for reply in replies])


@pytest.mark.parametrize("key", ["", " ", "é", "x" * 256, "tab\there"], ids=["empty", "blank", "umlaut", "long", "tab"])
def test_what_is_no_key(live: LiveGateway, key: str) -> None:
    """Refused by name: whoever sends it believes to be protected."""
    reply = chat(live, headers=[("Idempotency-Key", key.encode())])
    assert (400, "invalid_value", "Idempotency-Key") == reply.summary


def test_two_keys(live: LiveGateway) -> None:
    """A request has one."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (400, "invalid_value", "idempotency-key") == chat(live, headers=headers).summary


class TestMeanwhile:
    """A repeat of a request that is being answered."""

    def test_of_a_stream_begins_at_its_beginning(self, live: LiveGateway, upstream: Upstream, named: Name) -> None:
        """It reads what was said before it came, and what is said then."""
        calls_before = len(upstream.calls)
        with upstream.held() as calls, opened(live, "x", named("k"), stream=True) as first:
            call = calls.get(timeout=SECONDS)
            call.say("one ")
            with first.getresponse() as response:
                begun = response.readline()
                with opened(live, "x", named("k"), stream=True) as second, second.getresponse() as repeat:
                    assert begun == repeat.readline()
                    call.answer("two")
                    rest, other = response.read(), repeat.read()
                assert rest == other
                assert "one two" == words(begun + rest)
                assert (None, "true") == (response.getheader(REPLAYED), repeat.getheader(REPLAYED))
                assert response.getheader("x-zero-run-id") == repeat.getheader("x-zero-run-id")
        assert 1 == len(upstream.calls) - calls_before

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_twenty_at_once(self, live: LiveGateway, upstream: Upstream, named: Name, streamed: bool) -> None:
        """One run, twenty equal answers, of which one is no repeat."""
        before = len(upstream.calls)
        with ThreadPoolExecutor(REPEATS) as pool, upstream.held() as calls:
            asked = [
                pool.submit(chat, live, "x", headers=named("k"), stream=streamed, stream_options=None)
                for _ in range(REPEATS)
            ]
            calls.get(timeout=SECONDS).answer("done")
            replies = [each.result() for each in asked]

        assert (1, {200}) == (len({reply.body for reply in replies}), {reply.status for reply in replies})
        assert 1 == len({reply.header("x-zero-run-id") for reply in replies})
        assert REPEATS - 1 == [reply.header(REPLAYED) for reply in replies].count("true")
        assert 1 == len(upstream.calls) - before

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_after_the_first_client_has_gone(
        self, live: LiveGateway, upstream: Upstream, named: Name, streamed: bool
    ) -> None:
        """The run goes on without a client, and the repeat gets all of it."""
        with upstream.held() as calls:
            with opened(live, "x", named("k"), stream=streamed):
                call = calls.get(timeout=SECONDS)
                call.say("one ")
            with opened(live, "x", named("k"), stream=streamed) as second:
                call.answer("two")
                body = second.getresponse().read()
            assert calls.empty()

        said = words(body) if streamed else json.loads(body)["choices"][0]["message"]["content"]
        assert "one two" == said

    def test_nobody_waits_for_it(self, live: LiveGateway, upstream: Upstream, named: Name) -> None:
        """A run whose only client has gone is answered all the same, for whoever asks later."""
        with upstream.held() as calls:
            with opened(live, "x", named("k")):
                call = calls.get(timeout=SECONDS)
            call.answer("done")
            reply = chat(live, "x", headers=named("k"))

        assert ("done", "true") == (reply.text, reply.header(REPLAYED))

    def test_a_client_without_a_key_takes_its_run_along(self, live: LiveGateway, upstream: Upstream) -> None:
        """As ever."""
        with upstream.held() as calls:
            with opened(live, "x", {}):
                call = calls.get(timeout=SECONDS)
            call.wait_until_abandoned()

    def test_is_not_bounded_by_how_long_its_client_waits(
        self, live: LiveGateway, upstream: Upstream, named: Name
    ) -> None:
        """The next attempt waits on."""
        headers = {**named("k"), "x-stainless-read-timeout": "0.01"}
        with upstream.held() as calls, opened(live, "x", headers) as first:
            call = calls.get(timeout=SECONDS)
            with opened(live, "x", {**headers, "x-stainless-retry-count": "1"}) as second:
                call.answer("done")
                bodies = [connection.getresponse().read() for connection in (first, second)]

        assert bodies[0] == bodies[1]
        assert "done" == json.loads(bodies[0])["choices"][0]["message"]["content"]


class TestFailure:
    """A run that fails leaves nothing."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_can_be_tried_again(self, live: LiveGateway, upstream: Upstream, named: Name, streamed: bool) -> None:
        """All who wait get the error, and the key is free, even for another request."""
        with upstream.held() as calls, ThreadPoolExecutor(2) as pool:
            first = pool.submit(chat, live, "x", headers=named("k"), stream=streamed)
            call = calls.get(timeout=SECONDS)
            call.fail(500)
            assert (502, "upstream_error", None) == first.result().summary
            second = pool.submit(chat, live, "y", headers=named("k"), stream=streamed)
            calls.get(timeout=SECONDS).answer("done")
            assert (200, None) == (second.result().status, second.result().header(REPLAYED))

    def test_amid_a_stream(self, live: LiveGateway, upstream: Upstream, named: Name) -> None:
        """Both clients read the words and then the error."""
        with upstream.held() as calls, opened(live, "x", named("k"), stream=True) as first:
            call = calls.get(timeout=SECONDS)
            call.say("one ")
            response = first.getresponse()
            begun = response.readline()
            with opened(live, "x", named("k"), stream=True) as second:
                repeat = second.getresponse()
                assert begun == repeat.readline()
                call.fail(500)
                ends = [response.read().decode(), repeat.read().decode()]

        assert ends[0] == ends[1]
        assert '"code":' in ends[0]
        assert ends[0].endswith("}}\n\ndata: [DONE]\n\n")
        assert 'finish_reason":"stop' not in ends[0]

    def test_a_request_that_is_wrong_uses_no_key_up(self, live: LiveGateway, named: Name) -> None:
        """What was refused before it began can be corrected under the same key."""
        assert 400 == chat(live, "x", headers=named("k"), temperature=9).status
        assert 200 == chat(live, "x", headers=named("k")).status


def test_the_gateway_stops_amid_a_run(
    start_gateway: Callable[..., LiveGateway], upstream: Upstream, named: Name
) -> None:
    """The run ends, and its key is free at once."""
    live = start_gateway(agents(upstream))
    with upstream.held() as calls:
        with opened(live, "x", named("k")):
            call = calls.get(timeout=SECONDS)
        live.restart()
        call.wait_until_abandoned()
    assert None is chat(live, "y", headers=named("k")).header(REPLAYED)
    assert "Traceback" not in live.log


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_answers_outlive_the_process(
    start_gateway: Callable[..., LiveGateway], upstream: Upstream, named: Name, streamed: bool
) -> None:
    """However it ended."""
    live = start_gateway(agents(upstream))
    before = len(upstream.calls)
    replies = [chat(live, "x", headers=named("k"), stream=streamed)]
    live.kill()
    for _ in range(2):
        live.restart()
        replies.append(chat(live, "x", headers=named("k"), stream=streamed))

    assert [replies[0].body] * 2 == [reply.body for reply in replies[1:]]
    assert [None, "true", "true"] == [reply.header(REPLAYED) for reply in replies]
    assert 1 == len(upstream.calls) - before


def test_killed_amid_a_run(
    start_gateway: Callable[..., LiveGateway], upstream: Upstream, named: Name, key: dict[str, str]
) -> None:
    """The repeat after a restart is run at once, for the process that had the key is seen to be dead; one turn."""
    live = start_gateway(agents(upstream))
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        with opened(live, "x", {**named("k"), **key}):
            calls.get(timeout=SECONDS).say("lost")
            live.kill()
        live.restart()
        repeat = pool.submit(chat, live, "x", headers={**named("k"), **key})
        calls.get(timeout=LEASE_SECONDS / 2).answer("done")
        assert ("done", None) == (repeat.result().text, repeat.result().header(REPLAYED))
    chat(live, "y", headers=key)
    assert [("user", "x"), ("assistant", "done"), ("user", "y")] == upstream.last.conversation


def test_keepalives_while_it_waits(start_gateway: Callable[..., LiveGateway], upstream: Upstream, named: Name) -> None:
    """Each client of a stream gets its own."""
    settings = {"http": {"endpoints": {"chatCompletions": {"keepaliveSeconds": 0.05}}}}
    live = start_gateway({**(config := agents(upstream)), "gateway": merged(config["gateway"], settings)})
    with upstream.held() as calls, opened(live, "x", named("k"), stream=True) as first:
        call = calls.get(timeout=SECONDS)
        with opened(live, "x", named("k"), stream=True) as second:
            responses = [connection.getresponse() for connection in (first, second)]
            assert [b": keepalive\n"] * 2 == [response.readline() for response in responses]
            call.answer("done")
            assert ["done"] * 2 == [words(b": keepalive\n" + response.read()) for response in responses]


def test_a_failure_behind_a_keepalive(
    start_gateway: Callable[..., LiveGateway], upstream: Upstream, named: Name
) -> None:
    """Once the stream is open, the error is an event of it."""
    settings = {"http": {"endpoints": {"chatCompletions": {"keepaliveSeconds": 0.05}}}}
    live = start_gateway({**(config := agents(upstream)), "gateway": merged(config["gateway"], settings)})
    with upstream.held() as calls, opened(live, "x", named("k"), stream=True) as first:
        call = calls.get(timeout=SECONDS)
        response = first.getresponse()
        assert b": keepalive\n" == response.readline()
        call.fail(500)
        lines = response.read().decode().splitlines()
    frames = [line for line in lines if line.startswith("data")]
    assert ["upstream_error", "[DONE]"] == [
        json.loads(frames[0].removeprefix("data: "))["error"]["code"],
        frames[1].removeprefix("data: "),
    ]


def test_an_answer_that_is_too_large_to_keep(gateway: LiveGateway, named: Name) -> None:
    """It is given, and the repeat is told that it is gone, instead of being run again."""
    text = "x" * (8 * 1024 * 1024)
    first, second = (chat(gateway, text, headers=named("k")) for _ in range(2))
    assert (200, len(text)) == (first.status, len(first.text))
    assert (503, "idempotent_answer_not_kept", None) == second.summary
    assert "false" == second.header("x-should-retry")


def test_a_stream_that_is_too_large_to_keep(gateway: LiveGateway, named: Name) -> None:
    """The same for streams; the first client has read every word."""
    text = "x" * (8 * 1024 * 1024)
    first, second = (chat(gateway, text, headers=named("k"), stream=True) for _ in range(2))
    assert text == words(first.body)
    assert (503, "idempotent_answer_not_kept", None) == second.summary


def test_stateless_repeats_name_the_same_session(live: LiveGateway, named: Name) -> None:
    """A request without a session gets a new key each time, but a repeat is about the first one's."""
    assert run_of(chat(live, headers=named("k"))) == run_of(chat(live, headers=named("k")))
