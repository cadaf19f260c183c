"""An upstream that is slow, busy or broken holds nobody up for longer than was agreed, and is found out.

Nothing here compares how fast the machine is: a limit is compared with what is far beyond it.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, Final

import pytest

from tests.engines.caller import KEEPALIVE, Caller, OpenStream, Whole
from tests.fakes.script import Pause, Repeat, Reset, Script, Send, Step, error, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.hostile.misbehaviours import HELLO, silent
from tests.live_gateway import LiveGateway, configuration, free_port

SHORT: Final = 0.4
"""Seconds of a limit that a test waits for."""
ONCE: Final = {"retry": {"attempts": 0}, "circuitBreaker": {"enabled": False}}
NO_CIRCUIT: Final = {"circuitBreaker": {"enabled": False}}
FAILURES: Final = 3
INTERIM: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[FakeUpstream]:
    """The upstream."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(service: FakeUpstream) -> FakeUpstream:
    """The upstream, with nothing in its memory."""
    service.reset()
    return service


@pytest.fixture(scope="module")
def mute() -> Iterator[int]:
    """A port where connections are made and nobody takes them."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def far() -> Iterator[int]:
    """A port where no connection comes about: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(3):
            queued = stack.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture(scope="module")
def later() -> int:
    """A port where nobody listens, until a test does."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(
    service: FakeUpstream, mute: int, far: int, later: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """A gateway with a provider, and an agent of its name, for each kind of limit."""
    fuse = {"failures": FAILURES, "pauseSeconds": 30}
    providers: dict[str, dict[str, Any]] = {
        "slow": {"timeouts": {"firstByteSeconds": SHORT, "idleSeconds": SHORT}, **ONCE},
        "long": {"timeouts": {"totalSeconds": SHORT}, "maxAnswerBytes": 10**12, **ONCE},
        "mute": {"baseUrl": url(mute), "timeouts": {"firstByteSeconds": SHORT}, **ONCE},
        "patient": {"baseUrl": url(mute), **ONCE},
        "far": {"baseUrl": url(far), "timeouts": {"connectSeconds": SHORT}, **ONCE},
        "later": {"baseUrl": url(later), "retry": {"attempts": 10, "maxSeconds": 60}, **NO_CIRCUIT},
        "down": {"baseUrl": url(free_port()), "retry": {"attempts": 3, "maxSeconds": 0.5}, **NO_CIRCUIT},
        "busy": {"retry": {"attempts": 2, "maxSeconds": 5}, **NO_CIRCUIT},
        "fused": {"circuitBreaker": fuse, "retry": {"attempts": 0}},
        "fused-down": {"baseUrl": url(free_port()), "circuitBreaker": fuse, "retry": {"attempts": 0}},
        "fused-slow": {"circuitBreaker": fuse, "retry": {"attempts": 0}, "timeouts": {"firstByteSeconds": SHORT}},
        "limited": {"circuitBreaker": fuse, "retry": {"attempts": 0}},
        "counted": {"circuitBreaker": {**fuse, "countRateLimits": True}, "retry": {"attempts": 0}},
        "wrong": {"circuitBreaker": fuse, "retry": {"attempts": 0}},
        "mixed": {"circuitBreaker": fuse, "retry": {"attempts": 0}},
        "chained": {"circuitBreaker": fuse, "retry": {"attempts": 0}},
        "tried": {"circuitBreaker": {**fuse, "pauseSeconds": SHORT}, "retry": {"attempts": 0}},
        "spare": {**ONCE},
    }
    agents: list[dict[str, Any]] = [{"id": name, "model": f"{name}/{name}"} for name in providers]
    for agent in agents:
        if agent["id"] == "chained":
            agent["model"] = {"primary": "chained/chained", "fallbacks": ["far/far", "spare/spare"]}
    config = configuration(
        gateway={"http": {"endpoints": {"chatCompletions": {"keepaliveSeconds": 0.1}}}},
        models={"providers": {name: {"baseUrl": service.base_url, **more} for name, more in providers.items()}},
    )
    config["agents"] = {"list": agents}
    with LiveGateway(tmp_path_factory.mktemp("upstreams"), config) as live:
        yield live


@pytest.fixture(scope="module")
def client(gateway: LiveGateway) -> Caller:
    """A client of that gateway."""
    return Caller(gateway)


def url(port: int) -> str:
    """Return the ``baseUrl`` of a service on a port."""
    return f"http://127.0.0.1:{port}/v1"


def asked(upstream: FakeUpstream) -> list[str]:
    """Return the models that the upstream was asked for, in order."""
    return [exchange.json["model"] for exchange in upstream.exchanges]


class TestTimeouts:
    """Connect, first-byte, idle and total timeouts: each is a 504 of its own that names its setting."""

    SILENT: Final[dict[str, Script]] = {
        "before the head": silent(),
        "within the head": [Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Pause()],
        "behind the head": stream(Pause()),
        "interim responses for ever": [Repeat(INTERIM)],
    }
    IDLE: Final[dict[str, list[bytes | Step]]] = {
        "behind a word": [HELLO, Pause()],
        "within an event": [HELLO, HELLO[:9], Pause()],
        "within a chunk": [HELLO, Send(b"ff\r\ndata:"), Pause()],
        "behind the last word": [HELLO, *words("Hi")[:-2], Pause()],
    }

    @staticmethod
    def check(answer: Whole, provider: str, code: str, setting: str, seconds: float = SHORT) -> None:
        """Check a failure."""
        assert (504, "server_error", code) == (answer.status, answer.error["type"], answer.error["code"])
        assert f"models.providers.{provider}.timeouts.{setting}" in answer.error["message"]
        assert f"{seconds:g} s" in answer.error["message"]
        assert "false" == answer.headers["x-should-retry"]

    def test_connect(self, client: Caller) -> None:
        """No connection comes about."""
        self.check(client.ask("far"), "far", "upstream_connect_timeout", "connectSeconds")

    @pytest.mark.parametrize("script", SILENT.values(), ids=SILENT)
    def test_first_byte(self, upstream: FakeUpstream, client: Caller, script: Script) -> None:
        """Nothing of an answer comes, whatever of its head does; the upstream's connection is closed."""
        upstream.play(script)
        self.check(client.ask("slow"), "slow", "upstream_first_byte_timeout", "firstByteSeconds")
        assert upstream.last.wait_closed()

    def test_first_byte_of_an_upstream_that_takes_no_request_in(self, client: Caller) -> None:
        """The time for the request counts."""
        answer = client.ask("mute", messages=[{"role": "user", "content": "x" * 10_000_000}])
        self.check(answer, "mute", "upstream_first_byte_timeout", "firstByteSeconds")

    @pytest.mark.parametrize("steps", IDLE.values(), ids=IDLE)
    def test_idle(self, upstream: FakeUpstream, client: Caller, steps: list[bytes | Step]) -> None:
        """An answer that has begun doesn't go on."""
        upstream.play(stream(*steps))
        self.check(client.ask("slow"), "slow", "upstream_idle_timeout", "idleSeconds")
        assert upstream.last.wait_closed()

    @pytest.mark.parametrize("steps", IDLE.values(), ids=IDLE)
    def test_idle_behind_the_first_words(
        self, upstream: FakeUpstream, client: Caller, steps: list[bytes | Step]
    ) -> None:
        """For a client that has seen words it is an error event."""
        upstream.play(stream(*steps))
        answer = client.stream("slow")
        assert ("upstream_idle_timeout", None) == (answer.error["code"], answer.finish())
        assert "models.providers.slow.timeouts.idleSeconds" in answer.error["message"]
        assert answer.text().startswith("Hello,")
        assert upstream.last.wait_closed()

    def test_a_client_that_reads_slowly_stops_the_clock(self, upstream: FakeUpstream, client: Caller) -> None:
        """An upstream that is held back isn't idle, and its answer arrives whole."""
        texts = [f"{number}." + "x" * 64_000 for number in range(375)]
        upstream.play(stream(*words(*texts)))
        with client.send("slow", stream=True) as connection:
            exchange = upstream.wait()
            deadline = time.monotonic() + 10
            while not exchange.sent or time.monotonic() - exchange.progress_at < 3 * SHORT:
                assert time.monotonic() < deadline, "it was not held back"
                time.sleep(0.01)
            with connection.getresponse() as response:
                answer = OpenStream(response, 1).rest()
        assert (None, "".join(texts)) == (answer.error, answer.text())

    @pytest.mark.parametrize("script", [silent(), stream(Repeat(b": nothing\n\n"))], ids=["silent", "endless"])
    def test_total(self, upstream: FakeUpstream, client: Caller, script: Script) -> None:
        """A request takes too long altogether, be it that bytes come all the time."""
        upstream.play(script)
        self.check(client.ask("long"), "long", "upstream_total_timeout", "totalSeconds")
        assert upstream.last.wait_closed()

    def test_total_behind_the_first_words(self, upstream: FakeUpstream, client: Caller) -> None:
        """For a client that has seen words it is an error event."""
        upstream.play(stream(HELLO, Pause()))
        answer = client.stream("long")
        assert ("upstream_total_timeout", "Hello,") == (answer.error["code"], answer.text())


