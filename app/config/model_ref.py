"""The name of a model together with its provider: ``provider/model``.

Owns the notation and the names of the built-in providers. Pure; knows neither configuration nor engines.
Rules: design.md, Configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

BUILT_IN_PROVIDERS: Mapping[str, tuple[str, ...]] = MappingProxyType({"echo": ("echo",), "local": ("smollm2",)})
"""Providers that need no entry, and their models."""

BUILT_IN_WINDOWS: Mapping[str, int] = MappingProxyType({"local/smollm2": 4096})
"""How many tokens they have room for, prompt and answer together, where that is bounded."""

_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ModelRef(Struct, frozen=True):
    """Name a model of a provider; ``str()`` gives the notation back."""

    provider: str
    model: str

    def __str__(self) -> str:
        """Write ``provider/model``."""
        return f"{self.provider}/{self.model}"


NO_MODEL = ModelRef("echo", "echo")
"""What an agent uses for which no model is named anywhere."""


def is_provider_name(text: str) -> bool:
    """Tell whether a provider may be called so: letters, digits, dots, underscores, dashes; no slash."""
    return _PROVIDER.fullmatch(text) is not None


def model_ref(text: str) -> ModelRef:
    """Read ``provider/model``; the model's part may hold further slashes.

    Args:
        text: What was written.

    Returns:
        The reference; whether provider and model exist is not looked at.

    Raises:
        ValueError: The text isn't of this form.
    """
    provider, _, model = text.partition("/")
    if not (is_provider_name(provider) and is_model_id(model)):
        raise ValueError("not of the form provider/model")
    return ModelRef(provider, model)


def is_model_id(text: str) -> bool:
    """Tell whether a provider's model may be called so: any printable text without blanks at its ends."""
    return bool(text) and text == text.strip() and text.isprintable()
