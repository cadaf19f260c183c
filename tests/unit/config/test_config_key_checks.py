"""The rules of ``gateway.auth.keys``, and what of them is shown."""

from __future__ import annotations

import pytest

from app.config import displayed
from app.config.checks import check
from app.config.decoding import decode
from app.config.error import RuleError
from app.config.json_value import JsonObject, JsonValue
from app.config.structs import HIDDEN

HASH = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0b" * 32


def tree(*keys: JsonObject, **auth: JsonValue) -> JsonObject:
    """Make a configuration with keys and two agents."""
    return {
        "gateway": {"auth": {"keys": list(keys), **auth}},
        "agents": {"list": [{"id": "main"}, {"id": "Support"}]},
    }


def key(**more: JsonValue) -> JsonObject:
    """Make a key."""
    return {"name": "a", "hash": HASH, **more}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [key()],
        [key(agents=["main", "support"])],
        [key(agents=["SUPPORT"], expires="2027-01-31", sessionScope="a-b_c")],
        [key(expires="2027-01-31T10:00:00+02:00"), {"name": "0", "hash": OTHER}],
    ],
    ids=str,
)
def test_what_is_accepted(keys: list[JsonObject]) -> None:
    """Ids of agents in any case, moments with a zone, days."""
    check(decode(tree(*keys)))


@pytest.mark.parametrize(
    ("keys", "place", "word"),
    [
        ([key(name="A")], "[0].name", "lower-case"),
        ([key(name="")], "[0].name", "name"),
        ([key(name="a:b")], "[0].name", "name"),
        ([key(sessionScope="a:b")], "[0].sessionScope", "name"),
        ([key(hash="sha256:" + "0A" * 32)], "[0].hash", "zero keys add"),
        ([key(hash="0a" * 32)], "[0].hash", "not a hash"),
        ([key(), key(hash=OTHER)], "[1].name", "same name"),
        ([key(), key(name="b")], "[1].hash", "same hash"),
        ([key(agents=[])], "[0].agents", "opens nothing"),
        ([key(agents=["main", "suport"])], "[0].agents[1]", "support"),
        ([key(agents=["default"])], "[0].agents[0]", "no agent"),
        ([key(expires="2027-02-30")], "[0].expires", "not a moment"),
        ([key(expires="2027-01-31T10:00:00")], "[0].expires", "zone"),
        ([key(expires="tomorrow")], "[0].expires", "not a moment"),
        ([key(requestsPerMinute=0)], "[0].requestsPerMinute", "at least 1"),
        ([key(rpm=1)], "[0].rpm", "unknown key"),
        ([{"name": "a"}], "[0].hash", "missing"),
    ],
    ids=str,
)
def test_what_is_refused(keys: list[JsonObject], place: str, word: str) -> None:
    """With its place and what to write; never with a hash."""
    with pytest.raises(RuleError) as caught:
        check(decode(tree(*keys)))

    assert f"gateway.auth.keys{place}" in str(caught.value)
    assert word in str(caught.value)
    assert "0a0a" not in str(caught.value).lower()


def test_keys_need_a_secret_beside_them() -> None:
    """In mode none whoever sends nothing is the operator, which no key could make less."""
    with pytest.raises(RuleError, match="limit nobody"):
        check(decode(tree(key(), mode="none")))


def test_without_a_list_there_is_main() -> None:
    """The one agent of a configuration that lists none."""
    config: JsonObject = {"gateway": {"auth": {"keys": [key(agents=["main"])]}}}
    check(decode(config))


def test_hashes_are_not_shown() -> None:
    """They open nothing, and are nobody's business all the same."""
    config = decode(tree(key()))

    assert HIDDEN in str(displayed(config))
    assert "0a0a" not in str(displayed(config)) + repr(config)
