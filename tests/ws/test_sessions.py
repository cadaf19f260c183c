"""The methods about sessions: what the store keeps, whichever door filled it."""

from __future__ import annotations

import json

import pytest

from tests import npm
from tests.doors.client import chat, user
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.official import Json
from tests.ws.answers import sent
from tests.ws.calls import NOBODY, params
from tests.ws.client import Client, Refused, new_key, said


class TestSessions:
    """Sessions as the store has them, whichever door filled them."""

    def test_history_shows_what_was_said(
        self, client: Client, live: LiveGateway, key: str, upstream: FakeUpstream
    ) -> None:
        """Over either door, oldest first."""
        chat(live, "one", headers={"x-zero-session-key": key})
        client.run("two", sessionKey=key)
        answer = client.call("chat.history", {"sessionKey": key})

        expected = [("user", "one"), ("assistant", "Hello, wörld"), ("user", "two"), ("assistant", "Hello, wörld")]
        assert expected == [said(message) for message in answer["messages"]]
        assert (key, False) == (answer["sessionKey"], answer["hasMore"])

    @pytest.mark.parametrize(
        ("page", "shown", "more"),
        [
            ({}, ["one", "two", "three", "four"], False),
            ({"limit": 3}, ["two", "three", "four"], True),
            ({"limit": 2, "offset": 1}, ["two", "three"], True),
            ({"limit": 2, "offset": 2}, ["one", "two"], False),
            ({"offset": 9}, [], False),
            ({"maxChars": 2}, ["on", "tw", "th", "fo"], False),
        ],
        ids=str,
    )
    def test_history_in_pages(
        self,
        client: Client,
        live: LiveGateway,
        key: str,
        page: Json,
        shown: list[str],
        more: bool,
        upstream: FakeUpstream,
    ) -> None:
        """The latest ones first, then those before them; long texts are cut where that is asked for."""
        upstream.play(stream(*words("two")), stream(*words("four")), model="main")
        for text in ("one", "three"):
            client.run(text, sessionKey=key)
        answer = client.call("chat.history", {"sessionKey": key, **page})

        assert (shown, more) == ([said(message)[1] for message in answer["messages"]], answer["hasMore"])

    def test_history_says_how_to_ask_for_the_rest(self, client: Client, key: str, upstream: FakeUpstream) -> None:
        """As the protocol's clients know it: ``offset`` is asked for, ``nextOffset`` comes where there is more."""
        upstream.play(stream(*words("two")), stream(*words("four")), model="main")
        for text in ("one", "three"):
            client.run(text, sessionKey=key)
        found: list[Json] = []
        shown: list[str] = []
        offset: int | None = 0
        while offset is not None:
            answer = client.call("chat.history", {"sessionKey": key, "limit": 3, "offset": offset})
            found.append((answer["offset"], answer["hasMore"], answer.get("nextOffset"), answer["totalMessages"]))
            shown = [said(message)[1] for message in answer["messages"]] + shown
            offset = answer.get("nextOffset")

        assert [(0, True, 3, 4), (3, False, None, 4)] == found
        assert ["one", "two", "three", "four"] == shown
        beyond = client.call("chat.history", {"sessionKey": key, "offset": 2**70})
        assert ([], False, 4) == (beyond["messages"], beyond["hasMore"], beyond["totalMessages"])

    def test_a_long_history_comes_in_pages_of_bytes(
        self, client: Client, live: LiveGateway, key: str, upstream: FakeUpstream
    ) -> None:
        """No answer has more than 4 MiB, nothing is lost on the way, and a message that is too large is shortened."""
        large, huge = "y" * 1_400_000, "x" * 5_000_000
        told = [f"{number} {large}" for number in range(4)] + [huge, "short"]
        roles = ["user", "assistant"] * 3
        chat(
            live,
            [{"role": role, "content": text} for role, text in zip(roles, told, strict=True)] + [user("last")],
            headers={"x-zero-session-key": key},
        )
        pages: list[list[str]] = []
        offset: int | None = 0
        while offset is not None:
            request = client.request("chat.history", {"sessionKey": key, "offset": offset})
            frame = client.response(request)
            assert len(json.dumps(frame, ensure_ascii=False).encode()) < 4 * 1024 * 1024
            pages.insert(0, [said(message)[1] for message in frame["payload"]["messages"]])
            offset = frame["payload"].get("nextOffset")

        assert [2, 2, 1, 3] == [len(page) for page in pages]
        cut = "x" * 100_000 + "[chat.history omitted: message too large]"
        assert [*told[:4], cut, "short", "last", "Hello, wörld"] == [text for page in pages for text in page]

    def test_history_of_calls_and_their_results(
        self, client: Client, live: LiveGateway, key: str, upstream: FakeUpstream
    ) -> None:
        """What the model wants called is shown with its arguments read, and what came of it."""
        call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        wrong = {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{a"}}
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
        chat(
            live,
            [
                {"role": "user", "content": [{"type": "text", "text": "look"}, picture]},
                {"role": "assistant", "content": None, "tool_calls": [call, wrong]},
                {"role": "tool", "tool_call_id": "c1", "content": "2"},
                {"role": "tool", "tool_call_id": "c2", "content": "3"},
            ],
            headers={"x-zero-session-key": key},
        )
        asked, called, result, _, last = client.call("chat.history", {"sessionKey": key})["messages"]

        assert [{"type": "text", "text": "look"}, {"type": "omitted"}] == asked["content"]
        assert [
            {"type": "toolCall", "id": "c1", "name": "add", "arguments": {"a": 1}},
            {"type": "toolCall", "id": "c2", "name": "add", "arguments": "{a"},
        ] == called["content"]
        assert ("toolResult", "c1", "2") == (result["role"], result["toolCallId"], result["content"][0]["text"])
        assert ("assistant", "Hello, wörld") == said(last)

    def test_list_finds(self, client: Client, key: str) -> None:
        """By words of the key, by agent, the last changed first, in pages."""
        others = [f"{key}-{letter}" for letter in "abc"]
        for other in others:
            client.run("hi", sessionKey=other)
        whole = client.call("sessions.list", {"search": key})
        page = client.call("sessions.list", {"search": key, "limit": 1, "offset": 1})

        assert list(reversed(others)) == [row["key"] for row in whole["sessions"]]
        assert (3, 3, False) == (whole["count"], whole["totalCount"], whole["hasMore"])
        assert ([others[1]], 1, 3, True) == (
            [row["key"] for row in page["sessions"]],
            page["count"],
            page["totalCount"],
            page["hasMore"],
        )
        assert [] == client.call("sessions.list", {"search": key, "agentId": "echo"})["sessions"]

    def test_archived_sessions_are_none(self, client: Client, key: str) -> None:
        """``true`` finds none, ``all`` is the same as ``false``."""
        client.run("hi", sessionKey=key)
        found = [client.call("sessions.list", {"search": key, "archived": a})["count"] for a in (True, False, "all")]

        assert [0, 1, 1] == found

    def test_list_says_what_is_asked_for(self, client: Client, key: str) -> None:
        """The first words as the title, and the last ones; neither unasked."""
        client.run("What is the capital?", sessionKey=key)
        plain = client.call("sessions.list", {"search": key})["sessions"][0]
        wanted = {"includeDerivedTitles": True, "includeLastMessage": True}
        row = client.call("sessions.list", {"search": key, **wanted})["sessions"][0]
        alone = client.call("sessions.describe", {"key": key, **wanted})["session"]

        assert plain.keys().isdisjoint({"derivedTitle", "lastMessagePreview"})
        assert ("What is the capital?", "Hello, wörld") == (row["derivedTitle"], row["lastMessagePreview"])
        assert row == alone

    def test_a_list_is_bounded(self, client: Client, key: str) -> None:
        """However much is asked for, there are pages; fewer rows where the sessions themselves have to be read."""
        for number in range(101):
            sent(client, f"{key}-{number:03}", agentId="main")
        ended = {client.event("chat", state="final")["sessionKey"] for _ in range(101)}
        wanted = {"search": key, "limit": 2**70}
        plain = client.call("sessions.list", wanted)
        first = client.call("sessions.list", {**wanted, "includeLastMessage": True})
        rest = client.call("sessions.list", {**wanted, "includeLastMessage": True, "offset": 100})
        beyond = client.call("sessions.list", {**wanted, "offset": 2**70})

        assert [(101, False), (100, True), (1, False), (0, False)] == [
            (answer["count"], answer["hasMore"]) for answer in (plain, first, rest, beyond)
        ]
        assert ended == {row["key"] for row in [*first["sessions"], *rest["sessions"]]}
        assert {"Hello, wörld"} == {row["lastMessagePreview"] for row in first["sessions"]}

    def test_what_is_too_large_is_not_read_for_a_list(self, client: Client, live: LiveGateway, key: str) -> None:
        """No title is made of it, and where it is the last message there are words that say so."""
        headers = {"x-zero-session-key": key, "x-zero-agent-id": "echo"}
        key = key.replace("main", "echo", 1)
        chat(live, "x" * 200_000, headers={**headers, "x-zero-session-key": key})
        wanted = {"key": key, "includeDerivedTitles": True, "includeLastMessage": True}
        row = client.call("sessions.describe", wanted)["session"]
        shown = client.call("sessions.preview", {"keys": [key]})["previews"][0]["items"]

        assert "derivedTitle" not in row
        assert "[chat.history omitted: message too large]" == row["lastMessagePreview"]
        assert ["x" * 240] * 2 == [item["text"] for item in shown]

    def test_describe(self, client: Client, key: str, upstream: FakeUpstream) -> None:
        """A session is described with the runs that it has; one that isn't there is null."""
        assert client.call("sessions.describe", {"key": key})["session"] is None
        client.run("hi", sessionKey=key)
        idle = client.call("sessions.describe", {"key": key})["session"]
        upstream.reset()
        upstream.play(stream(Pause(), *words("late")))
        run = new_key()
        request = client.request("agent", {"message": "hi", "idempotencyKey": run, "sessionKey": key})
        upstream.wait()
        busy = client.call("sessions.describe", {"key": key})["session"]
        upstream.last.release()
        client.result(request)

        assert (False, []) == (idle["hasActiveRun"], idle["activeRunIds"])
        assert (True, [run]) == (busy["hasActiveRun"], busy["activeRunIds"])
        assert ("fake", "main", "main") == (idle["modelProvider"], idle["model"], idle["agentId"])

    def test_preview(self, client: Client, key: str) -> None:
        """The last words of several, cut as asked for; missing and emptied ones are told apart."""
        client.run("x" * 50, sessionKey=key)
        client.run("hi", sessionKey=f"{key}-emptied")
        client.call("sessions.reset", {"key": f"{key}-emptied"})
        keys = [key, NOBODY, f"{key}-emptied"]
        previews = client.call("sessions.preview", {"keys": keys, "maxChars": 20})["previews"]
        last = client.call("sessions.preview", {"keys": [key], "limit": 1})["previews"][0]["items"]

        assert list(zip(keys, ["ok", "missing", "empty"], strict=True)) == [(p["key"], p["status"]) for p in previews]
        assert [("user", "x" * 20), ("assistant", "Hello, wörld")] == [
            (i["role"], i["text"]) for i in previews[0]["items"]
        ]
        assert [{"role": "assistant", "text": "Hello, wörld"}] == last

    def test_reset_empties(self, client: Client, key: str, upstream: FakeUpstream) -> None:
        """The session is there still, and the next turn begins anew."""
        client.run("one", sessionKey=key)
        assert key == client.call("sessions.reset", {"key": key})["key"]
        assert [] == client.call("chat.history", {"sessionKey": key})["messages"]
        client.run("two", sessionKey=key)

        assert [{"role": "user", "content": "two"}] == upstream.last.json["messages"]

    def test_resetting_nothing_is_an_error(self, client: Client) -> None:
        """The answer names the key."""
        with pytest.raises(Refused, match=NOBODY):
            client.call("sessions.reset", {"key": NOBODY})

    def test_delete_removes(self, client: Client, key: str) -> None:
        """The second time there is none any more, which is no error."""
        client.run("one", sessionKey=key)

        assert [True, False] == [client.call("sessions.delete", {"key": key})["deleted"] for _ in range(2)]
        assert client.call("sessions.describe", {"key": key})["session"] is None

    def test_bare_keys_mean_the_agents(self, client: Client, key: str) -> None:
        """``agentId`` says which; without one it is the default agent."""
        bare = key.removeprefix("agent:main:")
        client.run("hi", sessionKey=bare)
        client.run("hi", sessionKey=bare, agentId="echo")

        assert key == client.call("chat.history", {"sessionKey": bare})["sessionKey"]
        other = client.call("chat.history", {"sessionKey": bare, "agentId": "echo"})
        assert (f"agent:echo:{bare}", "hi") == (other["sessionKey"], said(other["messages"][1])[1])

    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("chat.history", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("chat.send", {"sessionKey": "agent:main:x", "agentId": "echo", "message": "hi"}),
            ("chat.abort", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("sessions.reset", {"key": "agent:main:x", "agentId": "echo"}),
            ("sessions.delete", {"key": "agent:main:x", "agentId": "echo"}),
            ("agent", {"sessionKey": "agent:main:x", "agentId": "echo"}),
            ("agent", {"sessionKey": "subagent:x"}),
            ("chat.history", {"sessionKey": "hook:x"}),
            ("chat.abort", {"sessionKey": "agent:x"}),
            ("sessions.describe", {"key": "cron:x"}),
            ("sessions.preview", {"keys": ["cron:x"]}),
            ("chat.send", {"sessionKey": "a\nb", "message": "hi"}),
            ("agent", {"agentId": "no spaces"}),
        ],
    )
    def test_contradictions_are_refused(self, client: Client, method: str, more: Json) -> None:
        """Keys of another agent, reserved and malformed ones, by the same rules as over HTTP; in this door's words."""
        with pytest.raises(Refused) as failure:
            client.call(method, params(method, **more))
        wrong = next(name for name in ("sessionKey", "key", "keys", "agentId") if name in more)
        assert ("INVALID_REQUEST", "invalid_value", wrong) == (
            failure.value.code,
            failure.value.details["code"],
            failure.value.details["param"],
        )
        assert wrong in failure.value.message
        assert "x-zero" not in failure.value.message

    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("agent", {"agentId": "nobody"}),
            ("agent", {"sessionKey": "agent:nobody:x"}),
            ("chat.send", {"sessionKey": "x", "agentId": "nobody"}),
            ("chat.history", {"sessionKey": "x", "agentId": "nobody"}),
        ],
    )
    def test_unknown_agents_are_named(self, client: Client, method: str, more: Json) -> None:
        """With details that the protocol's clients know."""
        with pytest.raises(Refused) as failure:
            client.call(method, params(method, **more))
        npm.protocol_validator("UnknownAgentIdErrorDetails").validate(failure.value.details)
        assert {"code": "UNKNOWN_AGENT_ID", "agentId": "nobody"} == failure.value.details

    def test_a_session_outlives_its_agent(self, client: Client) -> None:
        """A full key is enough to look at a session and to remove it, whether its agent is still configured or not."""
        key = "agent:nobody:x"
        assert [] == client.call("chat.history", params("chat.history", sessionKey=key))["messages"]
        assert client.call("sessions.describe", {"key": key})["session"] is None
        assert client.call("sessions.delete", {"key": key})["deleted"] is False
