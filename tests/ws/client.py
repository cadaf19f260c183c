"""A client of the WebSocket door that believes nothing: every frame it gets is checked against the contract.

Synchronous, one socket. What came and was not asked for yet waits in order in ``unread``.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from typing import Any, Final, Protocol, Self, TypeAlias
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.live_gateway import TOKEN
from tests.official import Json
from tests.ws.contract import EVENTS, results, validator

SECONDS: Final = 20.0
"""The longest that any frame may let a test wait."""
CLIENT: Final = {"id": "test", "version": "1", "platform": "linux", "mode": "test"}

Frame: TypeAlias = dict[str, Json]


class Place(Protocol):
    """Where a gateway listens."""

    @property
    def port(self) -> int:
        """Its port, on this machine."""
        ...


class Refused(Exception):
    """Raised when a request is answered with ``ok: false``.

    Args:
        frame: The whole response.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.frame = frame
        self.error: Frame = frame["error"]
        self.code: str = self.error["code"]
        self.message: str = self.error["message"]
        self.details: Frame = self.error.get("details", {})


class Client:
    """A connection, open from its construction; a context manager.

    Args:
        gateway: Whom to connect to.
        path: The path of the URL.
        source: The address to connect from.
        host: The address to connect to.
    """

    def __init__(self, gateway: Place, *, path: str = "/", source: str | None = None, host: str = "127.0.0.1") -> None:
        more: dict[str, Any] = {} if source is None else {"source_address": (source, 0)}
        self._open = ExitStack()
        url = f"ws://{host}:{gateway.port}{path}"
        self.socket = self._open.enter_context(
            connect(url, compression=None, max_size=None, open_timeout=SECONDS, **more)
        )
        self.unread: list[Frame] = []
        self.hello: Frame = {}
        self._methods: dict[str, str] = {}
        self._ids = count(1)
        self._seq = 0

    def admitted(self, **params: Json) -> Self:
        """Shake hands, with these params over the usual ones."""
        self.hello = self.call("connect", handshake(**params))
        return self

    def send(self, frame: Json) -> None:
        """Send a frame: bytes as they are, a text as it is, anything else as JSON."""
        self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def request(self, method: str, params: Json = None, *, id: str | None = None) -> str:
        """Send a request; return its id."""
        request_id = id or f"{method}-{next(self._ids)}"
        self._methods[request_id] = method
        self.send({"type": "req", "id": request_id, "method": method, "params": {} if params is None else params})
        return request_id

    def call(self, method: str, params: Json = None) -> Json:
        """Send a request and return the payload of its first response.

        Raises:
            Refused: If it has none.
        """
        return self.result(self.request(method, params))

    def result(self, id: str) -> Json:
        """Return the payload of the next response to a request.

        Raises:
            Refused: If it says that the request failed.
        """
        frame = self.response(id)
        if not frame["ok"]:
            raise Refused(frame)
        return frame["payload"]

    def run(self, message: str, **params: Json) -> Frame:
        """Run an agent; return the payload of its second answer, which comes after all of its events.

        Raises:
            Refused: If the run fails, or is not begun.
        """
        request = self.request("agent", {"message": message, "idempotencyKey": new_key(), **params})
        assert "accepted" == self.result(request)["status"]
        found: Frame = self.result(request)
        return found

    def response(self, id: str) -> Frame:
        """Return the next response to a request."""
        return self.take(lambda frame: frame["type"] == "res" and frame["id"] == id)

    def event(self, name: str, **fields: Json) -> Frame:
        """Return the payload of the next event of that name whose payload has these values."""
        return self.take(lambda frame: _is_event(frame, name, fields))["payload"]  # type: ignore[no-any-return]  # JSON

    def events(self, name: str, **fields: Json) -> list[Frame]:
        """Return the payloads of all such events that came so far: whatever the gateway has sent by now is in."""
        self.call("health")
        found = [frame for frame in self.unread if _is_event(frame, name, fields)]
        self.unread = [frame for frame in self.unread if frame not in found]
        return [frame["payload"] for frame in found]

    def take(self, wanted: Callable[[Frame], bool]) -> Frame:
        """Return the first frame that is wanted, be it one that waits already or one still to come."""
        for position, frame in enumerate(self.unread):
            if wanted(frame):
                return self.unread.pop(position)
        while not wanted(frame := self.next()):
            self.unread.append(frame)
        return frame

    def next(self) -> Frame:
        """Return the next frame from the wire, checked.

        Raises:
            TimeoutError: If none comes.
            ConnectionClosed: If the gateway closes.
        """
        text = self.socket.recv(SECONDS)
        assert isinstance(text, str), "binary frames are not part of the protocol"
        frame: Frame = json.loads(text)
        validator("ServerFrame").validate(frame)
        if frame["type"] == "event":
            self._seq += 1
            assert self._seq == frame["seq"], "events are numbered without a gap"
            validator(EVENTS[frame["event"]]).validate(frame["payload"])
        else:
            self._check_response(frame)
        return frame

    def closed(self) -> tuple[int, str]:
        """Read until the gateway closes; return the code and the reason (1006 where it said nothing)."""
        try:
            while True:
                self.unread.append(self.next())
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd is not None else (1006, "")

    def break_off(self) -> None:
        """Leave as a machine does that loses its network: no closing handshake, a reset."""
        raw = self.socket.socket
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.shutdown(socket.SHUT_RD)  # wakes the library's reader, which then closes it
        self.close()

    def close(self) -> None:
        """Leave in good order."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_response(self, frame: Frame) -> None:
        if not frame["ok"]:
            assert "error" in frame
            validator("ErrorCode").validate(frame["error"]["code"])
        method = self._methods.get(frame["id"])
        if "payload" in frame and method is not None:
            schemas = results(method)
            assert any(validator(name).is_valid(frame["payload"]) for name in schemas), (schemas, frame)


def handshake(**params: Json) -> Frame:
    """Return the params of a ``connect`` that is let in, or with others over them."""
    return {"minProtocol": 4, "maxProtocol": 4, "client": CLIENT, "auth": {"token": TOKEN}, **params}


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return uuid4().hex


def text_of(result: Frame) -> str:
    """Return the words of an ``AgentResult``."""
    return "".join(payload["text"] for payload in result["result"]["payloads"])


def said(message: Frame) -> tuple[str, str]:
    """Return who says what in a message of the protocol's."""
    return message["role"], "".join(part.get("text", "") for part in message["content"])


def _is_event(frame: Frame, name: str, fields: Frame) -> bool:
    if frame["type"] != "event" or frame["event"] != name:
        return False
    return all(frame["payload"].get(key) == value for key, value in fields.items())
