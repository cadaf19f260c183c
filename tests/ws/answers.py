"""What the scripted upstream says to agents in these tests, and runs begun against it."""

from __future__ import annotations

from typing import Final

from tests.fakes.script import Pause, Script, stream, words
from tests.official import Json
from tests.ws.client import Client, new_key

LATE: Final = stream(Pause(), *words("late"))
"""Says nothing before the test lets it."""


def halting(first: str, *others: str) -> Script:
    """Return an answer that says one thing, waits until the test lets it go on, and says the others."""
    events = words(first, *others)
    return stream(*events[:2], Pause(), *events[2:])


def begun(client: Client, message: str = "hi", **params: Json) -> tuple[str, str]:
    """Begin a run with ``agent``; return the request's id and the run's."""
    run = new_key()
    request = client.request("agent", {"message": message, "idempotencyKey": run, **params})
    assert run == client.result(request)["runId"]
    return request, run


def sent(client: Client, session_key: str, message: str = "hi", **params: Json) -> str:
    """Begin a turn with ``chat.send``; return the run's id."""
    run = new_key()
    answer = client.call("chat.send", {"sessionKey": session_key, "message": message, "idempotencyKey": run, **params})
    assert {"runId": run, "status": "started"} == answer
    return run
