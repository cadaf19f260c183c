"""The life of a run against an upstream: waiting, fallbacks, keepalives, limits, back-pressure, and its end.

Nothing here depends on how fast the machine is: a test waits until something has happened, and a limit is only ever
compared with what is far beyond it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Final

import pytest

from tests.engines.caller import KEEPALIVE, SECONDS, Caller, OpenStream, Whole
from tests.fakes.configuration import HASTY_SECONDS
from tests.fakes.script import Close, Json, Pause, Repeat, Reset, Script, chunk, error, event, stream, words
from tests.fakes.upstream import Exchange, FakeUpstream

CLOSED_WITHIN: Final = 1.0
"""Seconds in which an upstream must notice that its client's client has gone."""
HELD_BACK: Final = 24 * 1024 * 1024
"""Bytes that may be under way between an upstream and a client that doesn't read: mostly the kernel's, some of ours."""

HELLO: Final = event(chunk({"content": "Hello,"}))
REST: Final = words(" wörld")
SILENT: Final[Script] = [Pause(), *stream(*words("Hello,", " wörld"))]
HALTING: Final = stream(HELLO, Pause(), *REST)
PHASES: Final[dict[str, Script]] = {
    "before the head": SILENT,
    "before the first event": stream(Pause(), HELLO),
    "amid": HALTING,
    "flowing": stream(Repeat(HELLO)),
    "amid an event": stream(HELLO[:9], Pause()),
}


