"""The vocabulary's defaults, immutability and discretion."""

from __future__ import annotations

import msgspec
import pytest

from app.config.structs import Agent, Auth, Config, Provider


def test_the_empty_configuration_has_the_documented_defaults() -> None:
    """An empty object is valid and means what the documentation says."""
    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert({}, Config))) == {
        "gateway": {
            "port": None,
            "bind": "loopback",
            "auth": {
                "mode": "token",
                "token": None,
                "password": None,
                "keys": [],
                "rateLimit": {"enabled": True, "maxFailures": 10, "windowSeconds": 60.0, "lockoutSeconds": 60.0},
            },
            "drainSeconds": 25.0,
            "trustedProxies": [],
            "limits": {
                "maxConnections": 16_384,
                "maxRuns": 8_192,
                "maxHeaderBytes": 65_536,
                "headSeconds": 30.0,
                "bodySeconds": 30.0,
                "requestSeconds": 300.0,
                "idleSeconds": 75.0,
                "sendSeconds": 60.0,
            },
            "http": {
                "cors": {"origins": [], "maxAgeSeconds": 600},
                "endpoints": {
                    "chatCompletions": {
                        "enabled": False,
                        "strictModel": False,
                        "sessionFromUser": True,
                        "sessionHeaders": [],
                        "maxBodyBytes": 20_000_000,
                        "keepaliveSeconds": 15.0,
                        "idempotencySeconds": 86_400.0,
                    }
                },
            },
            "logs": {"format": "auto", "access": True, "audit": None},
            "metrics": {"enabled": False, "public": False},
            "traces": {"enabled": False, "content": False},
            "remote": None,
        },
        "agents": {
            "defaults": {
                "model": None,
                "systemPrompt": None,
                "tools": {"allow": None, "deny": []},
                "params": {},
                "maxConcurrent": None,
                "contextTokens": None,
                "timeoutSeconds": 600.0,
            },
            "list": [],
        },
        "models": {"providers": {}},
        "session": {
            "store": "sqlite",
            "pinnedTurns": 1,
            "compaction": {"mode": "off", "model": None, "instructions": None, "timeoutSeconds": 60.0},
            "reset": {"mode": "none", "atHour": 4, "idleMinutes": None},
            "resetTriggers": ["/new", "/reset"],
            "retentionDays": None,
        },
    }


def test_an_agent_has_no_defaults_of_its_own() -> None:
    """What an agent leaves out is left to agents.defaults."""
    agent = Agent(id="a")
    assert (agent.model, agent.system_prompt, agent.timeout_seconds, agent.max_concurrent) == (None, None, None, None)


def test_a_provider_speaks_openai_unless_told() -> None:
    """The only required key is the URL, and any model is accepted."""
    provider = Provider(base_url="https://x")
    assert (provider.api, provider.model_ids()) == ("openai-completions", None)


def test_model_ids_come_from_both_forms() -> None:
    """A model is listed by its id or by an object."""
    provider = msgspec.convert({"baseUrl": "https://x", "models": ["a", {"id": "b", "contextWindow": 8}]}, Provider)
    assert provider.model_ids() == ("a", "b")


def test_the_configuration_is_immutable() -> None:
    """A running request can rely on what it saw."""
    config = Config()
    with pytest.raises(AttributeError):
        config.gateway = Config().gateway  # type: ignore[misc]  # that it is frozen is what is tested


def test_no_secret_is_in_repr() -> None:
    """Neither repr nor rich's repr of any part around it shows a secret; the rest is there to read."""
    config = msgspec.convert(
        {
            "gateway": {
                "auth": {"token": "s3cret-token", "password": "s3cret-password"},
                "remote": {"url": "ws://x", "token": "s3cret-token", "password": "s3cret-password"},
            },
            "models": {
                "providers": {
                    "p": {"baseUrl": "https://x/v1", "apiKey": "s3cret-key", "headers": {"X-Team": "s3cret-header"}}
                }
            },
        },
        Config,
    )
    auth, provider = config.gateway.auth, config.models.providers["p"]
    for shown in (config, config.gateway, auth, config.models, provider, auth.__rich_repr__()):
        assert "s3cret" not in repr(shown)
        assert "s3cret" not in f"{shown} {shown!s}"
    assert "s3cret" not in repr(provider.__rich_repr__())
    assert repr(provider) == (
        "Provider(base_url='https://x/v1', api_key='***', api='openai-completions', "
        "headers={'X-Team': '***'}, fetch_images=None, always_stream=False, max_answer_bytes=64000000, "
        "timeouts=Timeouts(connect_seconds=10.0, first_byte_seconds=300.0, idle_seconds=120.0, total_seconds=0.0), "
        "retry=Retry(attempts=2, max_seconds=5.0), circuit_breaker=CircuitBreaker(enabled=True, failures=5, "
        "window_seconds=60.0, pause_seconds=30.0, count_rate_limits=False), models=None)"
    )
    assert "token='***'" in repr(auth)
    assert "Remote(url='ws://x', token='***', password='***')" == repr(config.gateway.remote)
    assert auth.token == "s3cret-token"


def test_repr_tells_a_missing_secret_from_a_hidden_one() -> None:
    """An unset secret reads as None."""
    assert repr(Auth()).startswith("Auth(mode='token', token=None, password=None, ")
