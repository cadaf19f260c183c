"""The resolver: every sentence of design.md, "Which agent" and "Which session"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import GatewayError, InvalidRequest, ModelNotFound
from app.routing.target import Target, Wish, agent_of_model, resolve
from tests.unit.routing.agents import Agents

# The default agent is not the first one, so that the two can't be mistaken for each other.
AGENTS: Final = Agents("beta", "main", "back-up_2", default="main")
UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def target(model: str = "zero", **wishes: str) -> Target:
    """Resolve a wish among the agents."""
    return resolve(wish(model, **wishes), AGENTS, strict_model=False)


def strict_target(model: str, **wishes: str) -> Target:
    """Resolve a wish while foreign model names are forbidden."""
    return resolve(wish(model, **wishes), AGENTS, strict_model=True)


def wish(model: str, **wishes: str) -> Wish:
    """Make a wish."""
    return msgspec.convert({"model": model, **wishes}, Wish)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("zero", "main"),
        ("zero/default", "main"),
        ("zero:default", "main"),
        ("agent:default", "main"),
        ("zero:beta", "beta"),
        ("zero/beta", "beta"),
        ("agent:beta", "beta"),
        ("ZERO:BETA", "beta"),
        ("zero:Back-Up_2", "back-up_2"),
        ("gpt-4o", "main"),
        ("beta", "main"),
        ("openai/gpt-4o", "main"),
        ("zero-mini", "main"),
        ("\u01b6ero:beta", "main"),
    ],
)
def test_model_names_the_agent(model: str, expected: str) -> None:
    """The model is an agent of ours, the default agent, or a foreign name, which the default agent answers to."""
    assert expected == target(model).agent.id


@pytest.mark.parametrize("model", ["zero:gamma", "zero/gamma", "agent:gamma", "zero:back\u212a", "zero:", "zero:a b"])
@pytest.mark.parametrize("find", [target, strict_target])
def test_unknown_agent_in_model(model: str, find: Callable[[str], Target]) -> None:
    """A model of our forms whose agent there isn't is 404 model_not_found, and says which models there are."""
    with pytest.raises(ModelNotFound) as caught:
        find(model)
    error = caught.value
    assert (404, "model_not_found", "model") == (error.status, error.code, error.param)
    assert "zero:beta, zero:main, zero:back-up_2" in error.message


def test_strict_model_refuses_foreign_names() -> None:
    """With strictModel a foreign model name is 404 as well."""
    with pytest.raises(ModelNotFound) as caught:
        strict_target("gpt-4o")
    assert "model" == caught.value.param
    assert "'gpt-4o'" in caught.value.message


@pytest.mark.parametrize("model", ["zero", "zero:default", "zero:beta", "agent:main"])
def test_strict_model_accepts_our_names(model: str) -> None:
    """strictModel changes nothing for the names that are ours."""
    assert target(model).agent == strict_target(model).agent


@pytest.mark.parametrize(
    ("agent", "expected"), [("beta", "beta"), ("BETA", "beta"), ("default", "main"), ("Default", "main")]
)
@pytest.mark.parametrize("model", ["zero", "zero:main", "gpt-4o", "zero:gamma"])
def test_header_beats_model(agent: str, expected: str, model: str) -> None:
    """The agent header decides, whatever the model says."""
    assert expected == target(model, agent=agent).agent.id


@pytest.mark.parametrize("agent", ["b b", "-", "a" * 65, "zero:beta", "bac\u212a-up_2", "beta\n", "\ud800"])
@pytest.mark.parametrize("param", ["x-zero-agent-id", "x-zero-agent"])
def test_invalid_agent_header(agent: str, param: str) -> None:
    """A header that isn't an id is 400 and names the header that was sent."""
    with pytest.raises(InvalidRequest) as caught:
        target(agent=agent, agent_param=param)
    assert (400, param) == (caught.value.status, caught.value.param)
    assert caught.value.message.startswith(param)


@pytest.mark.parametrize("param", ["x-zero-agent-id", "x-zero-agent"])
def test_unknown_agent_in_header(param: str) -> None:
    """A header that names an agent there isn't is 404 with the header's name as param."""
    with pytest.raises(ModelNotFound) as caught:
        target(agent="gamma", agent_param=param)
    assert (404, "model_not_found", param) == (caught.value.status, caught.value.code, caught.value.param)


@pytest.mark.parametrize("model", ["zero", "zero/default", "gpt-4o"])
def test_full_session_key_chooses_the_agent(model: str) -> None:
    """A full key selects its agent when neither header nor model names one."""
    assert ("beta", "agent:beta:k", True) == described(target(model, session_key="agent:beta:k"))


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"session_key": "agent:beta:k"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "Agent:BETA:K"}, ("beta", "agent:beta:K", True)),
        ({"session_key": "k"}, ("main", "agent:main:k", True)),
        ({"session_key": "k", "agent": "beta"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "k", "model": "zero:beta"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "agent:beta:k", "agent": "BETA"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "agent:beta:k", "model": "zero/beta"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "agent:beta:k", "agent": "beta", "model": "zero:main"}, ("beta", "agent:beta:k", True)),
        ({"session_key": "k", "user": "maria"}, ("main", "agent:main:k", True)),
        ({"session_key": "agent:beta:openai-user:maria"}, ("beta", "agent:beta:openai-user:maria", True)),
        ({"user": "maria"}, ("main", "agent:main:openai-user:maria", True)),
        ({"user": "maria", "agent": "beta"}, ("beta", "agent:beta:openai-user:maria", True)),
        ({"user": "maria", "model": "zero:beta"}, ("beta", "agent:beta:openai-user:maria", True)),
        ({"user": " "}, ("main", "agent:main:openai-user:%20", True)),
    ],
)
def test_session(wishes: dict[str, str], expected: tuple[str, str, bool]) -> None:
    """The header's key wins, full or bare; else the user has a session of their own with each agent."""
    assert expected == described(target(**wishes))


