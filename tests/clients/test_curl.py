"""The specification's own two curl commands, run as they are written there, with the port and the token filled in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.official import validator

# Word for word the examples of the specification, the Portuguese greeting and placeholder included.
WHOLE: Final = """\
curl -sS http://127.0.0.1:18789/v1/chat/completions \\
  -H 'Authorization: Bearer SEU_TOKEN' \\
  -H 'Content-Type: application/json' \\
  -H 'x-zero-agent-id: main' \\
  -d '{
    "model": "zero",
    "messages": [{"role":"user","content":"oi"}]
  }'
"""
STREAMED: Final = """\
curl -N http://127.0.0.1:18789/v1/chat/completions \\
  -H 'Authorization: Bearer SEU_TOKEN' \\
  -H 'Content-Type: application/json' \\
  -H 'x-zero-agent-id: main' \\
  -d '{
    "model": "zero",
    "stream": true,
    "messages": [{"role":"user","content":"oi"}]
  }'
"""
SECONDS: Final = 20.0


class Printed(NamedTuple):
    """What curl printed, and what ``-w`` would have told."""

    body: str
    status: int
    content_type: str


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str, LiveGateway, str], Printed]:
    """Run one of the commands in a shell, against a gateway and with a token."""
    assert shutil.which("curl"), "curl is not installed: these tests are about it and can't do without"

    def run_command(command: str, gateway: LiveGateway, token: str = TOKEN) -> Printed:
        assert ":18789/" in command
        # curl reads options from here: they add a line behind the output and leave the command as it is written.
        (tmp_path / ".curlrc").write_text('write-out = "\\n%{http_code} %{content_type}"\n')
        bare = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(
            ["sh", "-c", command.replace(":18789/", f":{gateway.port}/").replace("SEU_TOKEN", token)],
            env={**bare, "HOME": str(tmp_path), "CURL_HOME": str(tmp_path)},
            capture_output=True,
            timeout=SECONDS,
            check=True,
            text=True,
        )
        body, _, told = done.stdout.rpartition("\n")
        status, _, content_type = told.partition(" ")
        return Printed(body, int(status), content_type)

    return run_command


Run = Callable[..., Printed]


def test_whole(run: Run, gateway: LiveGateway) -> None:
    """The first command prints a chat completion."""
    printed = run(WHOLE, gateway)
    assert (200, "application/json") == (printed.status, printed.content_type)
    body = json.loads(printed.body)
    validator("CreateChatCompletionResponse").validate(body)
    assert ("oi", "zero") == (body["choices"][0]["message"]["content"], body["model"])


def test_streamed(run: Run, gateway: LiveGateway) -> None:
    """The second prints events, each one line of ``data:``, and ends with ``data: [DONE]``."""
    printed = run(STREAMED, gateway)
    assert (200, "text/event-stream") == (printed.status, printed.content_type)
    *events, last, nothing = printed.body.split("\n\n")
    assert ("data: [DONE]", "") == (last, nothing)
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    for chunk in chunks:
        validator("CreateChatCompletionStreamResponse").validate(chunk)
    assert "oi" == "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


@pytest.mark.parametrize("command", [WHOLE, STREAMED], ids=["whole", "streamed"])
class TestRefused:
    """Both commands are refused alike, in OpenAI's shape."""

    @pytest.mark.parametrize("switch", [{"enabled": False}, None], ids=["off", "never set"])
    def test_switched_off(
        self, run: Run, start_gateway: Callable[..., LiveGateway], command: str, switch: dict[str, bool] | None
    ) -> None:
        """With the switch off, which it is by default, the endpoint isn't there and says which key turns it on."""
        config = configuration()
        if switch is None:
            del config["gateway"]["http"]
        else:
            config["gateway"]["http"]["endpoints"]["chatCompletions"] = switch
        printed = run(command, start_gateway(config))
        assert (404, "application/json") == (printed.status, printed.content_type)
        body = json.loads(printed.body)
        validator("ErrorResponse").validate(body)
        assert "gateway.http.endpoints.chatCompletions.enabled" in body["error"]["message"]
        assert "unknown_url" == body["error"]["code"]

    @pytest.mark.parametrize("token", ["wrong", ""], ids=["wrong", "empty"])
    def test_wrong_token(self, run: Run, gateway: LiveGateway, command: str, token: str) -> None:
        """A wrong token, or none, is a 401."""
        printed = run(command, gateway, token)
        assert (401, "application/json") == (printed.status, printed.content_type)
        body = json.loads(printed.body)
        validator("ErrorResponse").validate(body)
        assert "invalid_api_key" == body["error"]["code"]