class TestDisconnect:
    """A client that leaves takes its run along: the upstream's connection is closed at once, in whatever phase."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("script", PHASES.values(), ids=PHASES)
    def test_closes_the_upstream(self, upstream: FakeUpstream, quiet: Caller, script: Script, streamed: bool) -> None:
        """The upstream sees it within a second."""
        upstream.play(script)
        with quiet.send(stream=streamed):
            exchange = upstream.wait()
            assert not exchange.closed.is_set()
            left = time.monotonic()
        assert exchange.wait_closed() - left < CLOSED_WITHIN

    def test_after_reading_some(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The same for a reader that has had enough."""
        upstream.play(HALTING)
        with quiet.open() as stream_:
            assert "Hello," == stream_.frame()["choices"][0]["delta"]["content"]
            left = time.monotonic()
        assert upstream.last.wait_closed() - left < CLOSED_WITHIN

    def test_while_keepalives_go_out(self, upstream: FakeUpstream, chatty: Caller) -> None:
        """The same while nothing but comments is sent."""
        upstream.play(SILENT)
        with chatty.open() as stream_:
            assert stream_.frame() == KEEPALIVE
            exchange = upstream.wait()
            left = time.monotonic()
        assert exchange.wait_closed() - left < CLOSED_WITHIN

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_in_the_queue(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """A run that waits behind another of its session never begins when its client leaves, and leaves no hole."""
        session = {"x-zero-session-key": f"queue-{streamed}"}
        upstream.play(HALTING, stream(*words("next")))
        with quiet.send(headers=session) as first:
            holding = upstream.wait()
            with quiet.send(headers=session, stream=streamed):
                pass
            holding.release()
            with first.getresponse() as response:
                assert 200 == response.status
        assert "next" == quiet.ask(headers=session).text
        assert 2 == len(upstream.exchanges)

    def test_frees_the_session_and_the_agents_place(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Who left holds nobody up, and nothing of the broken turn is remembered."""
        session = {"x-zero-session-key": "left"}
        upstream.play(HALTING, stream(*words("next")))
        with quiet.send("narrow", session, messages=[{"role": "user", "content": "forget me"}]):
            upstream.wait()
        assert "next" == quiet.ask("narrow", session).text
        assert [{"role": "user", "content": "hi"}] == upstream.last.json["messages"]


class TestBareDisconnect:
    """The same under a server that doesn't say when a client has gone, so that a task has to wait for it."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("script", PHASES.values(), ids=PHASES)
    def test_closes_the_upstream(self, upstream: FakeUpstream, bare: Caller, script: Script, streamed: bool) -> None:
        """The upstream sees it within a second."""
        upstream.play(script)
        with bare.send(stream=streamed):
            exchange = upstream.wait()
            left = time.monotonic()
        assert exchange.wait_closed() - left < CLOSED_WITHIN


class TestFallbacks:
    """Further models are tried in order, as long as nothing was said."""

    def models(self, upstream: FakeUpstream) -> list[str]:
        """Return the models that were asked, in order."""
        return [exchange.json["model"] for exchange in upstream.exchanges]

    @pytest.mark.parametrize(
        "script",
        [
            error(500, {}),
            error(429, {}),
            error(401, {}),
            error(404, {}),
            [Reset()],
            [Close()],
            stream(),
            stream(b"data: {\n\n"),
            stream(event({"error": {"message": "boom"}})),
        ],
        ids=["500", "429", "401", "404", "reset", "closed", "empty", "garbage", "error event"],
    )
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_in_order(self, upstream: FakeUpstream, quiet: Caller, script: Script, streamed: bool) -> None:
        """The first fails, the second can't be reached, the third answers: the client sees that answer only."""
        upstream.play(script, model="first")
        upstream.play(stream(*words("third")), model="third")
        assert "third" == (quiet.stream("chained").text() if streamed else quiet.ask("chained").text)
        assert ["first", "third"] == self.models(upstream)

    def test_last_failure_counts(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """When all fail, the client sees the last one's failure."""
        upstream.play(error(500, {}), model="first")
        upstream.play(error(429, {"message": "later"}, headers={"retry-after": "5"}), model="third")
        answer = quiet.ask("chained")
        assert (429, "5", "false") == (answer.status, answer.headers["retry-after"], answer.headers["x-should-retry"])
        assert ["first", "third"] == self.models(upstream)

    def test_not_for_bad_requests(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """What is the request's own fault is told at once."""
        upstream.play(error(400, {"message": "no", "param": "top_k"}), model="first")
        answer = quiet.ask("chained")
        assert (400, "top_k") == (answer.status, answer.error["param"])
        assert ["first"] == self.models(upstream)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_not_after_the_first_word(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """Once one has begun, none other continues in its place."""
        upstream.play(stream(HELLO, Pause(), Reset()), model="first")
        with quiet.send("chained", stream=streamed) as connection:
            upstream.wait()
            if not streamed:
                upstream.wait().release()
            with connection.getresponse() as response:
                if streamed:
                    stream_ = OpenStream(response, 1)
                    first = stream_.frame()
                    upstream.wait().release()
                    failure = stream_.rest(first).error
                else:
                    failure = Whole.of(response).error
        assert "upstream_connection_lost" == failure["code"]
        assert ["first"] == self.models(upstream)

    def test_behind_keepalives(self, upstream: FakeUpstream, chatty: Caller) -> None:
        """Comments are no words: a fallback may still answer behind them."""
        upstream.play([Pause(), *error(500, {})], model="first")
        upstream.play(stream(*words("third")), model="third")
        with chatty.open("chained") as stream_:
            first = stream_.frame()
            upstream.wait().release()
            answer = stream_.rest(first)
        assert (KEEPALIVE, "third", None) == (first, answer.text(), answer.error)


class TestKeepalive:
    """Comments while the upstream is silent, and only comments."""

    def test_before_the_first_word(self, upstream: FakeUpstream, chatty: Caller) -> None:
        """They begin before the upstream's answer does, and come again and again; then the answer is whole."""
        upstream.play(SILENT)
        with chatty.open(stream_options={"include_usage": True}) as stream_:
            frames = [stream_.frame() for _ in range(3)]
            assert [KEEPALIVE] * 3 == frames
            upstream.wait().release()
            answer = stream_.rest(*frames)
        assert ("Hello, wörld", "stop") == (answer.text(), answer.finish())

    def test_amid(self, upstream: FakeUpstream, chatty: Caller) -> None:
        """They come in the middle as well."""
        upstream.play(stream(HELLO, Pause(), *REST))
        with chatty.open() as stream_:
            while (first := stream_.frame()) == KEEPALIVE:
                pass  # a slow machine: the first word may take its time
            frames = [first, stream_.frame(), stream_.frame()]
            assert [KEEPALIVE] * 2 == frames[1:]
            upstream.wait().release()
            answer = stream_.rest(*frames)
        assert ("Hello, wörld", "stop") == (answer.text(), answer.finish())

    def test_upstreams_own_are_not_passed_on(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The upstream's comments stay with the gateway, which sends its own."""
        upstream.play(stream(b": upstream\n\n", HELLO, b": upstream\n\n", *REST))
        assert 0 == quiet.stream().keepalives

    @pytest.mark.parametrize(
        ("script", "code"),
        [(error(400, {"message": "no", "code": "bad_top_k"}), "bad_top_k"), (error(500, {}), "upstream_error")],
        ids=["400", "500"],
    )
    def test_error_behind_them(self, upstream: FakeUpstream, chatty: Caller, script: Script, code: str) -> None:
        """What would have been an HTTP error is an error event once comments have gone out."""
        upstream.play([Pause(), *script])
        with chatty.open() as stream_:
            first = stream_.frame()
            upstream.wait().release()
            answer = stream_.rest(first)
        assert (code, []) == (answer.error["code"], answer.chunks)


class TestTimeLimit:
    """No run takes longer than its agent, or its client, allows."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_before_the_first_word(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """It is a 504 that names the setting and asks for no retry, and the upstream's work ends."""
        upstream.play(SILENT)
        answer = quiet.ask("hasty", stream=streamed)
        assert (504, "server_error", "run_timeout") == (answer.status, answer.error["type"], answer.error["code"])
        assert "timeoutSeconds of agent 'hasty'" in answer.error["message"]
        assert f"{HASTY_SECONDS:g} s" in answer.error["message"]
        assert "false" == answer.headers["x-should-retry"]
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    def test_amid_streamed(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Behind the first words it is an error event."""
        upstream.play(HALTING)
        answer = quiet.stream("hasty")
        assert ("run_timeout", "Hello,") == (answer.error["code"], answer.text())
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    def test_amid_whole(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """In an answer that isn't streamed it is a 504."""
        upstream.play(HALTING)
        answer = quiet.ask("hasty")
        assert (504, "run_timeout") == (answer.status, answer.error["code"])
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    def test_not_tried_again(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The limit is the run's: no fallback gets a second one."""
        upstream.play(SILENT, model="first")
        answer = quiet.ask("chained", {"x-stainless-read-timeout": "0.3"})
        assert (504, 1) == (answer.status, len(upstream.exchanges))

    def test_clients_own(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A client that says how long it waits gets the 504 before it gives up, not after."""
        upstream.play(SILENT)
        began = time.monotonic()
        answer = quiet.ask(headers={"x-stainless-read-timeout": "1"})
        assert time.monotonic() - began < SECONDS
        assert (504, "run_timeout") == (answer.status, answer.error["code"])
        assert "x-stainless-read-timeout" in answer.error["message"]
        assert "false" == answer.headers["x-should-retry"]
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    def test_clients_own_is_not_for_streams(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """It is a limit between two bytes: a stream outlives it, with no error."""
        upstream.play(HALTING)
        with quiet.open("hasty", {"x-stainless-read-timeout": "0.01"}) as stream_:
            first = stream_.frame()
            upstream.wait().release()
            answer = stream_.rest(first)
        assert (None, "Hello, wörld") == (answer.error, answer.text())

    @pytest.mark.parametrize("value", ["", "soon", "-1", "0", "nan", "inf", "600"])
    def test_clients_nonsense(self, upstream: FakeUpstream, quiet: Caller, value: str) -> None:
        """A value that is no limit limits nothing."""
        assert 200 == quiet.ask(headers={"x-stainless-read-timeout": value}).status


class TestBackPressure:
    """A client that doesn't read holds the upstream back."""

    def test_upstream_stops(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The gateway doesn't hoard: an endless upstream comes to rest, goes on with the reader, and ends with it."""
        upstream.play(stream(Repeat(event(chunk({"content": "x" * 1000})))))
        with quiet.send(stream=True) as connection:
            exchange = upstream.wait()
            self.until_rest(exchange)
            rested = exchange.sent
            with connection.getresponse() as response:
                deadline = time.monotonic() + SECONDS
                while exchange.sent <= rested:
                    assert response.read(64 * 1024), "the stream ended"
                    assert time.monotonic() < deadline, "reading did not set the upstream going again"
                left = time.monotonic()
        assert exchange.wait_closed() - left < CLOSED_WITHIN

    def until_rest(self, exchange: Exchange) -> None:
        """Wait until the upstream has been unable to write for a while."""
        deadline = time.monotonic() + SECONDS
        while not exchange.sent or time.monotonic() - exchange.progress_at < 0.5:
            assert exchange.sent < HELD_BACK, "the gateway takes in what nobody reads"
            assert time.monotonic() < deadline, "the upstream did not come to rest"
            time.sleep(0.01)

    def test_slow_reader_gets_everything(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Being held back loses nothing and keeps the order."""
        texts = [f"{number}." + "x" * 64_000 for number in range(HELD_BACK // 64_000)]
        upstream.play(stream(*words(*texts)))
        with quiet.send(stream=True) as connection:
            self.until_rest(upstream.wait())
            with connection.getresponse() as response:
                answer = OpenStream(response, 1).rest()
        assert (None, "".join(texts)) == (answer.error, answer.text())


def test_first_word_does_not_wait_for_the_second(upstream: FakeUpstream, quiet: Caller) -> None:
    """Each chunk is passed on as it comes, also when what follows it in the packet says nothing."""
    silent: Json = {**chunk(), "choices": []}
    upstream.play(stream(HELLO + event(silent), Pause(), *REST))
    with quiet.open() as stream_:
        first = stream_.frame()
        assert "Hello," == first["choices"][0]["delta"]["content"]
        upstream.wait().release()
        assert "Hello, wörld" == stream_.rest(first).text()


def test_many_at_once(upstream: FakeUpstream, quiet: Caller) -> None:
    """Runs of different sessions don't wait for one another: all are with the upstream before one has an answer."""
    upstream.play(SILENT)
    with ExitStack() as stack:
        connections = [stack.enter_context(quiet.send()) for _ in range(20)]
        upstream.wait(len(connections))
        for exchange in upstream.exchanges:
            exchange.release()
        for connection in connections:
            with connection.getresponse() as response:
                assert "Hello, wörld" == Whole.of(response).text
