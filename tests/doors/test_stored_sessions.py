"""Looking after stored sessions over HTTP: listed, shown, exported, imported, emptied, deleted, restored."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from app.sessions.message import Message, chained, digest
from tests.doors.client import SECONDS, Reply, ask, assistant, chat, user
from tests.doors.sessions import KEY, agents, seen
from tests.doors.upstream import Upstream
from tests.live_gateway import TOKEN, LiveGateway, configuration

SESSIONS = "/v1/zero/sessions"
JSONL = {"Content-Type": "application/jsonl"}
NO_MESSAGE = f"sha256:{'0' * 64}"
ODD = ["50%", "a/b", "a%2Fb", "a:b", "with blanks", "%2F", "..", "?x=1#y", "a/../b", "export", "messages/", "%25/%"]


def at(key: str, below: str = "", **query: str | int) -> str:
    """Return the address of a session, or of what is below it."""
    asked = f"?{urlencode(query)}" if query else ""
    return f"{SESSIONS}/{quote(f'agent:main:{key}', safe='')}{below}{asked}"


def said(gateway: LiveGateway, key: str, **query: str | int) -> list[str]:
    """Return what a session has, oldest first."""
    data = ask(gateway, "GET", at(key, "/messages", **query)).json["data"]
    return [f"{message['role']}: {message['body']['content']}" for message in reversed(data)]


def take_in(gateway: LiveGateway, data: bytes) -> Reply:
    """Import lines."""
    return ask(gateway, "POST", f"{SESSIONS}/import", headers=JSONL, body=data)


@pytest.fixture
def name(key: dict[str, str]) -> str:
    """The name of a session that no other test uses."""
    return key[KEY]


def two_branches(gateway: LiveGateway, name: str) -> None:
    """Have a session in which the second question was asked anew."""
    chat(gateway, [user("one")], headers={KEY: name})
    chat(gateway, [user("one"), assistant("one"), user("two")], headers={KEY: name})
    chat(gateway, [user("one"), assistant("one"), user("other")], headers={KEY: name})


def test_list(start_gateway: Callable[..., LiveGateway]) -> None:
    """Sessions come newest first in OpenAI's pages, and can be chosen by agent, user and words of their keys."""
    gateway = start_gateway()
    assert {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False} == ask(
        gateway, "GET", SESSIONS
    ).json
    for name in ("one", "two"):
        chat(gateway, headers={KEY: name})
    for model in ("zero:main", "zero:beta"):
        chat(gateway, model=model, user="maria ávila")
    chat(gateway, user="maria")
    chat(gateway)  # stateless

    def listed(**query: str | int) -> list[str]:
        return [session["id"] for session in ask(gateway, "GET", f"{SESSIONS}?{urlencode(query)}").json["data"]]

    maria = "openai-user:maria%20%C3%A1vila"
    every = [
        "agent:main:openai-user:maria",
        f"agent:beta:{maria}",
        f"agent:main:{maria}",
        "agent:main:two",
        "agent:main:one",
    ]
    assert every == listed()
    assert [f"agent:beta:{maria}"] == listed(agent="BETA")
    assert every[1:3] == listed(user="maria ávila")
    assert every[2:3] == listed(user="maria ávila", agent="main")
    assert ["agent:main:two"] == listed(search="TWO")
    first = ask(gateway, "GET", f"{SESSIONS}?limit=2").json
    assert (every[:2], every[0], every[1], True) == (
        [session["id"] for session in first["data"]],
        first["first_id"],
        first["last_id"],
        first["has_more"],
    )
    assert every[2:] == listed(after=every[1])
    assert not ask(gateway, "GET", f"{SESSIONS}?limit=3&after={quote(every[1])}").json["has_more"]
    session = first["data"][1]
    assert ("session", "beta") == (session["object"], session["agent"])
    assert 0 < session["created_at"] <= session["updated_at"]


