"""Session keys: which are refused, and that users' keys are their own."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.routing.session_key import MAX_BYTES, RequestedKey, fresh_key, full_key, key_for_user, parse_requested

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_BYTES)
USERS = st.one_of(
    st.text(min_size=1),
    st.text("aA%0 :é\u0301\u212a/", min_size=1, max_size=8),
    st.integers(480, 520).map(lambda length: "u" * length),
)


def refusal_of(key: str) -> str:
    """Parse a key that is expected to be refused, and return why."""
    with pytest.raises(InvalidRequest) as caught:
        parse_requested(key)
    assert ("x-zero-session-key", "invalid_value", 400) == (
        caught.value.param,
        caught.value.code,
        caught.value.status,
    )
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("k", RequestedKey(None, "k")),
        ("a:b:c", RequestedKey(None, "a:b:c")),
        ("agent", RequestedKey(None, "agent")),
        ("agents:x", RequestedKey(None, "agents:x")),
        ("agent:beta:k", RequestedKey("beta", "k")),
        ("AGENT:Beta:K", RequestedKey("beta", "K")),
        ("agent:beta:a:b", RequestedKey("beta", "a:b")),
        ("agent:beta:agent:main:k", RequestedKey("beta", "agent:main:k")),
        ("agent:beta: k", RequestedKey("beta", " k")),
        ("my subagent:x", RequestedKey(None, "my subagent:x")),
        ("cronjob", RequestedKey(None, "cronjob")),
        ("k" * 512, RequestedKey(None, "k" * 512)),
        ("agent:beta:" + "k" * 512, RequestedKey("beta", "k" * 512)),
    ],
)
def test_requested_key(value: str, expected: RequestedKey) -> None:
    """A bare key is kept as it stands; a full one is taken apart, its agent's id in lower case."""
    assert expected == parse_requested(value)


@pytest.mark.parametrize(
    "value", ["agent:", "agent::k", "agent:beta", "agent:beta:", "agent:b b:k", "agent:-:k", "agent:" + "a" * 65 + ":k"]
)
def test_malformed_full_key(value: str) -> None:
    """What begins as a full key has to be one."""
    assert "agent:<agentId>:<key>" in refusal_of(value)


@pytest.mark.parametrize("prefix", ["", "agent:main:"])
@pytest.mark.parametrize("namespace", ["subagent:", "cron:", "acp:", "hook:"])
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_reserved_namespace(prefix: str, namespace: str, spell: Callable[[str], str]) -> None:
    """The namespaces that the gateway keeps for itself are closed to clients, in any case, bare or behind an agent."""
    assert "reserved" in refusal_of(prefix + spell(namespace) + "x")


@pytest.mark.parametrize(
    "character", ["\x00", "\t", "\n", "\r", "\x1f", "\x7f", "\x85", "\u2028", "é", "\u212a", "\ud800"]
)
@pytest.mark.parametrize("key", ["{}", "a{}", "{}a", "agent:main:{}"])
def test_unprintable_key(character: str, key: str) -> None:
    """Control characters and what isn't ASCII are refused wherever they stand."""
    assert "printable ASCII" in refusal_of(key.format(character))


@pytest.mark.parametrize("prefix", ["", "agent:main:"])
def test_long_key(prefix: str) -> None:
    """A key may have 512 bytes besides its agent, and not one more."""
    assert "longer than 512 bytes" in refusal_of(prefix + "k" * 513)


@given(st.one_of(st.text(st.characters(), min_size=1), PRINTABLE, PRINTABLE.map(lambda text: f"agent:main:{text}")))
def test_any_text_is_parsed_or_refused(value: str) -> None:
    """No text, surrogates included, makes the parser raise anything but the refusal."""
    try:
        requested = parse_requested(value)
    except InvalidRequest:
        return
    assert requested.rest
    assert value.endswith(requested.rest)


@given(PRINTABLE)
def test_full_key_is_a_fixed_point(rest: str) -> None:
    """A key that we answer with is a full key that means itself."""
    try:
        requested = parse_requested(rest)
    except InvalidRequest:
        assume(False)
        raise AssertionError from None
    key = full_key(requested.agent_id or "main", requested.rest)
    assert key == full_key(*parse_requested(key))  # type: ignore[arg-type]  # a full key has an agent


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("maria", "agent:main:openai-user:maria"),
        ("Maria", "agent:main:openai-user:Maria"),
        ("maria@example.com", "agent:main:openai-user:maria@example.com"),
        ("a:b", "agent:main:openai-user:a:b"),
        ("a b", "agent:main:openai-user:a%20b"),
        ("100%", "agent:main:openai-user:100%25"),
        ("josé", "agent:main:openai-user:jos%C3%A9"),
        ("\n", "agent:main:openai-user:%0A"),
        ("k" * 500, "agent:main:openai-user:" + "k" * 500),
        (
            "k" * 501,
            "agent:main:openai-user:%sha256:86012b632bf6b1de0ea7757bff60acabb1efc9334b1d1a31ad1902029f5716c2",
        ),
    ],
)
def test_user_key(user: str, expected: str) -> None:
    """The key of a user is the same for ever: sessions are found by it after a restart and on other replicas."""
    assert expected == key_for_user("main", user)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("maria", "Maria"),
        ("a b", "a%20b"),
        ("%", "%25"),
        ("é", "e\u0301"),
        ("k", "\u212a"),
        ("a", "a "),
        ("u" * 600, "u" * 601),
        ("u" * 600, "%sha256:" + "0" * 64),
        ("a\x00", "a"),
        ("\ud800", "?"),
        ("\ud800", "\ud801"),
    ],
)
def test_users_who_look_alike(one: str, other: str) -> None:
    """Users who differ in case, blanks, encoding or Unicode's ways to write a letter are different users."""
    assert key_for_user("main", one) != key_for_user("main", other)


@given(st.text(st.characters(), min_size=1))
@example("\ud800")
@example("\udcff")
def test_user_key_fits_a_header(user: str) -> None:
    """Whatever the user is called, the key is printable ASCII without blanks and short enough to be sent back."""
    key = key_for_user("main", user)
    assert set(key) <= set(string.ascii_letters + string.digits + string.punctuation)
    assert len(key.removeprefix("agent:main:")) <= MAX_BYTES


@given(USERS, USERS)
def test_two_users_never_share_a_key(one: str, other: str) -> None:
    """Different users have different keys, and equal ones the same."""
    assert (one == other) == (key_for_user("main", one) == key_for_user("main", other))


@given(USERS)
def test_user_key_can_be_sent_back(user: str) -> None:
    """The header's key of a user's session, sent back, is that session's key."""
    key = key_for_user("main", user)
    assert RequestedKey("main", key.removeprefix("agent:main:")) == parse_requested(key)


def test_fresh_keys_differ() -> None:
    """Each stateless call has a key of its own, in its agent's namespace, fit to be sent back."""
    keys = {fresh_key("beta") for _ in range(50)}
    assert 50 == len(keys)
    assert {("beta", "openai:")} == {(r.agent_id, r.rest[:7]) for r in map(parse_requested, keys)}
