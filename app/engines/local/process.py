"""One process of the local model: its pipes, what it says, and its end.

Owns the parent's side of the protocol in ``app.engines.local.child``. Doesn't know when to start a process or
whether to try again; that is the supervisor's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
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

    A protocol rather than asyncio's streams: its transport can be closed by public means, and ``gone`` is set only when
    the process is reaped and each of its pipes is closed, so that nothing is left to be collected with a warning.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._stderr_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self.exited = False
        self.stopping = False
        self.announced = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return None if self._transport is None or self.exited else self._transport.get_pid()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            if len(self._stdout) < _MAX_LINE_BYTES:
                self._stdout += data
            if b"\n" in self._stdout:
                self.announced.set()
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
        if not self.stopping:
            self._log.warning("The local model's process %s.", self._ending())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the process's own end says more
        if self._transport is not None:
            self._transport.close()
        self.announced.set()
        self.gone.set()

    def announcement(self) -> Announcement:
        """Read what the child has said; valid once ``announced`` is set.

        Returns:
            An announcement with exactly one of its fields; a child that said nothing has failed.
        """
        line, newline, _ = bytes(self._stdout).partition(b"\n")
        if newline:
            try:
                said = msgspec.json.decode(line, type=Announcement)
            except msgspec.MsgspecError:
                return Announcement(error=f"it wrote {line[:200]!r} instead of its address")
            if said.address is not None or said.error is not None:
                return said
        return Announcement(error=f"its process {self._ending()} before it was ready")

    def reason(self) -> str:
        """Tell in one line why the child failed, the last words of its stderr included."""
        error = self.announcement().error or f"its process {self._ending()}"
        return " | ".join([error, *self._stderr_lines])

    def write_line(self, text: str) -> None:
        """Write a line on the child's stdin; a child that has already died doesn't matter here."""
        if stdin := self._stdin():
            stdin.write(text.encode() + b"\n")

    async def stop(self) -> None:
        """End the process: close its stdin, then terminate, then kill it. Returns when nothing is left of it."""
        self.stopping = True
        try:
            if stdin := self._stdin():
                stdin.close()
            if await self._is_gone(GRACE_SECONDS):
                return
            self._signal("terminate")
            if await self._is_gone(TERMINATE_SECONDS):
                return
        except asyncio.CancelledError:
            self._signal("kill")  # nobody waits any longer: no grace
            raise
        await self.kill()

    async def kill(self) -> None:
        """End the process at once and wait until nothing is left of it."""
        self.stopping = True
        self._signal("kill")
        await self.gone.wait()

    async def _is_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = None if self._transport is None or self.exited else self._transport.get_pipe_transport(0)
        return cast("asyncio.WriteTransport | None", pipe)

    def _signal(self, method: str) -> None:
        if self._transport is not None and not self.exited:
            with contextlib.suppress(ProcessLookupError):
                self._transport.terminate() if method == "terminate" else self._transport.kill()

    def _ending(self) -> str:
        code = None if self._transport is None else self._transport.get_returncode()
        if code is None:
            return "ended"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
