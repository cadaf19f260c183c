"""The ZERO Gateway: agents behind OpenAI's Chat Completions API.

``app.gateway`` is the ASGI application (``uvicorn app:gateway``), made from the configuration when first asked for.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Make ``gateway`` on demand, so that importing the package neither reads files nor imports the server."""
    if name != "gateway":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from app.application import from_environment
    from app.config import ConfigError

    try:
        application = from_environment()
    except ConfigError as error:
        # For whoever runs `uvicorn app:gateway`: the sentence that says what to do, not a traceback.
        raise SystemExit(f"zero: {error}") from None
    globals()["gateway"] = application
    return application