def test_retrieve_and_messages(gateway: LiveGateway, name: str) -> None:
    """A session tells how much it has, and its messages come newest first, page by page, branch by branch."""
    two_branches(gateway, name)
    session = ask(gateway, "GET", at(name)).json
    assert (f"agent:main:{name}", 4, 2) == (session["id"], session["message_count"], session["branch_count"])
    assert ["user: one", "assistant: one", "user: other", "assistant: other"] == said(gateway, name)
    first = ask(gateway, "GET", at(name, "/messages", limit=3)).json
    assert (3, True) == (len(first["data"]), first["has_more"])
    assert (first["data"][0]["id"], first["data"][-1]["id"]) == (first["first_id"], first["last_id"])
    assert ["user: one"] == said(gateway, name, after=first["last_id"])
    active, old = ask(gateway, "GET", at(name, "/branches")).json["data"]
    assert [(True, 4), (False, 4)] == [(one["active"], one["message_count"]) for one in (active, old)]
    assert active["id"] == first["first_id"]
    assert ["user: one", "assistant: one", "user: two", "assistant: two"] == said(gateway, name, branch=old["id"])
    paged = ask(gateway, "GET", at(name, "/branches", limit=1)).json
    assert ([active], True) == (paged["data"], paged["has_more"])
    assert [old] == ask(gateway, "GET", at(name, "/branches", limit=1, after=active["id"])).json["data"]


def test_restore(live: LiveGateway, upstream: Upstream, name: str) -> None:
    """The next turn goes on from the restored branch; the other one is a branch then."""
    for turn in ("two", "other"):
        chat(live, [user("one"), assistant("re: one"), user(turn)], headers={KEY: name})
    old = ask(live, "GET", at(name, "/branches")).json["data"][1]
    restored = ask(live, "POST", at(name, f"/branches/{old['id']}/restore"))
    assert (200, f"agent:main:{name}") == (restored.status, restored.json["id"])
    chat(live, "three", headers={KEY: name})
    words = ["one", "re: one", "two", "re: two", "three"]
    assert words == [text for _, text in seen(upstream)]
    assert 2 == ask(live, "GET", at(name)).json["branch_count"]
    assert (404, "branch_not_found", "branch") == ask(
        live, "POST", at(name, f"/branches/{old['id']}/restore")
    ).summary  # it has gone on, and no longer ends there


def test_restore_waits_for_runs(live: LiveGateway, upstream: Upstream, name: str) -> None:
    """A run that is under way ends first, and its turn isn't lost."""
    for turn in ("two", "other"):
        chat(live, [user("one"), assistant("re: one"), user(turn)], headers={KEY: name})
    old = ask(live, "GET", at(name, "/branches")).json["data"][1]
    with upstream.held() as calls, ThreadPoolExecutor(2) as pool:
        running = pool.submit(chat, live, "three", headers={KEY: name})
        call = calls.get(timeout=SECONDS)
        restoring = pool.submit(ask, live, "POST", at(name, f"/branches/{old['id']}/restore"))
        ask(live, "GET", "/healthz")
        assert not restoring.done()
        call.answer("re: three")
        assert "re: three" == running.result().text
        assert 200 == restoring.result().status
    assert "assistant: re: two" == said(live, name)[-1]
    newest = [said(live, name, branch=one["id"])[-1] for one in ask(live, "GET", at(name, "/branches")).json["data"]]
    assert {"assistant: re: two", "assistant: re: three"} == set(newest)


def test_reset(gateway: LiveGateway, name: str) -> None:
    """An emptied session has its key, and what was said as a branch that can be restored."""
    chat(gateway, "one", headers={KEY: name})
    assert 200 == ask(gateway, "POST", at(name, "/reset")).status
    assert [] == said(gateway, name)
    session = ask(gateway, "GET", at(name)).json
    assert (0, 1) == (session["message_count"], session["branch_count"])
    (old,) = ask(gateway, "GET", at(name, "/branches")).json["data"]
    assert not old["active"]
    ask(gateway, "POST", at(name, f"/branches/{old['id']}/restore"))
    assert ["user: one", "assistant: one"] == said(gateway, name)


