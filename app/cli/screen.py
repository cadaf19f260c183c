"""Where an answer appears as it is generated: text on stdout, a sign of life on stderr.

Owns what is drawn and when. On anything that is no terminal it draws nothing but the text itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

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
        self._terminal = sys.stdout.isatty()
        self._last = "\n"
        self._spinning = False

    def text(self, text: str) -> None:
        """Show a piece of the answer at once. A terminal gets no commands that a model may have written."""
        if self._silent or not text:
            return
        self._clear()
        shown = printable(text) if self._terminal else text
        sys.stdout.write(_encodable(shown))
        sys.stdout.flush()
        self._last = shown[-1:] or self._last

    def end(self) -> None:
        """End the answer's last line, if it has begun one."""
        self._clear()
        if self._last != "\n":
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._last = "\n"

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Show that something goes on, until the first text or the end of the block."""
        visible = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
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
            sys.stderr.write(f"\r{frames[step % len(frames)]} ")
            sys.stderr.flush()
            step += 1
            await asyncio.sleep(_FRAME_SECONDS)

    def _clear(self) -> None:
        if self._spinning:
            self._spinning = False
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


def _encodable(text: str) -> str:
    """Return a text with what stdout's encoding lacks replaced."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
