"""The configuration of a gateway whose provider is the scripted upstream."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import configuration, free_port

API_KEY: Final = "upstream-key-9876"
HASTY_SECONDS: Final = 0.5
ASKED_ONCE: Final = {"retry": {"attempts": 0}, "circuitBreaker": {"enabled": False}}


def upstream_configuration(upstream: FakeUpstream, **overrides: Any) -> dict[str, Any]:
    """Return a configuration whose agents ask ``upstream``.

    The model of an agent is called like the agent, so that the fake can play a script per agent. ``chained`` has two
    fallbacks, ``prompted`` a prompt and parameters, ``hasty`` little time, ``careful`` a forbidden tool, ``narrow``
    room for one run; ``lost`` asks a port where nobody listens, ``echo`` echoes. No provider is asked twice, and none
    is left alone for having failed.

    Args:
        upstream: The fake.
        overrides: Top-level keys, merged deeply over it.
    """
    agents = [
        {"id": "main", "model": "fake/main"},
        {"id": "chained", "model": {"primary": "fake/first", "fallbacks": ["lost/second", "fake/third"]}},
        {
            "id": "prompted",
            "model": "fake/prompted",
            "systemPrompt": "You are terse.",
            "params": {"temperature": 0.1, "top_k": 5, "max_tokens": 50, "stream_options": {"x_interval": 3}},
        },
        {"id": "hasty", "model": "fake/hasty", "timeoutSeconds": HASTY_SECONDS},
        {"id": "careful", "model": "fake/careful", "tools": {"deny": ["delete_everything"]}},
        {"id": "narrow", "model": "fake/narrow", "maxConcurrent": 1},
        {"id": "lost", "model": "lost/lost"},
        {"id": "echo", "model": "echo/echo"},
    ]
    providers = {
        "fake": {"baseUrl": upstream.base_url, "apiKey": API_KEY, "headers": {"X-Organisation": "ours"}, **ASKED_ONCE},
        "lost": {"baseUrl": f"http://127.0.0.1:{free_port()}/v1", **ASKED_ONCE},
    }
    return configuration(agents={"list": agents}, models={"providers": providers}, **overrides)