@pytest.mark.parametrize(("method", "below"), [("DELETE", ""), ("POST", "/reset")])
def test_runs_are_stopped(live: LiveGateway, upstream: Upstream, name: str, method: str, below: str) -> None:
    """A run of a session that is deleted or emptied ends, and leaves nothing."""
    chat(live, "one", headers={KEY: name})
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        running = pool.submit(chat, live, "two", headers={KEY: name})
        call = calls.get(timeout=SECONDS)
        assert 200 == ask(live, method, at(name, below)).status
        assert (503, "run_aborted", None) == running.result().summary
        call.wait_until_abandoned()
    assert (404 if method == "DELETE" else 200) == ask(live, "GET", at(name)).status


def test_delete(gateway: LiveGateway, name: str) -> None:
    """A deleted session is gone, and deleting it again is 404."""
    chat(gateway, "one", headers={KEY: name})
    assert {"id": f"agent:main:{name}", "object": "session.deleted", "deleted": True} == ask(
        gateway, "DELETE", at(name)
    ).json
    for method, below in [("DELETE", ""), ("GET", ""), ("GET", "/messages"), ("GET", "/branches"), ("GET", "/export"),
                          ("POST", "/reset"), ("POST", f"/branches/{NO_MESSAGE}/restore")]:  # fmt: skip
        assert (404, "session_not_found", "key") == ask(gateway, method, at(name, below)).summary


def test_delete_a_users_everything(start_gateway: Callable[..., LiveGateway]) -> None:
    """Of all agents or of one, and nobody else's; without a user nothing is deleted at all."""
    gateway = start_gateway()
    for who in ("maria", "Maria", "maria/2"):
        for model in ("zero:main", "zero:beta"):
            chat(gateway, model=model, user=who)
    chat(gateway, headers={KEY: "maria"})
    for query in ("", "?user=", "?agent=main", "?user=maria&user=x", "?user=maria&agnet=beta", "?search=maria"):
        assert 400 == ask(gateway, "DELETE", f"{SESSIONS}{query}").status
    assert 7 == len(ask(gateway, "GET", SESSIONS).json["data"])
    assert {"object": "sessions.deleted", "user": "maria", "deleted": 1} == ask(
        gateway, "DELETE", f"{SESSIONS}?user=maria&agent=beta"
    ).json
    assert 2 == ask(gateway, "DELETE", f"{SESSIONS}?user=Maria").json["deleted"]
    assert 1 == ask(gateway, "DELETE", f"{SESSIONS}?user=maria").json["deleted"]
    assert 0 == ask(gateway, "DELETE", f"{SESSIONS}?user=maria").json["deleted"]
    left = {session["id"] for session in ask(gateway, "GET", SESSIONS).json["data"]}
    assert {"agent:main:openai-user:maria/2", "agent:beta:openai-user:maria/2", "agent:main:maria"} == left


@pytest.mark.parametrize("odd", ODD)
def test_any_key_is_found_under_its_encoded_form(gateway: LiveGateway, odd: str) -> None:
    """A key is percent-decoded once, whatever is in it, and everything below it is about that session."""
    chat(gateway, "one", headers={KEY: f"odd {odd}"})
    assert f"agent:main:odd {odd}" == ask(gateway, "GET", at(f"odd {odd}")).json["id"]
    assert ["user: one", "assistant: one"] == said(gateway, f"odd {odd}")
    header = json.loads(ask(gateway, "GET", at(f"odd {odd}", "/export")).body.splitlines()[0])
    assert f"agent:main:odd {odd}" == header["session"]["key"]
    assert 200 == ask(gateway, "POST", at(f"odd {odd}", "/reset")).status
    assert 200 == ask(gateway, "DELETE", at(f"odd {odd}")).status


@pytest.mark.parametrize(
    "path", ["/notes", "/agent:main:", "/agent:main", "/agent:%C3%A1:x", "/agent:main:%ff", "/agent:main:a%0Ab",
             "/agent:main:cron:x", "/agent:main:" + "x" * 600]
)  # fmt: skip
def test_what_is_no_full_key_is_400(gateway: LiveGateway, path: str) -> None:
    """And ``param`` says so."""
    assert (400, "invalid_value", "key") == ask(gateway, "GET", SESSIONS + path).summary


