"""uvicorn's WebSocket protocol with bounds: on what strangers may send, on what may wait, on how long an end takes.

``zero gateway`` uses it, and so does ``uvicorn app:gateway --ws app.ws.uvicorn_wire:UvicornWire``. Knows uvicorn and
the frames of WebSocket, nothing of what they say. What each override changes is what uvicorn 0.54 does without it.
"""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from app.ws.wire import EXTENSION, MAX_HANDSHAKE_BYTES

LINGER_SECONDS: Final = 2.0
"""How long an ended connection has for its last words and the client's answer to them, before it is cut."""
QUIET_SECONDS: Final = 0.5
"""How long nothing may have come from a client that is no longer listened to, before it is cut."""


class UvicornWire(WebSocketsSansIOProtocol):
    """One connection; see ``Wire``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The header of a frame says how long it is, so one that is too long ends here before it is read.
        self.conn.max_message_size = MAX_HANDSHAKE_BYTES
        self._cut: TimerHandle | None = None

    def admit(self) -> None:
        """Let frames be as large as the server's setting says."""
        self.conn.max_message_size = self.config.ws_max_size

    def unsent(self) -> int:
        """Return how many bytes the transport holds."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once. ``transport.close()``, uvicorn's way, waits for a client that may never read again."""
        self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        """Begin to serve, with this object in the scope."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast("dict[str, object]", self.scope["extensions"])  # open to everybody's own, by ASGI's rules
            extensions[EXTENSION] = self

    def handle_cont(self, event: Frame) -> None:
        """Add to a message in one buffer: as a list, a message in tiny pieces takes many times its size."""
        begun: object = self.frames[0]
        whole = begun if isinstance(begun, bytearray) else bytearray(self.frames[0])
        whole += event.data
        self.frames = cast("list[bytes]", [whole])
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Give a message on. A text that is none ends the connection; uvicorn logs a traceback, too."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(self.frames[0]):
            self.frames = []
            self.conn.fail(1007, "a text frame has to be UTF-8")
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, unless the client doesn't read: the answers would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """Cut off a client that is gone without a word: it won't read what still waits for it."""
        super().keepalive_timeout()
        self.abort()

    def handle_parser_exception(self) -> None:
        """Say why the connection ends, and throw away the rest that comes.

        uvicorn closes at once; with bytes unread that is a reset, which takes the reason away from the client.
        """
        if not self.close_sent:
            end = self.conn.close_sent
            assert end is not None, "the parser fails with a close frame"
            self.queue.put_nowait({"type": "websocket.disconnect", "code": end.code, "reason": end.reason})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
        # Called again for all that still comes. That there is a timer tells uvicorn not to close by itself.
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(QUIET_SECONDS, self.abort)

    async def run_asgi(self) -> None:
        """Serve, and don't wait for ever for the end."""
        try:
            await super().run_asgi()
        finally:
            cast("dict[str, object]", self.scope["extensions"]).pop(EXTENSION)
            if not self.disconnected:
                self._cut = self.loop.call_later(LINGER_SECONDS, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and the last message: its parser would keep that until the collector comes."""
        super().connection_lost(exc)
        self.conn.parser.close()
        if self._cut is not None:
            self._cut.cancel()


def _is_text(data: bytes) -> bool:
    if data.isascii():  # nearly all are, and that is cheap to see
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