class TestKeepalive:
    """Keepalive comments from byte zero while waiting."""

    def test_from_byte_zero(self, client: Caller) -> None:
        """They come while the upstream hasn't even taken the connection."""
        with client.open("patient") as stream_:
            assert [KEEPALIVE] * 3 == [stream_.frame() for _ in range(3)]

    def test_while_the_request_is_repeated(self, upstream: FakeUpstream, client: Caller) -> None:
        """And between two attempts; the answer follows them."""
        upstream.play(error(503, {}, headers={"retry-after": "0.4"}), stream(*words("Hi")))
        answer = client.stream("busy")
        assert (None, "Hi") == (answer.error, answer.text())
        assert answer.keepalives > 0


class TestRetries:
    """Bounded retries with jitter, only before anything was sent to the client and only where that is safe."""

    BUSY: Final = {"retry-after": "0.05"}
    UNSAFE: Final[dict[str, Script]] = {
        "500": error(500, {}),
        "500 with Retry-After": error(500, {}, headers=BUSY),
        "502": error(502, {}, headers=BUSY),
        "503 without Retry-After": error(503, {}),
        "504": error(504, {}, headers=BUSY),
        "408": error(408, {}, headers=BUSY),
        "400": error(400, {}, headers=BUSY),
        "429 without Retry-After": error(429, {"code": "insufficient_quota"}),
        "429 with a long Retry-After": error(429, {}, headers={"retry-after": "20"}),
        "a reset behind the request": [Reset()],
        "an error event": stream(b'data: {"error": {"code": 503}}\n\n'),
    }

    @pytest.mark.parametrize("status", [429, 503, 529])
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_busy(self, upstream: FakeUpstream, client: Caller, status: int, streamed: bool) -> None:
        """Whoever says when to come back is asked again, and the client sees nothing but the answer."""
        upstream.play(error(status, {}, headers=self.BUSY), stream(*words("Hi")))
        assert "Hi" == (client.stream("busy").text() if streamed else client.ask("busy").text)
        first, second = upstream.exchanges
        assert first.body == second.body

    @pytest.mark.parametrize("script", UNSAFE.values(), ids=UNSAFE)
    def test_only_where_safe(self, upstream: FakeUpstream, client: Caller, script: Script) -> None:
        """What may have cost money, or would take long, is told at once."""
        upstream.play(script)
        assert client.ask("busy").status >= 400
        assert 1 == len(upstream.exchanges)

    def test_never_behind_the_first_word(self, upstream: FakeUpstream, client: Caller) -> None:
        """An answer that breaks off isn't asked for again."""
        upstream.play(stream(HELLO, Pause(), Reset()), stream(*words("again")))
        with client.open("busy") as stream_:
            first = stream_.frame()
            upstream.wait().release()
            assert "upstream_connection_lost" == stream_.rest(first).error["code"]
        assert 1 == len(upstream.exchanges)

    def test_bounded(self, upstream: FakeUpstream, client: Caller) -> None:
        """When all attempts are used up, the client gets the upstream's last word."""
        upstream.play(error(503, {"message": "busy"}, headers=self.BUSY))
        answer = client.ask("busy")
        assert (503, "1", "false") == (
            answer.status,
            answer.headers["retry-after"],
            answer.headers["x-should-retry"],
        )
        assert 3 == len(upstream.exchanges)

    def test_until_somebody_listens(self, gateway: LiveGateway, client: Caller, later: int) -> None:
        """A service that is being restarted is waited for; the log says so."""
        with client.send("later") as connection:
            deadline = time.monotonic() + 10
            while "provider later: Connection refused; once more in" not in gateway.log:
                assert time.monotonic() < deadline, gateway.log
            with FakeUpstream(later) as late:
                with connection.getresponse() as response:
                    assert "Hello, wörld" == Whole.of(response).text
                assert 1 == len(late.exchanges)

    def test_never_84_seconds_of_silence(self, gateway: LiveGateway, client: Caller) -> None:
        """A provider that stays away is a 502 once ``maxSeconds`` would be over, whatever attempts are left."""
        began = time.monotonic()
        assert (502, "upstream_unreachable") == ((answer := client.ask("down")).status, answer.error["code"])
        assert time.monotonic() - began < 10
        assert 1 <= gateway.log.count("provider down: Connection refused; once more in") <= 2