@pytest.mark.parametrize(
    "path", ["/agent:main:a/b", "/agent:main:a/messages/x", "/agent:main:a/branches/x", "/agent:main:a/nothing"]
)
def test_other_paths_are_404(gateway: LiveGateway, path: str) -> None:
    """A slash of a key that isn't encoded makes another path of it, which there isn't."""
    assert (404, "unknown_url", None) == ask(gateway, "GET", SESSIONS + path).summary


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", SESSIONS, "DELETE, GET"), ("POST", f"{SESSIONS}/export", "GET"), ("GET", f"{SESSIONS}/import", "POST"),
     ("POST", at("x"), "DELETE, GET"), ("DELETE", at("x", "/messages"), "GET"), ("PATCH", at("x", "/reset"), "POST"),
     ("OPTIONS", at("x", "/branches/y/restore"), "POST"), ("TRACE", at("x", "/export"), "GET")],
)  # fmt: skip
def test_other_methods_are_405(gateway: LiveGateway, method: str, path: str, allowed: str) -> None:
    """And the answer says which the path has."""
    reply = ask(gateway, method, path, token=None)
    assert (405, "method_not_supported", None, allowed) == (*reply.summary, reply.header("allow"))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1&limit=1", "limit=%C2%B2",
                                   "after=x", "agent=%20", "user=", "user=%ff",
                                   "serach=x"])  # fmt: skip
def test_malformed_parameters_are_400(gateway: LiveGateway, query: str) -> None:
    """And ``param`` names the parameter, if it can be read."""
    param = None if "%ff" in query else query.partition("=")[0]
    assert (400, param) == ask(gateway, "GET", f"{SESSIONS}?{query}").summary[::2]


@pytest.mark.parametrize("query", ["branch=x", "after=sha256:0", "limit=0", "nothing=1"])
def test_malformed_parameters_of_messages_are_400(gateway: LiveGateway, name: str, query: str) -> None:
    """And ``param`` names them, before anybody looks for the session."""
    address = f"{at(name, '/messages')}?{query}"
    assert (400, "invalid_value", query.partition("=")[0]) == ask(gateway, "GET", address).summary


def test_what_is_not_there_is_404(gateway: LiveGateway, name: str) -> None:
    """A page can't follow what doesn't exist, and what doesn't exist has no pages."""
    chat(gateway, "one", headers={KEY: name})
    wrong = [
        (f"{SESSIONS}?after=agent:main:nobody", "session_not_found", "after"),
        (at(name, "/messages", after=NO_MESSAGE), "message_not_found", "after"),
        (at(name, "/messages", branch=NO_MESSAGE), "branch_not_found", "branch"),
        (at(name, "/branches", after=NO_MESSAGE), "branch_not_found", "after"),
    ]
    for address, code, param in wrong:
        assert (404, code, param) == ask(gateway, "GET", address).summary


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/export", at("x"), at("x", "/messages"), at("x", "/export")])
def test_everything_wants_the_secret(gateway: LiveGateway, path: str) -> None:
    """Nobody else learns what there is."""
    for token in (None, "wrong"):
        assert (401, "invalid_api_key", None) == ask(gateway, "GET", path, token=token).summary


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/import", at("x"), at("x", "/export"), at("x", "/no/such")])
def test_off_means_off(start_gateway: Callable[..., LiveGateway], path: str) -> None:
    """With the API switched off there are no sessions to be seen either."""
    config = configuration()
    del config["gateway"]["http"]
    assert (404, "unknown_url", None) == ask(start_gateway(config), "GET", path).summary


