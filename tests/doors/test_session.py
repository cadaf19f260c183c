"""design.md, "Which session": what an agent remembers, seen from the upstream that is asked on its behalf."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.doors.client import CHAT, SECONDS, Reply, assistant, ask, chat, system, user
from tests.doors.conftest import provider
from tests.doors.upstream import Upstream
from tests.live_gateway import TOKEN, LiveGateway, configuration

KEY = "x-zero-session-key"
AGENT = "x-zero-agent-id"
PROMPT = "You are terse."


def agents(upstream: Upstream, **overrides: Any) -> dict[str, Any]:
    """Return a configuration with the agents ``main``, ``beta`` and ``prompted`` in front of ``upstream``."""
    config = configuration(models=provider(upstream), **overrides)
    config["agents"] = {
        "defaults": {"model": "fake/any"},
        "list": [{"id": "main"}, {"id": "beta"}, {"id": "prompted", "systemPrompt": PROMPT}],
    }
    return config


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[LiveGateway]:
    """A gateway whose agents are answered by ``upstream``."""
    with LiveGateway(tmp_path_factory.mktemp("sessions"), agents(upstream)) as gateway:
        yield gateway


@pytest.fixture
def key(request: pytest.FixtureRequest) -> dict[str, str]:
    """The header of a session that no other test uses."""
    return {KEY: "".join(character for character in request.node.name if character.isalnum())}


def seen(upstream: Upstream) -> list[tuple[str, Any]]:
    """Return the conversation that the upstream was last asked to continue."""
    return upstream.last.conversation


class TestKey:
    """The header ``x-zero-session-key``."""

    @pytest.mark.parametrize(
        ("sent", "model", "full"),
        [
            ("ticket-1", "zero", "agent:main:ticket-1"),
            ("ticket-1", "zero:beta", "agent:beta:ticket-1"),
            ("  ticket-1  ", "zero", "agent:main:ticket-1"),
            ("a:b:c", "zero", "agent:main:a:b:c"),
            ("Case Kept, blanks inside", "zero", "agent:main:Case Kept, blanks inside"),
            ("agent:beta:ticket-1", "zero", "agent:beta:ticket-1"),
            ("agent:beta:ticket-1", "gpt-4o", "agent:beta:ticket-1"),
            ("agent:beta:ticket-1", "zero:beta", "agent:beta:ticket-1"),
            ("AGENT:Beta:Ticket-1", "zero", "agent:beta:Ticket-1"),
            ("agent:main:a:b", "zero:main", "agent:main:a:b"),
            ("agents", "zero", "agent:main:agents"),
            ("my-cron:x", "zero", "agent:main:my-cron:x"),
            ("subagent", "zero", "agent:main:subagent"),
            ("x" * 512, "zero", "agent:main:" + "x" * 512),
            ("agent:beta:" + "x" * 512, "zero", "agent:beta:" + "x" * 512),
        ],
    )
    def test_a_key_is_completed_and_may_choose_the_agent(
        self, live: LiveGateway, sent: str, model: str, full: str
    ) -> None:
        """A bare key belongs to the request's agent; a full one stands as it is and selects its agent."""
        reply = chat(live, "hello", model=model, headers={KEY: sent})
        assert (reply.status, reply.header(KEY), reply.header(AGENT)) == (200, full, full.split(":")[1])

    @pytest.mark.parametrize(
        ("sent", "chosen"),
        [("agent:beta:t", {"model": "zero:main"}), ("agent:main:t", {"model": "agent:beta"}),
         ("agent:beta:t", {"headers": {AGENT: "main"}}), ("agent:beta:t", {"headers": {AGENT: "default"}}),
         ("agent:main:t", {"headers": {AGENT: "beta"}, "model": "zero:main"})],
    )  # fmt: skip
    def test_a_key_of_another_agent_is_400(self, live: LiveGateway, sent: str, chosen: dict[str, Any]) -> None:
        """A full key that contradicts the chosen agent is refused, whoever chose it."""
        headers = {KEY: sent, **chosen.get("headers", {})}
        reply = chat(live, "hello", headers=headers, model=chosen.get("model", "zero"))
        assert reply.summary == (400, "invalid_value", KEY)

    def test_a_key_of_no_agent_is_404(self, live: LiveGateway) -> None:
        """A full key of an agent that there isn't is ``model_not_found``."""
        assert chat(live, "hello", headers={KEY: "agent:nobody:t"}).summary == (404, "model_not_found", KEY)

    @pytest.mark.parametrize(
        "sent",
        [
            *("subagent:x", "cron:x", "acp:x", "hook:x", "CRON:x", "agent:main:cron:x", "agent:main:SubAgent:x", "hook:"),
            *("agent:", "agent:main", "agent:main:", "agent::x", "agent:not an id:x", "agent:_x:y"),
            *("x" * 513, "agent:main:" + "x" * 513, "x" * 10_000),
            *(b"tab\there", b"\xff\xfe", "c1\x85".encode(), "ls\u2028".encode()),
        ],
    )
    def test_a_bad_key_is_400(self, live: LiveGateway, sent: str | bytes) -> None:
        """Reserved, malformed, too long, or with control characters: refused, with the header as ``param``."""
        assert chat(live, "hello", headers=[(KEY, sent)]).summary == (400, "invalid_value", KEY)

    def test_two_keys_that_differ_are_400(self, live: LiveGateway) -> None:
        """The same header twice with different values is refused, not chosen from."""
        assert chat(live, "hello", headers=[(KEY, "a"), (KEY, "b")]).summary == (400, "invalid_value", KEY)

    def test_the_key_beats_the_user(self, live: LiveGateway) -> None:
        """With both, the session is the key's."""
        assert chat(live, "hello", user="maria", headers={KEY: "k"}).header(KEY) == "agent:main:k"

    def test_the_key_that_an_answer_names_continues_its_session(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """What the response says in the header is what the next request may send."""
        named = chat(live, "one", headers=key).header(KEY)
        chat(live, "two", headers={KEY: str(named)})
        assert seen(upstream) == [("user", "one"), ("assistant", "re: one"), ("user", "two")]

    def test_one_key_under_two_agents_is_two_sessions(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """A bare key means another session for each agent."""
        chat(live, "one", headers=key, model="zero:main")
        chat(live, "two", headers=key, model="zero:beta")
        assert seen(upstream) == [("user", "two")]


class TestUser:
    """OpenAI's ``user``."""

    @pytest.mark.parametrize(
        ("name", "rest"),
        [("maria", "maria"), ("Maria", "Maria"), ("a b", "a%20b"), ("a:b", "a:b"), ("ü", "%C3%BC"), ("%", "%25"),
         ("u\u0308", "u%CC%88"), (" ", "%20"), ("a\nb", "a%0Ab"), ("\x00", "%00"), ("cron:x", "cron:x")],
    )  # fmt: skip
    def test_its_key_fits_a_header_and_is_its_alone(self, live: LiveGateway, name: str, rest: str) -> None:
        """The key is ``agent:<agentId>:openai-user:<user>``, what a header can't carry percent-encoded."""
        assert chat(live, "hello", user=name).header(KEY) == f"agent:main:openai-user:{rest}"

    def test_no_two_users_share_a_session(self, live: LiveGateway) -> None:
        """Case, blanks, Unicode forms, separators, encodings and length keep users apart."""
        names = ["a", "A", "a ", " a", "a:", "%61", "é", "e\u0301", "%C3%A9", "a\u200b", "ａ", "\u212a", "k", "K", "ß", "ss",
                 "I", "ı", "İ", "i\u0307", "x" * 600, "x" * 601, "x" * 599 + "y", "\U0001f600", "a\x00", "%00"]  # fmt: skip
        keys = [chat(live, "hello", user=name).header(KEY) for name in names]
        assert len(set(keys)) == len(names)
        assert all(key is not None and key.isascii() and key.isprintable() and " " not in key for key in keys)
        for key in keys:
            assert chat(live, "hello", headers={KEY: str(key)}).header(KEY) == key

    def test_a_user_has_a_conversation(self, live: LiveGateway, upstream: Upstream) -> None:
        """Repeated calls of one user are one session; another user's, and another agent's, are others."""
        chat(live, "one", user="anna")
        chat(live, "two", user="anna")
        assert seen(upstream) == [("user", "one"), ("assistant", "re: one"), ("user", "two")]
        chat(live, "three", user="Anna")
        assert seen(upstream) == [("user", "three")]
        chat(live, "four", user="anna", model="zero:beta")
        assert seen(upstream) == [("user", "four")]

    @pytest.mark.parametrize("fields", [{}, {"user": ""}])
    def test_without_a_user_a_call_stands_alone(
        self, live: LiveGateway, upstream: Upstream, fields: dict[str, Any]
    ) -> None:
        """Each call has a fresh key, and nothing is kept under it: whoever comes with it finds no history."""
        first, second = (chat(live, "secret words", **fields).header(KEY) for _ in range(2))
        assert first != second
        assert str(first).startswith("agent:main:openai:")
        chat(live, "next", headers={KEY: str(first)})
        assert seen(upstream) == [("user", "next")]

    def test_it_can_be_switched_off(self, start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
        """With ``sessionFromUser: false`` a user makes no session, while a key still does."""
        off = {"http": {"endpoints": {"chatCompletions": {"sessionFromUser": False}}}}
        live = start_gateway(agents(upstream, gateway=off))
        key = chat(live, "one", user="anna").header(KEY)
        assert str(key).startswith("agent:main:openai:")
        chat(live, "two", user="anna")
        assert seen(upstream) == [("user", "two")]
        chat(live, "three", user="anna", headers={KEY: "k"})
        chat(live, "four", user="anna", headers={KEY: "k"})
        assert seen(upstream) == [("user", "three"), ("assistant", "re: three"), ("user", "four")]


ONE = [("user", "one"), ("assistant", "re: one")]
TWO = [("user", "two"), ("assistant", "re: two")]
SENT_ONE = [user("one"), assistant("re: one")]
SENT_TWO = [user("two"), assistant("re: two")]


class TestConversation:
    """What the agent sees of a session, whatever part of it the client sends again."""

    @pytest.fixture(autouse=True)
    def two_turns(self, live: LiveGateway, key: dict[str, str]) -> None:
        """The session already holds two turns."""
        chat(live, "one", headers=key)
        chat(live, "two", headers=key)

    @pytest.mark.parametrize(
        ("sent", "conversation"),
        [
            ([user("three")], [*ONE, *TWO, ("user", "three")]),
            ([*SENT_ONE, *SENT_TWO, user("three")], [*ONE, *TWO, ("user", "three")]),
            ([*SENT_TWO, user("three")], [*ONE, *TWO, ("user", "three")]),
            ([assistant("re: two"), user("three")], [*ONE, *TWO, ("user", "three")]),
            ([user("ONE"), assistant("re: one"), user("three")],
             [("user", "ONE"), ("assistant", "re: one"), ("user", "three")]),
            ([*SENT_ONE, user("TWO")], [*ONE, ("user", "TWO")]),
            ([*SENT_ONE, user("two")], [*ONE, ("user", "two")]),
            ([*SENT_ONE, user("TWO"), assistant("re: two"), user("three")],
             [*ONE, ("user", "TWO"), ("assistant", "re: two"), ("user", "three")]),
            ([user("one"), assistant("edited"), user("three")],
             [("user", "one"), ("assistant", "edited"), ("user", "three")]),
            ([user("other"), assistant("talk"), user("three")],
             [("user", "other"), ("assistant", "talk"), ("user", "three")]),
            ([user("two")], [*ONE, *TWO, ("user", "two")]),
            ([user("three"), user("four")], [*ONE, *TWO, ("user", "three"), ("user", "four")]),
        ],
        ids=["last message only", "everything", "window cut", "cut before an answer", "first message edited",
             "second message edited", "answer regenerated", "edited in the middle", "answer edited",
             "another conversation", "the same words again", "two new messages"],
    )  # fmt: skip
    def test_nothing_is_seen_twice(
        self,
        live: LiveGateway,
        upstream: Upstream,
        key: dict[str, str],
        sent: list[dict[str, Any]],
        conversation: list[tuple[str, str]],
    ) -> None:
        """The agent sees the conversation as the client means it, once, and the next turn goes on from there."""
        assert chat(live, sent, headers=key).status == 200
        assert seen(upstream) == conversation
        chat(live, "next", headers=key)
        assert seen(upstream) == [*conversation, ("assistant", f"re: {conversation[-1][1]}"), ("user", "next")]

    def test_a_client_that_resends_everything_forever_sees_no_doubling(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Over many turns, the agent sees exactly what the client sent."""
        talk = [*SENT_ONE, *SENT_TWO]
        for number in range(5):
            talk.append(user(f"turn {number}"))
            talk.append(assistant(chat(live, talk, headers=key).text))
            assert seen(upstream) == [(message["role"], message["content"]) for message in talk[:-1]]

    def test_other_spellings_of_the_same_messages_are_the_same(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Text as a part, a null field, and blanks at the ends don't make a message another one."""
        resent = [
            {"role": "user", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": " re: one\n", "refusal": None, "annotations": []},
            *SENT_TWO,
            user("three"),
        ]
        chat(live, resent, headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "three")]

    def test_a_branch_left_behind_can_be_taken_up_again(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """After an edit, the session goes on from the edit; the old branch comes back only with its messages."""
        chat(live, [*SENT_ONE, user("TWO")], headers=key)
        chat(live, [*SENT_ONE, *SENT_TWO, user("three")], headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "three")]

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_system_messages_are_not_kept(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str], role: str
    ) -> None:
        """Instructions count for the call they come with, wherever they stand in it, and don't break the match."""
        instruction = {"role": role, "content": "Rhyme."}
        chat(live, [*SENT_ONE, instruction, *SENT_TWO, user("three")], headers=key)
        assert seen(upstream) == [(role, "Rhyme."), *ONE, *TWO, ("user", "three")]
        chat(live, "four", headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "three"), ("assistant", "re: three"), ("user", "four")]

    def test_a_streamed_answer_is_remembered_like_any_other(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Streamed or not makes no difference to what is kept."""
        assert chat(live, "three", headers=key, stream=True).body.endswith(b"data: [DONE]\n\n")
        chat(live, "four", headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "three"), ("assistant", "re: three"), ("user", "four")]

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_failed_run_leaves_no_trace(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str], stream: bool
    ) -> None:
        """When the upstream fails, the session is as before, neither question nor half an answer in it."""
        assert chat(live, "fail 500", headers=key, stream=stream).summary == (502, "upstream_error", None)
        chat(live, "three", headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "three")]

    def test_a_run_that_fails_in_mid_stream_leaves_no_trace(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """When the upstream fails half-way, the words said so far aren't kept."""
        with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
            pending = pool.submit(chat, live, "three", headers=key, stream=True)
            call = calls.get(timeout=SECONDS)
            call.say("half an")
            call.fail(500)
            assert b'"error"' in pending.result(SECONDS).body
        chat(live, "four", headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "four")]

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_client_that_leaves_leaves_no_trace(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str], stream: bool
    ) -> None:
        """When the client goes away, the upstream's connection is closed and the session is as before."""
        with upstream.held() as calls:
            with leaving_client(live, "three", key, stream=stream) as client:
                call = calls.get(timeout=SECONDS)
                call.say("half an")
                if stream:
                    while b"half an" not in client.recv(65536):
                        pass
            call.wait_until_abandoned()
        chat(live, "four", headers=key)
        assert seen(upstream) == [*ONE, *TWO, ("user", "four")]


@contextmanager
def leaving_client(live: LiveGateway, text: str, key: dict[str, str], *, stream: bool) -> Iterator[socket.socket]:
    """Send a chat request, and hang up at the end of the block."""
    body = json.dumps({"model": "zero", "messages": [user(text)], "stream": stream}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"{KEY}: {key[KEY]}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS) as client:
        client.sendall(head.encode() + body)
        yield client


class TestPrompt:
    """The agent's own prompt."""

    @pytest.mark.parametrize("headers", [{}, {KEY: "prompt"}], ids=["stateless", "session"])
    def test_requested_instructions_follow_it(
        self, live: LiveGateway, upstream: Upstream, headers: dict[str, str]
    ) -> None:
        """System and developer messages add to the agent's prompt, which comes first, and never replace it."""
        sent = [system("Rhyme."), user("one"), {"role": "developer", "content": [{"type": "text", "text": "Shout."}]}]
        chat(live, sent, headers=headers, model="zero:prompted")
        assert seen(upstream) == [("system", f"{PROMPT}\n\nRhyme.\n\nShout."), ("user", "one")]

    def test_it_stands_alone_when_nothing_is_requested(self, live: LiveGateway, upstream: Upstream) -> None:
        """Without instructions in the request, the agent has its own."""
        chat(live, "one", model="zero:prompted")
        assert seen(upstream) == [("system", PROMPT), ("user", "one")]

    def test_it_is_not_kept(self, live: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
        """The prompt is there once in every turn of a session."""
        chat(live, "one", headers=key, model="zero:prompted")
        chat(live, [system("Rhyme."), *SENT_ONE, user("two")], headers=key, model="zero:prompted")
        assert seen(upstream) == [("system", f"{PROMPT}\n\nRhyme."), *ONE, ("user", "two")]


class TestOrder:
    """Runs of one session queue up; other sessions don't wait for them."""

    def test_runs_of_one_session_come_in_the_order_they_arrived(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """The second run starts when the first is stored, and sees it; so do the third and fourth."""
        texts = ["first", "second", "third", "fourth"]
        with upstream.held() as calls, ThreadPoolExecutor(len(texts)) as pool:
            with leaving_clients(live, texts, key) as clients:
                told: list[tuple[str, str]] = []
                for text, client in zip(texts, clients, strict=True):
                    call = calls.get(timeout=SECONDS)
                    assert call.conversation == [*told, ("user", text)]
                    assert calls.empty()
                    call.answer(f"re: {text}")
                    told += [("user", text), ("assistant", f"re: {text}")]
                    assert pool.submit(client.recv, 65536).result(SECONDS).startswith(b"HTTP/1.1 200 ")

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
        with upstream.held() as calls:
            with leaving_clients(live, ["first"], key):
                first = calls.get(timeout=SECONDS)
                with leaving_clients(live, ["second"], key):
                    pass
                with leaving_clients(live, ["third"], key) as (third,):
                    ask(live, "GET", "/healthz")  # a round trip: the gateway has seen the second one's end
                    first.answer("re: first")
                    call = calls.get(timeout=SECONDS)
                    assert call.conversation == [("user", "first"), ("assistant", "re: first"), ("user", "third")]
                    call.answer("re: third")
                    assert third.recv(65536).startswith(b"HTTP/1.1 200 ")


@contextmanager
def leaving_clients(live: LiveGateway, texts: list[str], key: dict[str, str]) -> Iterator[list[socket.socket]]:
    """Send chat requests, each after the gateway has taken the one before in; hang up at the end of the block."""
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        for text in texts:
            clients.append(stack.enter_context(leaving_client(live, text, key, stream=False)))
            # The gateway reads sockets in one loop, in order: an answer to this proves that it has read the request.
            ask(live, "GET", "/healthz")
        yield clients


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
        assert [file.name for file in files][0] == "sessions.sqlite3"
        assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * len(files)
        assert oct((live.folder / "state").stat().st_mode & 0o777) == "0o700"
