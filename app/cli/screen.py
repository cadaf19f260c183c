"""Where an answer appears as it is generated: text on stdout, a sign of life on stderr.

Owns what is drawn and when. On anything that is no terminal it draws nothing but the text itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.cli.output import is_terminal, write
from app.cli.table import printable

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"
_FRAME_SECONDS = 0.1
_CLEAR = "\r\x1b[K"


class Screen:
    """Shows one answer.

    Args:
        silent: Whether to show nothing, for somebody who wants JSON.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._terminal = is_terminal()
        self._last = "\n"
        self._spinning = False

    def text(self, text: str) -> None:
        """Show a piece of the answer at once. A terminal gets no commands that a model may have written.

        Raises:
            OutputFailed: If it can't be written.
        """
        if self._silent or not text:
            return
        self._clear()
        shown = printable(text) if self._terminal else text
        last, self._last = shown[-1:] or self._last, "\n"  # a line that can't be written needs no end
        write(shown)
        self._last = last

    def end(self) -> None:
        """End the answer's last line, if it has begun one.

        Raises:
            OutputFailed: If that can't be written.
        """
        self._clear()
        if self._last != "\n":
            self._last = "\n"
            write("\n")

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Show that something goes on, until the first text or the end of the block."""
        visible = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        spinner = asyncio.create_task(self._spin(), name="spinner") if visible else None
        try:
            yield
        finally:
            if spinner is not None:
                spinner.cancel()
                with suppress(asyncio.CancelledError):
                    await spinner
            self._clear()

    async def _spin(self) -> None:
        frames = _FRAMES if (sys.stderr.encoding or "").lower().startswith("utf") else _ASCII_FRAMES
        self._spinning = True
        step = 0
        while self._spinning:
            _draw(f"\r{frames[step % len(frames)]} ")
            step += 1
            await asyncio.sleep(_FRAME_SECONDS)

    def _clear(self) -> None:
        if self._spinning:
            self._spinning = False
            _draw(_CLEAR)


def _draw(text: str) -> None:
    with suppress(OSError):  # a terminal that has gone needs no sign of life
        sys.stderr.write(text)
        sys.stderr.flush()
