"""One process of the local model: its pipes, what it says, and its end.

Owns the parent's side of the protocol in ``app.engines.local.child``. Doesn't know when to start a process or
whether to try again; that is the supervisor's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

import msgspec

GRACE_SECONDS: Final = 5.0
TERMINATE_SECONDS: Final = 2.0
_MAX_LINE_BYTES: Final = 64 * 1024
_STDERR_LINES: Final = 3


class Announcement(msgspec.Struct, frozen=True):
    """The one line that the child writes on stdout."""

    address: str | None = None
    error: str | None = None


class ChildProcess(asyncio.SubprocessProtocol):
    """One process, from its start to its end.

    A protocol instead of asyncio's streams: its transport can be closed by public means, and ``gone`` is set only when
    the process is reaped and each of its pipes is closed, so that nothing is left to be collected with a warning.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._stderr_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self.exited = False
        self._stopping = False
        self._killed = False
        self._announced = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return None if self._transport is None or self.exited else self._transport.get_pid()

    @property
    def returncode(self) -> int | None:
        """How the process ended: its exit code, or minus the signal that killed it; None while it lives."""
        return None if self._transport is None else self._transport.get_returncode()

    async def start(self, command: Sequence[str], first_line: str, seconds: float) -> Announcement:
        """Start the program, write the first line on its stdin and wait until it announces itself.

        Args:
            command: The program and its arguments.
            first_line: What it gets on stdin, which then stays open.
            seconds: How long it may take to announce itself.

        Returns:
            Its address, or why there is none; then nothing is left of the process.
        """
        try:
            await asyncio.get_running_loop().subprocess_exec(lambda: self, *command)
        except OSError as error:
            return Announcement(error=f"{command[0]}: {error.strerror or error}")
        try:
            stdin = self._stdin()
            if stdin is not None and not stdin.is_closing():  # it closes by itself when the process has already ended
                stdin.write(first_line.encode() + b"\n")
            async with asyncio.timeout(seconds):
                await self._announced.wait()
        except TimeoutError:
            await self.kill()
            return Announcement(error=" | ".join([f"it was not ready within {seconds:g} s", *self._stderr_lines]))
        except asyncio.CancelledError:
            await self.kill()
            raise
        said = self._said()
        if said.address is None:
            await self.stop()
            return Announcement(error=self.reason())
        return said

    def reason(self) -> str:
        """Tell in one line why the process failed or ended, the last words of its stderr included."""
        return " | ".join([self._said().error or f"its process {self._ending()}", *self._stderr_lines])

    def abort(self) -> None:
        """Kill the process without waiting, one that is only being started included."""
        self._stopping = True
        # Once only: asyncio looks for the end of the process before each signal and would take it from its watcher.
        if self._transport is not None and not self.exited and not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()

    async def stop(self) -> None:
        """End the process: close its stdin, then terminate, then kill it. Returns when nothing is left of it."""
        self._stopping = True
        try:
            if stdin := self._stdin():
                stdin.close()
            if await self._is_gone(GRACE_SECONDS):
                return
            if self._transport is not None and not self.exited:
                with contextlib.suppress(ProcessLookupError):
                    self._transport.terminate()
            if await self._is_gone(TERMINATE_SECONDS):
                return
        except asyncio.CancelledError:
            self.abort()  # nobody waits any longer: no grace
            raise
        await self.kill()

    async def kill(self) -> None:
        """End the process at once and wait until nothing is left of it."""
        self.abort()
        await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        if self._stopping:
            self.abort()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            if len(self._stdout) < _MAX_LINE_BYTES:
                self._stdout += data
            if b"\n" in self._stdout:
                self._announced.set()
            return
        self._stderr += data
        *lines, rest = self._stderr.split(b"\n")
        self._stderr = rest[-_MAX_LINE_BYTES:]
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                self._stderr_lines.append(text)
                self._log.debug("local model: %s", text)

    def process_exited(self) -> None:
        self.exited = True
        if not self._stopping:
            self._log.warning("The local model's process %s.", self._ending())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the process's own end says more
        if self._transport is not None:
            self._transport.close()
        self._announced.set()
        self._gone.set()

    def _said(self) -> Announcement:
        """Read the line on stdout; a process that ended without one has failed."""
        line, newline, _ = bytes(self._stdout).partition(b"\n")
        if newline:
            try:
                said = msgspec.json.decode(line, type=Announcement)
            except msgspec.MsgspecError:
                return Announcement(error=f"it wrote {line[:200]!r} instead of its address")
            if said.address is not None or said.error is not None:
                return said
        return Announcement(error=f"its process {self._ending()} before it was ready")

    async def _is_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            return False
        return True

    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = None if self._transport is None or self.exited else self._transport.get_pipe_transport(0)
        return cast("asyncio.WriteTransport | None", pipe)

    def _ending(self) -> str:
        code = self.returncode
        if code is None:
            return "ended"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
