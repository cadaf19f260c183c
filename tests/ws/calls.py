"""Calls that tests of several files make: handshakes that fail, and every method with the fewest params."""

from __future__ import annotations

import pytest

from tests.official import Json
from tests.ws.client import Client, Refused, new_key
from tests.ws.contract import METHODS, SCHEMAS

CALLABLE = sorted(METHODS.keys() - {"connect"})
PARAMS = {name: SCHEMAS[METHODS[name]["x-zero-params"]] for name in CALLABLE}
NOBODY = "agent:main:nobody"


def refused(client: Client, params: Json) -> tuple[Refused, int]:
    """Try to connect, in vain; return the answer and the code with which the gateway then closes."""
    with pytest.raises(Refused) as failure:
        client.call("connect", params)
    return failure.value, client.closed()[0]


def properties(method: str) -> dict[str, Json]:
    """Return the schemas of a method's params."""
    found: dict[str, Json] = PARAMS[method].get("properties", {})
    return found


def params(method: str, **more: Json) -> dict[str, Json]:
    """Return the fewest params that a method can be called with, and others."""
    example = PARAMS[method]["examples"][0]
    fewest = {name: example[name] for name in PARAMS[method].get("required", [])}
    if "idempotencyKey" in fewest:
        fewest["idempotencyKey"] = new_key()
    return {**fewest, **more}
