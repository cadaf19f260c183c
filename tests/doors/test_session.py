"""design.md, "Which session": what an agent sees of it, watched from the upstream that is asked on its behalf."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.doors.client import SECONDS, assistant, chat, system, user
from tests.doors.sessions import (
    KEY,
    ONE,
    PROMPT,
    SENT_ONE,
    SENT_TWO,
    TWO,
    leaving_client,
    seen,
)
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway


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
            ([user("one"), user("two"), user("three")], [("user", "one"), ("user", "two"), ("user", "three")]),
            ([*SENT_ONE, user("five"), assistant("re: five"), user("six")],
             [*ONE, ("user", "five"), ("assistant", "re: five"), ("user", "six")]),
        ],
        ids=["last message only", "everything", "window cut", "cut before an answer", "first message edited",
             "second message edited", "answer regenerated", "edited in the middle", "answer edited",
             "another conversation", "the same words again", "two new messages", "answers lost on the way",
             "turns left out in the middle"],
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

    def test_a_window_that_begins_with_the_conversation_s_first_words_is_found(
        self, live: LiveGateway, upstream: Upstream, key: dict[str, str]
    ) -> None:
        """Where more of it follows in the middle, that is where it belongs, and nothing from before is forgotten."""
        chat(live, "one", headers=key)
        chat(live, "three", headers=key)
        window = [*SENT_ONE, user("three"), assistant("re: three"), user("four")]
        chat(live, window, headers=key)
        three = (("user", "three"), ("assistant", "re: three"))
        assert seen(upstream) == [*ONE, *TWO, *ONE, *three, ("user", "four")]

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
