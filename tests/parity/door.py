"""The doors, each as a function from a turn to what came of it, in words that all of them have.

Knows how each door is asked and how it answers; no case, no expectation. A further door is one more entry in ``DOORS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.cli.command import ask as zero
from tests.doors.client import Reply, chat
from tests.live_gateway import LiveGateway
from tests.official import Json
from tests.ws.client import Client, Frame, Refused, new_key, said

FRESH: Final = "a session of its own"
"""What takes the place of a stateless call's key, which is another each time."""
KEY_PARAM: Final = "(where the key is)"
"""What takes the place of the name by which a door calls the param, header or option that a session's key comes in."""
_ENDS: Final = {"run_timeout": "timeout", "run_aborted": "aborted"}


class Turn(NamedTuple):
    """What is said, to whom, and in which session; empty texts are not sent."""

    message: str
    agent: str = ""
    session_key: str = ""


class Outcome(NamedTuple):
    """What came of a turn, as its door told it.

    Attributes:
        end: ``ok``, ``error``, ``timeout`` or ``aborted``.
        agent: The agent's id, where the turn got as far as that.
        session_key: The full key; ``FRESH`` for a stateless call.
        text: The answer.
        usage: Tokens in, out and in all.
        message: What went wrong, for people; with ``KEY_PARAM``.
    """

    end: str
    agent: str | None = None
    session_key: str | None = None
    text: str = ""
    usage: tuple[int, int, int] | None = None
    message: str = ""


Door = Callable[[LiveGateway, Turn], Outcome]


def http(gateway: LiveGateway, turn: Turn) -> Outcome:
    """Ask over HTTP, for an answer in one piece."""
    reply = chat(gateway, turn.message, headers=_headers(turn))
    if reply.status != 200:
        return _http_failure(reply, reply.error)
    usage = _counted(reply.json["usage"], "prompt_tokens", "completion_tokens", "total_tokens")
    return Outcome("ok", *_identity(reply), text=reply.text, usage=usage)


def http_stream(gateway: LiveGateway, turn: Turn) -> Outcome:
    """Ask over HTTP, for a stream."""
    options = {"include_usage": True}
    reply = chat(gateway, turn.message, headers=_headers(turn), stream=True, stream_options=options)
    if reply.status != 200:
        return _http_failure(reply, reply.error)
    lines = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line.startswith("data: ")]
    assert "[DONE]" == lines.pop()
    events = [json.loads(line) for line in lines]
    if "error" in events[-1]:
        return _http_failure(reply, events[-1]["error"])
    usage = _counted(events[-1]["usage"], "prompt_tokens", "completion_tokens", "total_tokens")
    texts = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
    return Outcome("ok", *_identity(reply), text="".join(texts), usage=usage)


def websocket_agent(gateway: LiveGateway, turn: Turn) -> Outcome:
    """Ask with the WebSocket's method ``agent``."""
    params = {"message": turn.message, "idempotencyKey": new_key(), **_named(turn)}
    with Client(gateway) as client:
        request = client.admitted().request("agent", params)
        try:
            accepted = client.result(request)
            answer = client.response(request)
        except Refused as failure:
            return _refused(failure)
    identity = accepted["agentId"], _known(accepted["sessionKey"])
    result = answer["payload"]
    if result["status"] != "ok":
        end = "error" if result["status"] == "error" else {"timeout": "timeout", "rpc": "aborted"}[result["stopReason"]]
        return Outcome(end, *identity, message=result["summary"])
    text = "".join(payload["text"] for payload in result["result"]["payloads"])
    usage = _counted(result["result"]["meta"]["agentMeta"]["usage"], "input", "output", "total")
    return Outcome("ok", *identity, text=text, usage=usage)


def websocket_chat(gateway: LiveGateway, turn: Turn) -> Outcome:
    """Ask with the WebSocket's method ``chat.send``, which needs a session."""
    run = new_key()
    params = {"message": turn.message, "idempotencyKey": run, **_named(turn)}
    with Client(gateway) as client:
        try:
            client.admitted().call("chat.send", params)
        except Refused as failure:
            return _refused(failure)
        end = client.take(lambda frame: _ends(frame, run))["payload"]
    identity = end["agentId"], _known(end["sessionKey"])
    if end["state"] == "final":
        usage = _counted(end["usage"], "input", "output", "total")
        return Outcome("ok", *identity, text=said(end["message"])[1], usage=usage)
    failed = "timeout" if end.get("errorKind") == "timeout" else end["state"]
    return Outcome(failed, *identity, message=end["errorMessage"])


def zero_agent(gateway: LiveGateway, turn: Turn, *more: str) -> Outcome:
    """Ask with the command line, through the gateway."""
    arguments = ["agent", "--json", "--message", turn.message]
    arguments += ["--agent", turn.agent] if turn.agent else []
    arguments += ["--session-key", turn.session_key] if turn.session_key else []
    done = zero(gateway, *arguments, *more)
    if done.returncode == 2:  # so wrongly called that nobody was asked
        return Outcome("error", message=_neutral(done.stderr.strip().rpartition("Error: ")[2], "--session-key"))
    report = json.loads(done.stdout)
    assert (report["status"] == "ok") is (done.returncode == 0)
    usage = _counted(report["usage"], "input", "output", "total") if report["usage"] else None
    key = report["sessionKey"]
    identity = report["agentId"], _known(key) if key else None
    if report["status"] != "ok":
        return Outcome(report["status"], *identity, message=report["error"])
    return Outcome("ok", *identity, text=report["text"], usage=usage)


def zero_agent_local(gateway: LiveGateway, turn: Turn) -> Outcome:
    """Ask with the command line, which runs the turn itself, beside the gateway."""
    return zero_agent(gateway, turn, "--local")


DOORS: Final[dict[str, Door]] = {
    "http": http,
    "http-stream": http_stream,
    "ws-agent": websocket_agent,
    "ws-chat": websocket_chat,
    "zero-agent": zero_agent,
    "zero-agent-local": zero_agent_local,
}


def _headers(turn: Turn) -> dict[str, str]:
    headers = {"x-zero-agent-id": turn.agent, "x-zero-session-key": turn.session_key}
    return {name: value for name, value in headers.items() if value}


def _named(turn: Turn) -> dict[str, str]:
    named = {"agentId": turn.agent, "sessionKey": turn.session_key}
    return {name: value for name, value in named.items() if value}


def _identity(reply: Reply) -> tuple[str | None, str | None]:
    key = reply.header("x-zero-session-key")
    return reply.header("x-zero-agent-id"), _known(key) if key else None


def _http_failure(reply: Reply, failure: Json) -> Outcome:
    message = _neutral(failure["message"], "x-zero-session-key")
    return Outcome(_ENDS.get(failure["code"], "error"), *_identity(reply), message=message)


def _refused(failure: Refused) -> Outcome:
    return Outcome("error", message=_neutral(failure.message, "sessionKey"))


def _neutral(message: str, name: str) -> str:
    """Put ``KEY_PARAM`` in the place of the one name that this door may say."""
    return message.replace(f" in {name} ", f" in {KEY_PARAM} ")


def _known(key: str) -> str:
    return FRESH if key.split(":", 2)[2].startswith("openai:") else key


def _counted(usage: Json, *names: str) -> tuple[int, int, int]:
    first, second, third = (usage[name] for name in names)
    return first, second, third


def _ends(frame: Frame, run: str) -> bool:
    if frame["type"] != "event" or frame["event"] != "chat":
        return False
    return bool(frame["payload"]["runId"] == run and frame["payload"]["state"] != "delta")