@pytest.mark.parametrize(
    "wishes",
    [
        {"agent": "main"},
        {"agent": "default"},
        {"model": "zero:main"},
        {"model": "agent:main"},
        {"agent": "main", "model": "zero:beta"},
    ],
)
def test_contradiction(wishes: dict[str, str]) -> None:
    """A full key that belongs to another agent than the one explicitly chosen is 400."""
    with pytest.raises(InvalidRequest) as caught:
        target(session_key="agent:beta:k", **wishes)
    assert (400, "x-zero-session-key") == (caught.value.status, caught.value.param)
    assert "'beta'" in caught.value.message
    assert "'main'" in caught.value.message


def test_unknown_agent_in_session_key() -> None:
    """A full key of an agent there isn't is 404 and names the header."""
    with pytest.raises(ModelNotFound) as caught:
        target(session_key="agent:gamma:k")
    assert (404, "x-zero-session-key") == (caught.value.status, caught.value.param)


@pytest.mark.parametrize("key", ["cron:x", "agent:main:HOOK:x", "a\nb", "k" * 513, "agent:main"])
def test_refused_session_key(key: str) -> None:
    """A key that can't be is 400 and names the header, even beside a user who would do."""
    with pytest.raises(InvalidRequest) as caught:
        target(session_key=key, user="maria")
    assert "x-zero-session-key" == caught.value.param


@pytest.mark.parametrize("agent", ["", "beta"])
def test_stateless(agent: str) -> None:
    """Without key and user each call is on its own: a new key, and nothing to keep."""
    one, other = target(agent=agent), target(agent=agent)
    assert (False, False) == (one.stateful, other.stateful)
    assert re.fullmatch(rf"agent:{agent or 'main'}:openai:{UUID}", one.session_key)
    assert one.session_key != other.session_key


IDS = st.sampled_from(["beta", "main", "back-up_2", "default", "gamma"])
ANY = st.text(st.characters(), max_size=20)
MODELS = st.one_of(ANY, st.builds("{}{}".format, st.sampled_from(["zero:", "zero/", "agent:"]), IDS | ANY))
KEYS = st.one_of(st.just(""), ANY, st.text("ab:%/ k", max_size=12), st.builds("agent:{}:{}".format, IDS, ANY))


@given(
    model=MODELS,
    agent=st.just("") | IDS | ANY,
    session_key=KEYS,
    user=ANY,
    find=st.sampled_from([target, strict_target]),
)
@example(model="zero", agent="", session_key="", user="\ud800", find=target)
def test_any_wish_is_granted_or_refused(
    model: str, agent: str, session_key: str, user: str, find: Callable[..., Target]
) -> None:
    """Whatever is asked, the answer is a target or a GatewayError, never another exception."""
    try:
        found = find(model, agent=agent, session_key=session_key, user=user)
    except (InvalidRequest, ModelNotFound):
        return
    assert found.session_key.startswith(f"agent:{found.agent.id}:")
    assert found.stateful == bool(session_key or user)


@given(model=MODELS, agent=st.just("") | IDS, session_key=KEYS, user=ANY)
def test_key_sent_back_means_the_same_session(model: str, agent: str, session_key: str, user: str) -> None:
    """The session key of an answer, sent back in the header, is the same session of the same agent."""
    try:
        found = target(model, agent=agent, session_key=session_key, user=user)
    except GatewayError:
        return
    again = target("zero", session_key=found.session_key)
    assert (found.agent, found.session_key) == (again.agent, again.session_key)
    # With everything else said once more it is no contradiction either.
    assert again == target(model, agent=agent, session_key=found.session_key, user=user)


@given(IDS, st.data())
def test_ids_are_case_insensitive(id: str, data: st.DataObject) -> None:
    """However an id is written, it is the same agent."""
    written = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in id)
    assert outcome(f"zero:{id}") == outcome(f"zero:{written}")
    assert outcome(agent=id) == outcome(agent=written)
    assert outcome(session_key=f"agent:{id}:k") == outcome(session_key=f"agent:{written}:k")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zero", "main"),
        ("zero:default", "main"),
        ("zero:Beta", "beta"),
        ("agent:beta", "beta"),
        ("zero:gamma", None),
        ("gpt-4o", None),
        ("zero:\u212a", None),
        ("", None),
    ],
)
def test_agent_of_model(name: str, expected: str | None) -> None:
    """The model list knows the names that are ours and no others."""
    agent = agent_of_model(name, AGENTS)
    assert expected == (agent.id if agent else None)


def described(found: Target) -> tuple[str, str, bool]:
    """Say a target in words."""
    return found.agent.id, found.session_key, found.stateful


def outcome(model: str = "zero", **wishes: str) -> tuple[str, str] | tuple[int, str | None]:
    """Say what becomes of a wish: the agent, or the refusal."""
    try:
        return "agent", target(model, **wishes).agent.id
    except GatewayError as error:
        return error.status, error.code
