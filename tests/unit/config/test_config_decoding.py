"""Strict decoding: the exact words for unknown keys and wrong types."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.decoding import decode
from app.config.error import RuleError
from app.config.json_value import JsonObject, JsonValue
from app.config.key_path import KeyPath, dotted
from app.config.structs import Config, ModelChain


def nested(path: KeyPath, value: JsonValue) -> JsonObject:
    """Make a tree that has the value at the path; a list index makes a list of one."""
    for key in reversed(path):
        value = [value] if isinstance(key, int) else {key: value}
    assert isinstance(value, dict)
    return value


DEFAULTS: KeyPath = ("agents", "defaults")
CHAT: KeyPath = ("gateway", "http", "endpoints", "chatCompletions")
PROVIDER: KeyPath = ("models", "providers", "p")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("gatewy",), {}, 'gatewy: unknown key. Did you mean "gateway"?'),
        (("gateway", "prot"), 1, 'gateway.prot: unknown key. Did you mean "port"?'),
        ((*CHAT, "strictmodel"), True, f'{dotted(CHAT)}.strictmodel: unknown key. Did you mean "strictModel"?'),
        ((*CHAT, "strict_model"), True, f'{dotted(CHAT)}.strict_model: unknown key. Did you mean "strictModel"?'),
        (("session", "qqq"), 1, ('session.qqq: unknown key. Known here: '
                                '"compaction", "pinnedTurns", "reset", "resetTriggers", "retentionDays", "store".')),
        (("agents", "list", 0, "i.d"), 1, 'agents.list[0]["i.d"]: unknown key. Did you mean "id"?'),
        ((*PROVIDER, "url"), "x", 'models.providers.p.url: unknown key. Did you mean "baseUrl"?'),
        (("models", "providers", "a/b"), {}, ('models.providers["a/b"].baseUrl: the key is missing. '
                                             "Add baseUrl, a string.")),
        (("agents", "list", 0), {}, "agents.list[0].id: the key is missing. Add id, a string."),
        (("agents", "list", 0, "id"), 7, "agents.list[0].id: expected a string, got a number. Correct the value."),
        (("gateway",), None, "gateway: expected an object, got null. Remove the key to use its default."),
        (("gateway",), [], "gateway: expected an object, got a list. Correct the value."),
        (("agents", "list"), {}, "agents.list: expected a list, got an object. Correct the value."),
        (("gateway", "port"), "18789", ("gateway.port: expected a whole number from 1 to 65535, got a string. "
                                       "Write it without quotes; a variable is always a string.")),
        (("gateway", "port"), 0, "gateway.port: expected a whole number from 1 to 65535, got 0. Correct the value."),
        (("gateway", "port"), 65536, ("gateway.port: expected a whole number from 1 to 65535, got 65536. "
                                     "Correct the value.")),
        (("gateway", "port"), 80.5, ("gateway.port: expected a whole number from 1 to 65535, got 80.5. "
                                    "Correct the value.")),
        (("gateway", "port"), True, ("gateway.port: expected a whole number from 1 to 65535, got true or false. "
                                    "Correct the value.")),
        (("gateway", "auth", "mode"), "tokn", ('gateway.auth.mode: expected one of "none", "password", "token", '
                                              'got another string. Did you mean "token"?')),
        (("gateway", "auth", "mode"), 1, ('gateway.auth.mode: expected one of "none", "password", "token", '
                                         "got a number. Correct the value.")),
        (PROVIDER, {"baseUrl": "http://x", "api": "openai"}, (
            'models.providers.p.api: expected "openai-completions", got another string. '
            'Known here: "openai-completions".')),
        ((*CHAT, "enabled"), "true", (f"{dotted(CHAT)}.enabled: expected true or false, got a string. "
                                     "Write it without quotes; a variable is always a string.")),
        ((*CHAT, "enabled"), 1, f"{dotted(CHAT)}.enabled: expected true or false, got a number. Correct the value."),
        ((*CHAT, "keepaliveSeconds"), -1, (f"{dotted(CHAT)}.keepaliveSeconds: expected a number of at least 0, got -1. "
                                          "Correct the value.")),
        ((*CHAT, "maxBodyBytes"), 0, (f"{dotted(CHAT)}.maxBodyBytes: expected a whole number of at least 1, got 0. "
                                     "Correct the value.")),
        ((*DEFAULTS, "timeoutSeconds"), 0, ("agents.defaults.timeoutSeconds: expected a number greater than 0, got 0. "
                                           "Correct the value.")),
        ((*DEFAULTS, "timeoutSeconds"), None, ("agents.defaults.timeoutSeconds: expected a number greater than 0, "
                                              "got null. Remove the key to use its default.")),
        ((*DEFAULTS, "model"), 1, ("agents.defaults.model: expected a string or an object, got a number. "
                                  "Correct the value.")),
        ((*DEFAULTS, "model"), {"primry": "a/b"}, 'agents.defaults.model.primry: unknown key. Did you mean "primary"?'),
        ((*DEFAULTS, "model"), {}, "agents.defaults.model.primary: the key is missing. Add primary, a string."),
        ((*DEFAULTS, "tools", "deny", 0), "", ("agents.defaults.tools.deny[0]: expected a non-empty string, "
                                              "got an empty string. Write a text, or remove it.")),
        ((*DEFAULTS, "params"), [], "agents.defaults.params: expected an object, got a list. Correct the value."),
        (("gateway", "trustedProxies"), "10.0.0.1", ("gateway.trustedProxies: expected a list, got a string. "
                                                    "Correct the value.")),
    ],
)  # fmt: skip
def test_a_mistake_is_named_exactly(path: KeyPath, value: JsonValue, message: str) -> None:
    """The message has the path, what was expected, what was found and the nearest known key."""
    with pytest.raises(RuleError) as caught:
        decode(nested(path, value))
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("apiKey", 1234567),
        ("apiKey", ["s3cret1234567"]),
        ("headers", {"X": 1234567}),
        ("headers", "s3cret1234567"),
        ("api", "s3cret1234567"),
        ("baseUrl", {"s3cret": "1234567"}),
    ],
)
def test_a_misplaced_secret_is_not_repeated(key: str, value: JsonValue) -> None:
    """A wrong type is reported by its kind, never by its content."""
    with pytest.raises(RuleError) as caught:
        decode(nested(PROVIDER, {"baseUrl": "https://x", key: value}))
    assert "1234567" not in str(caught.value)


def test_whole_numbers_may_be_written_with_a_fraction_of_zero() -> None:
    """18789.0 is a whole number, and a whole number is a number."""
    rate_limit: JsonObject = {"windowSeconds": 5, "lockoutSeconds": 0.5}
    config = decode({"gateway": {"port": 18789.0, "auth": {"rateLimit": rate_limit}}})
    assert config.gateway.port == 18789
    assert isinstance(config.gateway.port, int)
    assert config.gateway.auth.rate_limit.window_seconds == 5.0
    assert config.gateway.auth.rate_limit.lockout_seconds == 0.5


def test_params_are_kept_as_written() -> None:
    """Parameters are the engine's business: neither their names nor their types change."""
    params: JsonObject = {"temperature": 1.0, "stop": ["a", None], "snake_case": {"deep": [True, {}]}}
    # The port takes the decoder through its correcting path, which mustn't touch them either.
    config = decode({"gateway": {"port": 1.0}, "agents": {"defaults": {"params": params}}})
    assert repr(params) == repr(config.agents.defaults.params)


