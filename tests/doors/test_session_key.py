"""design.md, "Which session": which session a request belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.doors.client import chat
from tests.doors.sessions import (
    AGENT,
    KEY,
    ONE,
    agents,
    seen,
)
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway


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
            *(
                "subagent:x",
                "cron:x",
                "acp:x",
                "hook:x",
                "CRON:x",
                "hook:",
                "agent:main:cron:x",
                "agent:main:SubAgent:x",
            ),
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


FIRST, SECOND = "X-OpenWebUI-Chat-Id", "x-conversation-id"


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[LiveGateway]:
    """A gateway that knows two other headers with a session key."""
    endpoints = {"endpoints": {"chatCompletions": {"sessionHeaders": [FIRST, SECOND]}}}
    folder = tmp_path_factory.mktemp("session-headers")
    with LiveGateway(folder, agents(upstream, gateway={"http": endpoints})) as gateway:
        yield gateway


class TestOtherHeaders:
    """``gateway.http.endpoints.chatCompletions.sessionHeaders``."""

    @pytest.mark.parametrize(
        ("headers", "fields", "full"),
        [
            ({FIRST: "c1"}, {}, "agent:main:c1"),
            ({FIRST.lower(): "c1"}, {"model": "zero:beta"}, "agent:beta:c1"),
            ({SECOND: "c2"}, {}, "agent:main:c2"),
            ({SECOND: "c2", FIRST: "c1"}, {}, "agent:main:c1"),
            ({SECOND: "c2", FIRST: " "}, {}, "agent:main:c2"),
            ({SECOND: "c2", FIRST: "c1", KEY: "k"}, {}, "agent:main:k"),
            ({SECOND: "c2", KEY: ""}, {"user": "maria"}, "agent:main:c2"),
            ({FIRST: ""}, {"user": "maria"}, "agent:main:openai-user:maria"),
            ({FIRST: "agent:beta:c1"}, {}, "agent:beta:c1"),
        ],
    )
    def test_they_mean_the_same(
        self, listening: LiveGateway, headers: dict[str, str], fields: dict[str, Any], full: str
    ) -> None:
        """Each brings a key like ``x-zero-session-key``, which wins; then the order of the list decides; then user."""
        assert full == chat(listening, "hello", headers=headers, **fields).header(KEY)

    def test_they_keep_a_conversation(self, listening: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
        """A session begun under one of the names goes on under another."""
        chat(listening, "one", headers={FIRST: key[KEY]})
        chat(listening, "two", headers={SECOND: key[KEY]})
        assert [*ONE, ("user", "two")] == seen(upstream)

    @pytest.mark.parametrize("sent", ["cron:x", "x" * 513, "agent:", b"tab\there"])
    def test_a_bad_key_is_400(self, listening: LiveGateway, sent: str | bytes) -> None:
        """The same values are refused, with the header that brought them as ``param``."""
        assert (400, "invalid_value", FIRST) == chat(listening, "hello", headers=[(FIRST, sent)]).summary

    def test_a_key_of_another_agent_is_400(self, listening: LiveGateway) -> None:
        """A full key that contradicts the chosen agent is refused under its header's name."""
        reply = chat(listening, "hello", model="zero:main", headers={SECOND: "agent:beta:t"})
        assert (400, "invalid_value", SECOND) == reply.summary
        missing = chat(listening, "hello", headers={SECOND: "agent:nobody:t"})
        assert (404, "model_not_found", SECOND) == missing.summary

    def test_without_the_setting_they_mean_nothing(self, live: LiveGateway) -> None:
        """Nobody gets a session by a header that the configuration doesn't name."""
        assert str(chat(live, "hello", headers={FIRST: "c1"}).header(KEY)).startswith("agent:main:openai:")


