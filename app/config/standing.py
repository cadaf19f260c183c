"""How the configuration stands: what is in force, and what of the files isn't.

Owns the names of changed keys and what has to wait for a restart. Rules: design.md, Configuration ("The file is
watched").
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from .display import displayed
from .json_value import JsonValue
from .key_path import KeyPath, dotted
from .structs import Config, Gateway


class Standing(Struct, frozen=True, kw_only=True):
    """Say what is in force, and what of the files isn't.

    Attributes:
        revision: Of what is in force.
        read_at: When the files were last found to be usable, in seconds since 1970.
        mistake: Why they can't be used now; empty if they can.
        waiting: The keys that were changed and take effect at a restart only.
    """

    revision: str
    read_at: float
    mistake: str = ""
    waiting: tuple[str, ...] = ()


def applicable(fresh: Config, running: Config, gateway: Gateway) -> Config:
    """Return what a running gateway can take over of a configuration: all but ``gateway`` without its API keys, and
    ``session.store``.

    Args:
        fresh: The configuration.
        running: The one that runs.
        gateway: What is to be in ``gateway`` otherwise.
    """
    # Without a secret there is nobody to be told apart from the operator.
    keys = fresh.gateway.auth.keys if gateway.auth.mode != "none" else ()
    auth = replace(gateway.auth, keys=keys)
    session = replace(fresh.session, store=running.session.store)
    return replace(fresh, gateway=replace(gateway, auth=auth), session=session)


def waiting(fresh: Config, written: Config) -> tuple[str, ...]:
    """Name the keys that are different from what a gateway was started with, and that it can't take over.

    Args:
        fresh: What the files say now.
        written: What they said then; flags of the command line may have changed what runs.
    """
    # gateway.remote is for commands: a gateway pays no attention to it.
    now = replace(fresh.gateway, remote=None, auth=replace(fresh.gateway.auth, keys=()))
    then = replace(written.gateway, remote=None, auth=replace(written.gateway.auth, keys=()))
    names = list(_different(displayed(then, secrets=True), displayed(now, secrets=True), ("gateway",)))
    if fresh.session.store != written.session.store:
        names.append("session.store")
    return tuple(names)


def _different(one: JsonValue, other: JsonValue, path: KeyPath) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _different(one.get(key), other.get(key), (*path, key))
    elif one != other:
        yield dotted(path)
