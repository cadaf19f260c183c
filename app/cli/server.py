"""How ``zero gateway`` begins and ends: its socket, its signals, its exit code.

Owns what uvicorn does otherwise than docs/cli.md, "Exit codes", says. What is served is for others.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType

import uvicorn

from app.application import Gateway
from app.cli.descriptors import watch_descriptors
from app.cli.hangup import Hangup
from app.cli.interruption import ECHO_SECONDS
from app.cli.listening import cannot_listen, let_nobody_in
from app.cli.output import OutputFailed, echo
from app.http.uvicorn_connection import UvicornConnection
from app.log import logger

ABORT_SECONDS = 5
"""How long aborted runs have to tell their clients before the connections are cut."""
FORCED_SECONDS = 2
"""How long the engines have to end when somebody doesn't want to wait; then their processes are killed."""
KNOCKING_SECONDS = 0.05
"""How long those are still let in whose connections the system has made already when the gateway is to stop."""
STOPPING = "the gateway is stopping"
"""Why runs are aborted in the end."""
_log = logger("zero")


class Server(uvicorn.Server):
    """uvicorn's server, which says where it is once it really is there, and ends in good order.

    A signal has it drain, a second one has it abort what is under way, a third one ends it on the spot. SIGHUP has it
    read its configuration again, unless the terminal has gone.

    Args:
        config: uvicorn's settings.
        gateway: What is served.
        banner: What to print once it is, if anything.
        hangup: Knows what SIGHUP means.
        alone: Whether no other process accepts connections by the same socket.

    Attributes:
        exit_code: How the process is to end.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        banner: str,
        hangup: Hangup | None = None,
        *,
        alone: bool = True,
    ) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._gateway = gateway
        self._banner = banner
        self._hangup = hangup or Hangup()
        self._alone = alone
        self._reload_wanted = False
        self._reloads: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled_at = 0.0
        self._descriptors: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would know nothing of SIGHUP, and would in the end have the signal kill the process: to a supervisor
        # that asked for it an end in good order is no failure.
        names = {"SIGINT", "SIGTERM", "SIGHUP"}
        caught = [one for one in signal.Signals if one.name in names]
        before = {
            one: signal.signal(one, self._hang_up if one.name == "SIGHUP" else self.handle_exit) for one in caught
        }
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and (monotonic() - self._signalled_at < ECHO_SECONDS or _name(sig) == "SIGHUP"):
            return
        if self.force_exit:
            os._exit(128 + sig)
        self.force_exit, self.should_exit, self._signalled_at = self.should_exit, True, monotonic()
        self.exit_code = 0 if _name(sig) == "SIGTERM" and not self.force_exit else 128 + sig
        if self.force_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._abort)

    def _hang_up(self, sig: int, frame: FrameType | None) -> None:
        if self._hangup.is_the_end():
            self.handle_exit(sig, frame)
        elif self._loop is None:
            self._reload_wanted = True
        else:
            self._loop.call_soon_threadsafe(self._reload)

    def _reload(self) -> None:
        task = asyncio.create_task(self._gateway.configuration.reload(), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            for one in sockets or ():  # uvloop wouldn't say that it can't
                one.listen(self.config.backlog)
        except OSError as error:  # somebody else listens since we have looked
            raise cannot_listen(str(self.config.host), self.config.port, error) from None
        await super().startup(sockets)
        self._descriptors = asyncio.create_task(watch_descriptors(), name="descriptors")
        if self._reload_wanted:
            self._reload()
        with suppress(OutputFailed):  # a gateway serves, whether somebody reads this or not
            if self._banner:
                echo(self._banner)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.admission.draining = True
        # What is asked on a connection that is there already is answered, and the connection closed then. It is asked
        # by a client that can't know better yet; a proxy would not send a POST to another gateway instead.
        for connection in list(self.server_state.connections):
            if isinstance(connection, UvicornConnection):
                connection.shutdown()
        if self._alone:
            for one in sockets or ():
                let_nobody_in(one)
        await asyncio.sleep(KNOCKING_SECONDS)
        for server in self.servers:
            server.close()
        if self._gateway.runs.active:
            _log.info("%d run(s) may end first; a second signal aborts them", len(self._gateway.runs.active))
        # uvicorn closes the connections before it ends the application, which is too late to say goodbye.
        self._gateway.websocket.hub.announce_shutdown()
        await asyncio.sleep(0)
        # A run that isn't done in time ends with an error of ours, not with a connection that uvicorn cuts.
        seconds = self._gateway.loaded.config.gateway.drain_seconds
        abort = asyncio.get_running_loop().call_later(seconds, self._abort)
        try:
            # uvicorn waits for HTTP requests by itself. Runs that may be without one are waited for here: those of
            # WebSockets, which it closes at once, and those with a key, whose clients may have gone.
            patience = seconds + ABORT_SECONDS
            await asyncio.gather(self._gateway.websocket.drained(patience), self._gateway.chat.drained(patience))
            await super().shutdown(sockets)
            if self.force_exit:  # then uvicorn doesn't end the application, whose engines may have processes
                with suppress(TimeoutError):
                    async with asyncio.timeout(FORCED_SECONDS):
                        await self.lifespan.shutdown()
        finally:
            abort.cancel()
            if self._descriptors is not None:
                self._descriptors.cancel()

    def _abort(self) -> None:
        self._gateway.runs.active.abort_all(STOPPING)
        self._gateway.chat.stop_following()


def _name(number: int) -> str:
    return signal.Signals(number).name
