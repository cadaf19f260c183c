"""What somebody with an API key may use and name: other agents don't exist for it, nor do other sessions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest, ModelNotFound, PermissionDenied
from app.routing.permitted import permitted
from app.routing.session_key import MAX_BYTES, in_scope, parse_requested, rest_for_user, scoped
from app.routing.target import Wish, resolve
from tests.unit.routing.agents import Agents

AGENTS = Agents("beta", "main", "gamma", default="main")
SCOPES = st.sampled_from(["", "a", "b", "ab", "api-key"])
RESTS = st.text(st.sampled_from("ab:-x"), min_size=1, max_size=8) | st.builds(
    lambda scope, rest: f"api-key:{scope}:{rest}", SCOPES, st.text(st.sampled_from("ab:"), max_size=3)
)


def test_some_agents() -> None:
    """In the directory's order; the default is the directory's if it may be used, else the first named."""
    assert permitted(AGENTS, None) is AGENTS
    for named, there, default in (
        (("main", "beta"), ["beta", "main"], "main"),
        (("gamma", "beta"), ["beta", "gamma"], "gamma"),
        (("gone", "beta"), ["beta"], "beta"),
    ):
        some = permitted(AGENTS, named)
        assert (there, default) == (list(some.agents), some.default_agent)


@pytest.mark.parametrize("wish", [Wish(model="zero"), Wish(model="gpt-4o"), Wish(model="zero:main")], ids=str)
def test_agents_that_are_all_gone(wish: Wish) -> None:
    """They were renamed, say: 404, whatever is asked for, and no other agent instead."""
    with pytest.raises(ModelNotFound):
        resolve(wish, permitted(AGENTS, ("gone",)), strict_model=False)


@given(SCOPES, SCOPES, RESTS, RESTS)
def test_no_two_scopes_have_a_session_in_common(one: str, other: str, rest: str, wanted: str) -> None:
    """Whatever they call theirs: only the operator, who has no scope, reaches another's."""
    mine, theirs = scoped(one, rest), scoped(other, wanted)

    assert in_scope(f"agent:main:{mine}", one)
    assert mine == scoped(one, mine), "what was answered can be sent back"
    if one != other and one and other:
        assert mine != theirs
        assert not in_scope(f"agent:main:{theirs}", one)


@given(SCOPES, st.text(min_size=1, max_size=20))
def test_users_are_in_scope_too(scope: str, user: str) -> None:
    """As keys are, and as calls without a session are."""
    for wish in (Wish(model="zero", user=user, scope=scope), Wish(model="zero", scope=scope)):
        key = resolve(wish, AGENTS, strict_model=False).session_key
        assert in_scope(key, scope)
        assert ("api-key:" in key) == bool(scope) or "api-key:" in rest_for_user(user)
        assert parse_requested(key).agent_id == "main"


def test_the_scope_is_not_counted() -> None:
    """The longest key can be sent back; without the scope one byte more is too much. Reserved names stay reserved."""
    longest = "k" * MAX_BYTES
    for key in (longest, scoped("a" * 64, longest), f"agent:main:{scoped('a', longest)}"):
        parse_requested(key)
        with pytest.raises(InvalidRequest):
            parse_requested(key + "k")
    for key in ("api-key:a:cron:x", "agent:main:api-key:a:subagent:x"):
        with pytest.raises(InvalidRequest):
            parse_requested(key)
    with pytest.raises(InvalidRequest):
        parse_requested(f"api-key:A:{longest}")


def test_who_may_not_name_a_session() -> None:
    """Every way of naming one is refused, with the name of the header that did; anything else works."""
    for key in ("x", "agent:main:x", "temporary:x"):
        with pytest.raises(PermissionDenied) as failure:
            resolve(Wish(model="zero", session_key=key, names_session=False), AGENTS, strict_model=False)
        assert "x-zero-session-key" == failure.value.param
    assert resolve(Wish(model="zero", user="u", names_session=False), AGENTS, strict_model=False).stateful
