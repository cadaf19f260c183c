"""An ASGI wrapper that spoils what an application says: the seam at which most broken variants are made.

Knows ASGI and nothing of the gateway. It holds every response back until it is whole, streams as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]


@dataclass
class Reply:
    """A response before it is sent, to be changed at will, and the request that it answers."""

    method: str
    path: str
    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @property
    def media_type(self) -> bytes:
        """What kind of body it is."""
        return dict(self.headers).get(b"content-type", b"")

    def drop(self, name: bytes) -> None:
        """Remove a header."""
        self.headers = [header for header in self.headers if header[0] != name]

    def put(self, name: bytes, value: bytes) -> None:
        """Replace a header."""
        self.drop(name)
        self.headers.append((name, value))


class Tampered:
    """An application whose responses are changed.

    Args:
        app: The application.
        change: Called with every response.
    """

    def __init__(self, app: ASGIApp, change: Callable[[Reply], None]) -> None:
        self._app = app
        self._change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        reply = Reply(str(scope["method"]), scope["path"])

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = list(message["headers"])
            elif message["type"] == "http.response.body":
                reply.body += message["body"]
                if not message["more_body"]:
                    await self._release(reply, send)

        await self._app(scope, receive, hold)

    async def _release(self, reply: Reply, send: Send) -> None:
        self._change(reply)
        if any(name == b"content-length" for name, _ in reply.headers):
            reply.put(b"content-length", b"%d" % len(reply.body))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})
