"""A gateway that falls silent, at once or later, and a way to a real one on which things get stuck."""

from __future__ import annotations

import json
import queue
import socket
import threading
from contextlib import suppress
from typing import Any, Final, Literal, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

HELLO: Final = {
    "type": "hello-ok",
    "protocol": 4,
    "server": {"version": "1", "connId": "c"},
    "features": {"methods": [], "events": []},
    "snapshot": {
        "presence": [],
        "health": {"ok": True, "ts": 1, "durationMs": 0, "defaultAgentId": "main"},
        "stateVersion": {"presence": 0, "health": 0},
        "uptimeMs": 1,
    },
    "auth": {"role": "operator", "scopes": []},
    "policy": {"maxPayload": 1, "maxBufferedBytes": 1, "tickIntervalMs": 1},
}
SECONDS: Final = 15.0

Until = Literal["connect", "agent", "accepted"]


class SilentGateway:
    """Listens as long as the block lasts.

    Args:
        until: The last that it answers: nothing of WebSocket at all for "connect" (it accepts the connection and no
            more), the handshake for "agent", a run's acceptance for "accepted".

    Attributes:
        url: Where it is.
    """

    def __init__(self, until: Until) -> None:
        self._until = until
        self._requests: queue.Queue[dict[str, Any]] = queue.Queue()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._server: Server | None = None
        if until != "connect":
            self._server = serve(self._speak, sock=self._socket)
            self._thread = threading.Thread(target=self._server.serve_forever, name="silent gateway")
            self._thread.start()

    def accepted(self) -> None:
        """Wait until somebody has connected to the gateway that says nothing at all."""
        self._socket.settimeout(SECONDS)
        self._connections.append(self._socket.accept()[0])

    def request(self, method: str) -> dict[str, Any]:
        """Wait until it is asked for something by this method; return the params."""
        while True:
            asked = self._requests.get(timeout=SECONDS)
            if asked["method"] == method:
                params: dict[str, Any] = asked["params"]
                return params

    def _speak(self, connection: ServerConnection) -> None:
        self._send(connection, {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}})
        try:
            for text in connection:
                asked = json.loads(text)
                if asked["method"] == "connect":
                    self._answer(connection, asked, HELLO)
                elif asked["method"] == "agent" and self._until == "accepted":
                    run = {"runId": asked["params"]["idempotencyKey"], "acceptedAt": 1, "sessionKey": "agent:main:its"}
                    self._answer(connection, asked, run)
                self._requests.put(asked)
        except ConnectionClosed:
            return

    def _answer(self, connection: ServerConnection, asked: dict[str, Any], payload: dict[str, Any]) -> None:
        self._send(connection, {"type": "res", "id": asked["id"], "ok": True, "payload": payload})

    @staticmethod
    def _send(connection: ServerConnection, frame: dict[str, Any]) -> None:
        connection.send(json.dumps(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
        for connection in self._connections:
            connection.close()
        self._socket.close()


class Detour:
    """A way to a gateway on which what clients say after the handshake is held up until it is released.

    Args:
        port: The gateway's.

    Attributes:
        url: Where the way begins.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}"
        self._holds = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="detour")
        self._thread.start()

    def wait(self) -> None:
        """Wait until something is held up."""
        assert self._holds.wait(SECONDS), "nothing came"

    def release(self) -> None:
        """Let through what was held up."""
        self._released.set()

    def _carry(self) -> None:
        client, _ = self._socket.accept()
        gateway = socket.create_connection(("127.0.0.1", self._port))
        with client, gateway:
            back = threading.Thread(target=self._back, args=(gateway, client), name="way back")
            back.start()
            for _ in range(2):  # WebSocket's own handshake, and then the protocol's
                gateway.sendall(client.recv(65536))
            held = b""
            while more := client.recv(65536):
                held += more
                self._holds.set()
            self._released.wait(SECONDS)
            gateway.sendall(held)
            gateway.shutdown(socket.SHUT_WR)
            back.join()

    @staticmethod
    def _back(gateway: socket.socket, client: socket.socket) -> None:
        while more := gateway.recv(65536):
            with suppress(OSError):  # the client has gone
                client.sendall(more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._thread.join()
        self._socket.close()
