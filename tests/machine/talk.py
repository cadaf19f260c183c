"""What a client says and hears, without any belief that the answer is a good one."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tests.live_gateway import TOKEN
from tests.machine.zero import ROOT, Zero

SECONDS: Final = 20.0


class Heard(NamedTuple):
    """An answer.

    Attributes:
        status: Its status; 0 if the connection broke before there was one.
        code: The code of the error, in the body or in the stream.
        text: What the assistant said.
        complete: Whether the answer came to its good end.
    """

    status: int
    code: str
    text: str
    complete: bool

    @property
    def told(self) -> str:
        """The same in a few words."""
        if self.complete:
            return str(self.status)
        return f"{self.status} {self.code}" if self.status else "connection closed"


def say(
    zero: Zero, text: str, key: str = "", *, stream: bool = False, headers: Mapping[str, str] | None = None
) -> Heard:
    """Say something, in a session if there is a key."""
    more = {"x-zero-session-key": key} if key else {}
    fixed = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = json.dumps({"model": "zero", "stream": stream, "messages": [{"role": "user", "content": text}]})
    with closing(http.client.HTTPConnection("127.0.0.1", zero.port, timeout=SECONDS)) as connection:
        try:
            connection.request("POST", "/v1/chat/completions", body, {**fixed, **more, **(headers or {})})
            response = connection.getresponse()
            data = response.read()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return Heard(0, "", "", False)
    if stream and response.status == 200:
        return _streamed(data)
    answer = json.loads(data)
    if response.status != 200:
        return Heard(response.status, str(answer["error"]["code"]), "", False)
    return Heard(200, "", answer["choices"][0]["message"]["content"], True)


def _streamed(data: bytes) -> Heard:
    text, code, reason = "", "", False
    for line in data.splitlines():
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            code = str(event["error"]["code"])
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
            reason |= choice["finish_reason"] is not None
    assert not (code and reason), "an answer ends well or with an error"
    return Heard(200, code, text, reason)


def get(zero: Zero, path: str) -> tuple[int, Any]:
    """Ask for something; return the status and what is in the JSON."""
    with closing(http.client.HTTPConnection("127.0.0.1", zero.port, timeout=SECONDS)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def stored(zero: Zero, key: str) -> list[str]:
    """Return what is in a session, ``role: content`` for each message, oldest first."""
    found: list[str] = []
    after = ""
    while True:
        status, page = get(zero, f"/v1/zero/sessions/{quote(f'agent:main:{key}', safe='')}/messages?limit=100{after}")
        if status == 404:
            return []
        assert status == 200, page
        found += [f"{item['role']}: {item['body']['content']}" for item in page["data"]]
        if not page["has_more"]:
            return found[::-1]
        after = f"&after={quote(page['last_id'], safe='')}"


def verified(zero: Zero, before: tuple[str, ...] = ()) -> str:
    """Return what ``zero sessions verify`` says of a store that is whole."""
    command = [*before, sys.executable, "-m", "tests.machine.instrumented", "sessions", "verify"]
    ended = subprocess.run(command, env=zero.environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (ended.returncode, ended.stderr), ended
    return ended.stdout.strip()
