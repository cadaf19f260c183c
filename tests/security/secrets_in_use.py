"""Secrets in every place of a configuration and its environment that may hold one."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream

GATEWAY_TOKEN: Final = "S3CRET-gateway-token-0a1b"
API_KEY: Final = "sk-S3CRET-upstream-key-2c3d"
HEADER_VALUE: Final = "S3CRET-header-value-4e5f"
OTHER_KEY: Final = "S3CRET-key-in-the-file-6a7b"
REMOTE_TOKEN: Final = "S3CRET-remote-token-8c9d"
MARK: Final = "S3CRET"
"""What all of them have in them, and nothing else does."""


def with_secrets(upstream: FakeUpstream) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a configuration whose agents ask ``upstream``, and its environment."""
    config = upstream_configuration(upstream)
    del config["gateway"]["auth"]["token"]
    config["gateway"]["metrics"] = {"enabled": True}
    config["gateway"]["remote"] = {"url": "ws://127.0.0.1:9", "token": REMOTE_TOKEN}
    config["models"]["providers"]["fake"] |= {
        "apiKey": "${FAKE_API_KEY}",
        "headers": {"X-Partner": "${FAKE_HEADER}", "X-Organisation": "ours"},
    }
    config["models"]["providers"]["lost"] |= {"apiKey": OTHER_KEY}
    environ = {"ZERO_GATEWAY_TOKEN": GATEWAY_TOKEN, "FAKE_API_KEY": API_KEY, "FAKE_HEADER": HEADER_VALUE}
    return config, environ