def test_a_model_chain_is_an_object() -> None:
    """The long form names fallbacks."""
    config = decode({"agents": {"defaults": {"model": {"primary": "a/b", "fallbacks": ["c/d"]}}}})
    assert ModelChain(primary="a/b", fallbacks=("c/d",)) == config.agents.defaults.model


def outcome(decoding: Callable[[], Config]) -> tuple[Config | None, KeyPath | None]:
    """Give what comes out: a configuration, or the path that a fault names if it names one."""
    try:
        return decoding(), None
    except msgspec.ValidationError:
        return None, None
    except RuleError as fault:
        return None, fault.path


KEYS = sorted({field.encode_name for struct in (Config, Config().gateway.__class__, Config().gateway.auth.__class__,
               Config().agents.__class__, Config().agents.defaults.__class__)
               for field in msgspec.structs.fields(struct)})  # fmt: skip
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 70000), st.floats(allow_nan=False), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_the_explaining_path_agrees_with_msgspec(tree: JsonObject) -> None:
    """What msgspec accepts is decoded to the same; what it refuses gets a message with a place, or is a 1.0."""
    expected, place = outcome(lambda: msgspec.convert(tree, Config))
    explained, path = outcome(lambda: decode(tree))
    if expected is not None:
        assert expected == explained
    elif explained is None:
        assert path not in {None, ()}
    else:
        assert ".0" in repr(tree) or "e+" in repr(tree), place
