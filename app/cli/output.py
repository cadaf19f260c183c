"""Stdout: what a command prints there, in its encoding, and what becomes of the command when it can't be written.

Owns every write of a command to stdout, so that a failure of it is never taken for one of something else. Rules:
docs/cli.md, "Exit codes".
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import Any, TextIO

import click

_under_way = False
"""Whether a write is under way. A process has one stdout, and signals have to know about it."""


class OutputFailed(click.ClickException):
    """Raised when stdout takes no more, because the disk is full, say. Nothing of the rest is printed."""


class OutputGone(OutputFailed):
    """Raised when who reads stdout has had enough, like ``head``: nobody is told."""

    exit_code = 141  # as a shell reports programs that SIGPIPE ends

    def show(self, file: Any = None) -> None:
        """Say nothing."""


def output_failed(error: OSError) -> OutputFailed:
    """Return what ends a command that can't write to stdout, and see to it that nobody tries again."""
    discard(sys.stdout)
    kind = OutputGone if error.errno in (errno.EPIPE, errno.ESHUTDOWN, errno.ECONNRESET) else OutputFailed
    return kind(f"The output can't be written: {error.strerror or type(error).__name__}.")


def echo(text: str = "") -> None:
    """Print a text and a line end. Colours are for terminals, unless ``NO_COLOR`` says that they aren't.

    Raises:
        OutputFailed: If it can't be written.
    """
    context = click.get_current_context(silent=True)
    colour = context.color if context is not None else None
    write((text if is_terminal() and colour is not False else click.unstyle(text)) + "\n")


def write(text: str) -> None:
    """Write a text at once, as it stands; what stdout's encoding lacks is replaced by question marks.

    Raises:
        OutputFailed: If it can't be written.
    """
    encoding = (sys.stdout and sys.stdout.encoding) or "utf-8"
    write_bytes(text.encode(encoding, "replace"))


def write_bytes(data: bytes) -> None:
    """Write bytes at once.

    Raises:
        OutputFailed: If they can't be written.
    """
    global _under_way
    if sys.stdout is None:  # the command was started with stdout closed
        return
    _under_way = True
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise output_failed(error) from None
    finally:
        _under_way = False


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def break_off() -> None:
    """From a signal handler: give up a write that waits for a reader, so that the signal is not kept waiting as well.

    Raises:
        OutputFailed: Out of that write, if there is one.
    """
    if _under_way and not select.select([], [sys.stdout.fileno()], [], 0)[1]:
        discard(sys.stdout)
        raise OutputGone("A signal came.")


def discard(stream: TextIO | None) -> None:
    """Send what a stream still holds, and whatever comes, nowhere: at its end Python would try to write it once more.

    Args:
        stream: Stdout or stderr.
    """
    if stream is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
