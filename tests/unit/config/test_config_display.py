"""A configuration as it may be shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.config import Config, RuleError, displayed, key_path, value_at

TREE: dict[str, Any] = {
    "gateway": {
        "auth": {"token": "s3cret-1", "password": "s3cret-2"},
        "remote": {"url": "ws://x", "token": "s3cret-3", "password": "s3cret-4"},
    },
    "session": {"store": "postgresql://u:s3cret-7@db/zero"},
    "models": {"providers": {"up": {"baseUrl": "https://x", "apiKey": "s3cret-5", "headers": {"X-Key": "s3cret-6"}}}},
    "agents": {"list": [{"id": "a", "params": {"stop": ["x"]}, "model": {"primary": "up/a"}}]},
}
CONFIG = msgspec.convert(TREE, Config)


def test_no_secret_is_shown_unasked() -> None:
    """Wherever it is; what is no secret is as it is in force, defaults included."""
    shown = displayed(CONFIG)

    assert "s3cret" not in repr(shown)
    assert "s3cret" not in repr(CONFIG)
    assert "***" == value_at(shown, key_path("gateway.remote.token"))
    assert "***" == value_at(shown, key_path("session.store"))
    assert "sqlite" == value_at(displayed(Config()), key_path("session.store"))
    assert {"X-Key": "***"} == value_at(shown, key_path("models.providers.up.headers"))
    assert {"primary": "up/a", "fallbacks": []} == value_at(shown, key_path("agents.list[0].model"))
    assert "loopback" == value_at(shown, key_path("gateway.bind"))


def test_all_secrets_are_shown_when_asked() -> None:
    """Then it is the configuration itself."""
    assert msgspec.json.decode(msgspec.json.encode(CONFIG)) == displayed(CONFIG, secrets=True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gateway.prt", 'gateway.prt: there is no such key. Did you mean "port"?'),
        ("agents.list[1]", "agents.list[1]: the list has 1 entries. Count from 0."),
        ("agents[0]", "agents[0]: there is no such key. Look at what is around it."),
        ("gateway.bind.x", "gateway.bind.x: there is no such key. Look at what is around it."),
    ],
)
def test_what_is_not_there_is_refused(path: str, message: str) -> None:
    """With the nearest word."""
    with pytest.raises(RuleError) as caught:
        value_at(displayed(CONFIG), key_path(path))
    assert message == str(caught.value)
