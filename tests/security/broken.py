"""A gateway with a defect: it raises where nobody expects it, with words that somebody else may have chosen."""

from __future__ import annotations

from typing import Any

from app.application import Gateway, from_environment

FORGED = "2026-01-01 00:00:00,000 INFO    zero  forged"


def __getattr__(name: str) -> Any:
    """Make ``gateway`` when it is asked for."""
    if name != "gateway":
        raise AttributeError(name)
    return from_environment()


async def _fail(*_: object, **__: object) -> Any:
    raise RuntimeError(f"a\n{FORGED}\x1b[31m\n\n{FORGED}\u2028{FORGED}")


_init = Gateway.__init__


def _broken(self: Gateway, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs)
    self.runs.execute = _fail  # type: ignore[method-assign]  # the defect


Gateway.__init__ = _broken  # type: ignore[method-assign]  # so that every gateway of this process has it