def test_round_trip(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
    """An export, taken in by an empty gateway, gives the same export there, and the next turn goes on with it."""
    first, second = (start_gateway(agents(upstream)) for _ in range(2))
    for name in ("a", "b/ %"):
        two_branches(first, name)
    ask(first, "POST", at("a", "/reset"))
    chat(first, user="maria")
    for query in ("", "?user=maria", "?agent=beta"):
        exported = ask(first, "GET", f"{SESSIONS}/export{query}")
        assert (200, "application/jsonl") == (exported.status, exported.header("content-type"))
    assert b"" == exported.body
    whole = ask(first, "GET", f"{SESSIONS}/export").body
    taken = take_in(second, whole).json["data"]
    assert [("created", 2), ("created", 7), ("created", 7)] == [(one["outcome"], one["added"]) for one in taken]
    exported_again = ask(second, "GET", f"{SESSIONS}/export").body
    assert whole == exported_again
    assert {"unchanged"} == {one["outcome"] for one in take_in(second, whole).json["data"]}
    chat(second, "three", headers={KEY: "b/ %"})
    # What the client sent as the first answer was not what the agent had said, so it counts.
    assert ["one", "one", "other", "re: other", "three"] == [text for _, text in seen(upstream)]
    chat(second, "three", headers={KEY: "a"})
    assert ["three"] == [text for _, text in seen(upstream)]


def test_a_bad_import_changes_nothing(gateway: LiveGateway, name: str) -> None:
    """One wrong line, and not even the sessions before it are written; ``param`` names it."""
    two_branches(gateway, name)
    good = ask(gateway, "GET", at(name, "/export")).body
    ask(gateway, "DELETE", at(name))
    lines = good.splitlines(keepends=True)
    wrong = good + lines[0].replace(name.encode(), b"other") + lines[1] + lines[2].replace(b"one", b"ONE")
    for body, line in [(wrong, 10), (good + b"{}", 8), (b"x", 1), (good[:-40], 7), (b"".join(lines[:-1]), 7),
                       (good.replace(b'"agent:main:', b'"agent:beta:', 1), 1),
                       (good.replace(b"agent:main:", b"x", 1), 1),
                       (good.replace(b"agent:main:", b"agent:main:cron:", 1), 1)]:  # fmt: skip
        assert (400, "invalid_value", f"line {line}") == take_in(gateway, body).summary
        assert 404 == ask(gateway, "GET", at(name)).status
    assert (400, "invalid_json", None) == take_in(gateway, b"").summary
    as_json = ask(gateway, "POST", f"{SESSIONS}/import", headers={"Content-Type": "application/json"}, body=good)
    assert (415, "unsupported_media_type", None) == as_json.summary
    assert "application/jsonl" in as_json.error["message"]
    assert 200 == take_in(gateway, good).status


@pytest.mark.parametrize(
    "body",
    [
        {"role": "user"},
        {"role": "user", "content": [{"type": "zzz"}]},
        {"role": "tool", "content": "x"},
        {"role": "assistant", "content": "x", "tool_calls": [{"id": "a", "type": "function", "function": {}}]},
    ],
    ids=["no content", "no part", "no call", "half a call"],
)
def test_an_import_takes_only_what_a_request_could_hold(gateway: LiveGateway, name: str, body: dict[str, Any]) -> None:
    """However right its hashes are: an engine would be sent it in every turn from then on."""
    message = Message(body["role"], msgspec.Raw(msgspec.json.encode(body)))
    try:
        content = digest(message)
    except KeyError:
        content = "sha256:" + "0" * 64  # no hash can be made of it at all
    line = {"id": chained(None, content), "parent": None, "digest": content, "role": body["role"], "run_id": "r",
            "created_at": 1.0, "body": body}  # fmt: skip
    own = {"key": f"agent:main:{name}", "agent_id": "main", "head": line["id"], "created_at": 1.0, "updated_at": 1.0}
    header = {"format": "zero-session", "version": 1, "session": own, "messages": 1}
    reply = take_in(gateway, "\n".join(map(json.dumps, (header, line))).encode())
    assert (400, "invalid_value", "line 2") == reply.summary
    assert 404 == ask(gateway, "GET", at(name)).status


def test_an_import_of_nothing(gateway: LiveGateway) -> None:
    """Empty lines are no sessions."""
    assert 400 == take_in(gateway, b"\n\n").status


def test_an_import_is_bounded(start_gateway: Callable[..., LiveGateway]) -> None:
    """By what bounds every body."""
    endpoint = {"enabled": True, "maxBodyBytes": 1000}
    gateway = start_gateway(configuration(gateway={"http": {"endpoints": {"chatCompletions": endpoint}}}))
    assert (413, "request_too_large", None) == take_in(gateway, b"x" * 1001).summary


def test_a_long_session_is_exported_in_pieces(gateway: LiveGateway, name: str) -> None:
    """More than is read at a time comes whole, and whatever JSON the client once sent, each message is one line."""
    long = "x" * 300_000
    for at_turn in range(6):
        chat(gateway, f"{at_turn}{long}", headers={KEY: name})
    pretty = json.dumps({"role": "user", "content": "pretty\u2028\r\n"}, indent=1, ensure_ascii=False).encode()
    body = b'{"model": "zero", "messages": [' + pretty.replace(b"\n", b"\r\n") + b"]}"
    reply = ask(
        gateway,
        "POST",
        "/v1/chat/completions",
        headers={"Content-Type": "application/json", KEY: name},
        body=body,
    )
    assert 200 == reply.status
    exported = ask(gateway, "GET", at(name, "/export")).body
    assert 15 == exported.count(b"\n")
    lines: list[Any] = [json.loads(line) for line in exported.split(b"\n") if line]
    assert 14 == lines[0]["messages"] == len(lines) - 1
    assert "pretty\u2028\r\n" == lines[-2]["body"]["content"]
    ask(gateway, "DELETE", at(name))
    assert "created" == take_in(gateway, exported).json["data"][0]["outcome"]
    assert exported == ask(gateway, "GET", at(name, "/export")).body


def test_pages_of_messages_are_bounded_by_bytes(gateway: LiveGateway, name: str) -> None:
    """A page has at most about a megabyte, but always a message."""
    chat(gateway, "x" * 1_200_000, headers={KEY: name})
    chat(gateway, "y" * 400_000, headers={KEY: name})
    pages = []
    query: dict[str, str | int] = {}
    while True:
        page = ask(gateway, "GET", at(name, "/messages", **query)).json
        pages.append([len(message["body"]["content"]) for message in page["data"]])
        if not page["has_more"]:
            break
        query = {"after": page["last_id"]}
    assert [[400_000, 400_000], [1_200_000], [1_200_000]] == pages


def test_an_unreadable_store_is_503(start_gateway: Callable[..., LiveGateway], tmp_path: Any) -> None:
    """Every operation says so, and invites another try."""
    (tmp_path / "state").write_text("in the way")
    gateway = start_gateway(environ={"ZERO_STATE_DIR": str(tmp_path / "state")})
    for method, path in [("GET", SESSIONS), ("DELETE", f"{SESSIONS}?user=x"), ("GET", f"{SESSIONS}/export"),
                         ("GET", at("x")), ("DELETE", at("x")), ("GET", at("x", "/messages")),
                         ("GET", at("x", "/export")), ("POST", at("x", "/reset")), ("GET", at("x", "/branches")),
                         ("POST", at("x", f"/branches/{NO_MESSAGE}/restore"))]:  # fmt: skip
        assert (503, "session_store_unavailable", None) == ask(gateway, method, path).summary


def test_a_client_that_leaves_while_it_waits_restores_nothing(live: LiveGateway, upstream: Upstream, name: str) -> None:
    """A restore that nobody waits for any more gives its place in the queue up."""
    for turn in ("two", "other"):
        chat(live, [user("one"), assistant("re: one"), user(turn)], headers={KEY: name})
    old = ask(live, "GET", at(name, "/branches")).json["data"][1]
    address = at(name, f"/branches/{old['id']}/restore")
    head = f"POST {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}"
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        running = pool.submit(chat, live, "three", headers={KEY: name})
        call = calls.get(timeout=SECONDS)
        with socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS) as client:
            client.sendall(f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
            # The gateway reads sockets in one loop, in order: an answer to this proves that it has read the request.
            ask(live, "GET", "/healthz")
        ask(live, "GET", "/healthz")
        call.answer("re: three")
        assert "re: three" == running.result().text
    assert ["user: three", "assistant: re: three"] == said(live, name)[-2:]