class TestNotKept:
    """Calls that leave nothing behind: those with ``x-zero-task``, and those whose key begins with ``temporary:``."""

    @pytest.mark.parametrize("user", ["", "maria"])
    def test_a_chore_is_no_turn(self, live: LiveGateway, upstream: Upstream, key: dict[str, str], user: str) -> None:
        """A request with ``x-zero-task`` sees nothing of the session whose key it has, and adds nothing to it."""
        chat(live, "one", headers=key)
        reply = chat(live, "find a title", headers={**key, "x-zero-task": "title_generation"}, user=user)
        assert ("re: find a title", [("user", "find a title")]) == (reply.text, seen(upstream))
        assert str(reply.header(KEY)).startswith("agent:main:openai:")
        chat(live, "two", headers=key)
        assert [*ONE, ("user", "two")] == seen(upstream)

    @pytest.mark.parametrize("sent", ["", "  "])
    def test_an_empty_chore_is_none(self, live: LiveGateway, sent: str) -> None:
        """Applications fill the header in for chores only, and send it empty otherwise."""
        assert "agent:main:k" == chat(live, "hello", headers={KEY: "k", "x-zero-task": sent}).header(KEY)

    @pytest.mark.parametrize("sent", [b"\xff", "any words at all", "0"])
    def test_a_chores_name_is_free(self, live: LiveGateway, sent: str | bytes) -> None:
        """The value is the application's own."""
        reply = chat(live, "hello", headers=[(KEY, "k"), ("x-zero-task", sent)])
        assert str(reply.header(KEY)).startswith("agent:main:openai:")

    def test_its_key_is_looked_at_all_the_same(self, live: LiveGateway) -> None:
        """A key that is refused is refused with a chore too, and a full one chooses the agent."""
        task = {"x-zero-task": "t"}
        assert (400, "invalid_value", KEY) == chat(live, "hello", headers={KEY: "cron:x", **task}).summary
        assert "beta" == chat(live, "hello", headers={KEY: "agent:beta:k", **task}).header(AGENT)

    def test_a_temporary_chat_is_not_kept(self, live: LiveGateway, upstream: Upstream) -> None:
        """A key that begins with ``temporary:`` makes the call stateless."""
        for text in ("one", "two"):
            reply = chat(live, text, headers={KEY: "temporary:a-window"}, user="maria")
            assert [("user", text)] == seen(upstream)
            assert str(reply.header(KEY)).startswith("agent:main:openai:")


class TestWholeHistory:
    """The header ``x-zero-history``."""

    def test_the_first_answer_anew(self, live: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
        """With ``full`` a lone message is the conversation's beginning: asked again, or edited, it isn't said twice."""
        full = {**key, "x-zero-history": "full"}
        chat(live, "one", headers=full)
        chat(live, "one", headers=full)
        assert [("user", "one")] == seen(upstream)
        chat(live, "one, but better", headers=full)
        assert [("user", "one, but better")] == seen(upstream)
        chat(live, "two", headers=key)
        better = [("user", "one, but better"), ("assistant", "re: one, but better")]
        assert [*better, ("user", "two")] == seen(upstream)

    @pytest.mark.parametrize("sent", ["Full", "true", "last"])
    def test_it_has_one_value(self, live: LiveGateway, sent: str) -> None:
        """Anything but ``full`` is refused, with the header as ``param``."""
        reply = chat(live, "hello", headers={"x-zero-history": sent})
        assert (400, "invalid_value", "x-zero-history") == reply.summary

    def test_empty_is_none(self, live: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
        """An empty value counts as none."""
        chat(live, "one", headers=key)
        chat(live, "one", headers={**key, "x-zero-history": ""})
        assert [*ONE, ("user", "one")] == seen(upstream)


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
        names = ["a", "A", "a ", " a", "a:", "%61", "%00", "\u00e9", "e\u0301", "%C3%A9", "a\u200b", "\uff41", "\u212a",
                 "k", "K", "\u00df", "ss", "I", "\u0131", "\u0130", "i\u0307", "x" * 600, "x" * 601, "x" * 599 + "y",
                 "\U0001f600", "a\x00"]  # fmt: skip
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
