"""The gateways that must keep the contract: what uvicorn loads, and with which configuration."""

from typing import Any, NamedTuple

from tests.live_gateway import configuration


class Subject(NamedTuple):
    """A gateway to be tested.

    Args:
        app: What uvicorn loads.
        strict_model: Whether a model name of another system is 404.
    """

    app: str
    strict_model: bool

    def configuration(self) -> dict[str, Any]:
        """Return its configuration."""
        chat = {"strictModel": self.strict_model}
        return configuration(gateway={"http": {"endpoints": {"chatCompletions": chat}}, "metrics": {"enabled": True}})


REAL = Subject("app:gateway", strict_model=True)
"""As users run it, with names that exist and names that don't."""

ANY_MODEL = Subject("tests.contract.variants:any_model", strict_model=False)
"""Answers every name, so that nothing about a request hides behind 404."""

SUBJECTS = {"real": REAL, "any_model": ANY_MODEL}
