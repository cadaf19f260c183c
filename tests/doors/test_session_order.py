"""design.md, "Which session": runs of one queue up, and what they leave survives the process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from tests.doors.client import SECONDS, Reply, chat
from tests.doors.sessions import (
    KEY,
    ONE,
    agents,
    leaving_client,
    leaving_clients,
    seen,
)
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway


class TestOrder:
    """Runs of one session queue up; other sessions don't wait for them."""

    def test_runs_of_one_session_come_in_the_order_they_arrived(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """The second run starts when the first is stored, and sees it; so do the third and fourth."""
        texts = ["first", "second", "third", "fourth"]
        told: list[tuple[str, str]] = []
        with upstream.held() as calls, leaving_clients(live, texts, key) as clients:
            for text, client in zip(texts, clients, strict=True):
                call = calls.get(timeout=SECONDS)
                assert call.conversation == [*told, ("user", text)]
                assert calls.empty()
                call.answer(f"re: {text}")
                told += [("user", text), ("assistant", f"re: {text}")]
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    def test_different_sessions_run_in_parallel(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Runs of other sessions, and stateless ones, reach the upstream while the first still waits there."""
        ways: list[dict[str, str]] = [key, {KEY: key[KEY] + "-2"}, {KEY: f"agent:beta:{key[KEY]}"}, {}, {}]
        with upstream.held() as calls, ThreadPoolExecutor(len(ways)) as pool:
            replies: list[Future[Reply]] = [pool.submit(chat, live, "x", headers=way) for way in ways]
            waiting = [calls.get(timeout=SECONDS) for _ in ways]
            for call in waiting:
                call.answer("done")
            assert [reply.result(SECONDS).text for reply in replies] == ["done"] * len(ways)

    def test_a_client_that_leaves_the_queue_is_passed_over(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Whoever hangs up while waiting never runs, and the next one does."""
        with upstream.held() as calls, leaving_clients(live, ["first"], key):
            first = calls.get(timeout=SECONDS)
            with leaving_clients(live, ["second"], key):
                pass
            with leaving_clients(live, ["third"], key) as (third,):
                first.answer("re: first")
                call = calls.get(timeout=SECONDS)
                assert call.conversation == [("user", "first"), ("assistant", "re: first"), ("user", "third")]
                call.answer("re: third")
                assert third.recv(65536).startswith(b"HTTP/1.1 200 ")


class TestDurability:
    """What survives the process."""

    def test_completed_turns_survive_a_sudden_death(
        self, start_gateway: Callable[..., LiveGateway], upstream: Upstream
    ) -> None:
        """After SIGKILL in the middle of a run, completed turns are there, under user and key; the run's are not."""
        live = start_gateway(agents(upstream))
        named = [chat(live, "one", user="anna").header(KEY), chat(live, "one", headers={KEY: "k"}).header(KEY)]
        assert named == ["agent:main:openai-user:anna", "agent:main:k"]
        with upstream.held() as calls, leaving_client(live, "lost", {KEY: "k"}, stream=True):
            call = calls.get(timeout=SECONDS)
            call.say("half")
            live.kill()
            call.orders.put(None)
        live.restart()
        for fields in ({"user": "anna"}, {"headers": {KEY: "k"}}):
            chat(live, "two", **fields)
            assert seen(upstream) == [*ONE, ("user", "two")]

    def test_an_answered_turn_is_stored_before_the_answer_is_out(
        self, start_gateway: Callable[..., LiveGateway], upstream: Upstream
    ) -> None:
        """Whoever has seen a finish_reason can rely on it: killed right then, the gateway still remembers."""
        live = start_gateway(agents(upstream))
        with leaving_client(live, "one", {KEY: "k"}, stream=True) as client:
            received = b""
            while b'"finish_reason":"stop"' not in received:
                received += client.recv(1)
            live.kill()
        live.restart()
        chat(live, "two", headers={KEY: "k"})
        assert seen(upstream) == [*ONE, ("user", "two")]

    def test_the_session_file_is_its_owner_s_alone(self, live: LiveGateway) -> None:
        """Nobody else on the machine may read conversations."""
        chat(live, "one", headers={KEY: "private"})
        files = sorted((live.folder / "state").iterdir())
        assert files[0].name == "sessions.sqlite3"
        assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * len(files)
        assert oct((live.folder / "state").stat().st_mode & 0o777) == "0o700"