class TestCircuitBreaker:
    """A provider that fails again and again is left alone for a while."""

    @staticmethod
    def check_open(answer: Whole, provider: str) -> None:
        """Check that a provider wasn't asked."""
        assert (503, "upstream_circuit_open") == (answer.status, answer.error["code"])
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert "false" == answer.headers["x-should-retry"]
        assert f"models.providers.{provider}.circuitBreaker" in answer.error["message"]

    def test_opens(self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller) -> None:
        """After so many failures in a row it answers at once, and the log says so."""
        upstream.play(error(500, {}))
        assert [502] * FAILURES == [client.ask("fused").status for _ in range(FAILURES)]
        self.check_open(client.ask("fused"), "fused")
        self.check_open(client.ask("fused", stream=True), "fused")
        assert FAILURES == len(upstream.exchanges)
        assert f"provider fused failed {FAILURES} times in a row" in gateway.log
        assert "ready" in ready(gateway)

    @pytest.mark.parametrize("agent", ["fused-down", "fused-slow"])
    def test_opens_for_what_is_no_answer(self, upstream: FakeUpstream, client: Caller, agent: str) -> None:
        """Refused connections and timeouts count."""
        upstream.play(silent())
        assert not {client.ask(agent).error["code"] for _ in range(FAILURES)} & {"upstream_circuit_open"}
        self.check_open(client.ask(agent), agent)

    @pytest.mark.parametrize(("agent", "status"), [("wrong", 400), ("wrong", 401), ("wrong", 404), ("limited", 429)])
    def test_not_for_refusals(self, upstream: FakeUpstream, client: Caller, agent: str, status: int) -> None:
        """What a provider refuses is no sign that it doesn't work."""
        upstream.play(error(status, {}))
        assert "upstream_circuit_open" not in [client.ask(agent).error["code"] for _ in range(FAILURES + 1)]
        assert FAILURES + 1 == len(upstream.exchanges)

    def test_for_rate_limits_if_told(self, upstream: FakeUpstream, client: Caller) -> None:
        """``countRateLimits`` makes a 429 count."""
        upstream.play(error(429, {}))
        assert [429] * FAILURES == [client.ask("counted").status for _ in range(FAILURES)]
        self.check_open(client.ask("counted"), "counted")

    def test_only_in_a_row(self, upstream: FakeUpstream, client: Caller) -> None:
        """An answer in between begins the count anew."""
        failure, success = error(500, {}), stream(*words("Hi"))
        upstream.play(failure, failure, success, failure, failure, success)
        assert [502, 502, 200] * 2 == [client.ask("mixed").status for _ in range(6)]

    def test_goes_on_to_the_fallbacks_in_order_with_the_reason_logged(
        self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller
    ) -> None:
        """An agent with fallbacks answers as if nothing were, and no longer waits for the one that fails."""
        upstream.play(error(500, {"message": "out of order"}), model="chained")
        upstream.play(stream(*words("spare")), model="spare")
        assert ["spare"] * (FAILURES + 1) == [client.ask("chained").text for _ in range(FAILURES + 1)]
        assert ["chained", "spare"] * FAILURES + ["spare"] == asked(upstream)
        log = gateway.log
        assert "chained/chained failed (The provider 'chained' failed with status 500: out of order); trying far" in log
        assert "far/far failed (The provider 'far' could not be reached within 0.4 s" in log
        assert "chained/chained failed (The provider 'chained' failed too often in a row" in log

    def test_tries_again_after_the_pause(self, upstream: FakeUpstream, gateway: LiveGateway, client: Caller) -> None:
        """One run is let through then, and its first word lets all others through."""
        upstream.play(*[error(500, {})] * FAILURES, stream(HELLO, Pause(), *words(" again")), stream(*words("works")))
        assert [502] * FAILURES == [client.ask("tried").status for _ in range(FAILURES)]
        assert "upstream_circuit_open" == client.ask("tried").error["code"]
        deadline = time.monotonic() + 10
        while True:
            assert time.monotonic() < deadline, "nobody is let through"
            with client.send("tried", stream=True) as connection, connection.getresponse() as response:
                if response.status == 503:
                    continue
                stream_ = OpenStream(response, 1)
                first = stream_.frame()
                assert "works" == client.ask("tried").text
                upstream.exchanges[FAILURES].release()
                assert "Hello, again" == stream_.rest(first).text()
                break
        assert "finds out whether it works again" in gateway.log
        assert "provider tried works again" in gateway.log


def ready(gateway: LiveGateway) -> str:
    """Return what ``/readyz`` says."""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().read().decode()
