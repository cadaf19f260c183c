"""The gateway's listening socket: had at the start, and given up in the end without a client that falls between.

Knows sockets and how Linux filters what comes to them; nothing of what is served.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from errno import EADDRINUSE
from typing import Final

from app.cli.ending import CannotListen

_SO_ATTACH_FILTER: Final = 26
_ALL: Final = 0xFFFFFFFF
_NO_CONNECTION_REQUEST: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of TCP's header that has the flags
        (0x45, 0, 1, 0x02),  # SYN?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, _ALL),  # else take all of it
    )
)
"""A classic BPF program (linux/filter.h)."""


def bound(host: str, port: int) -> socket.socket:
    """Return a socket with an address that doesn't listen yet: one that can't be had is told before anything has begun.

    Raises:
        CannotListen: If it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise cannot_listen(host, port, error) from None
    return found


def cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    """Return what says that an address can't be had."""
    place = f"[{host}]" if ":" in host else host
    reason = os.strerror(error.errno or 0).lower()
    advice = " Another gateway may be there already; --port chooses another." if error.errno == EADDRINUSE else ""
    return CannotListen(f"The gateway can't listen on {place}:{port}: {reason}.{advice}")


def let_nobody_in(listener: socket.socket) -> None:
    """Have a listening socket take no new client, while those that have knocked already can still be let in.

    Closing it cuts the connections that the system has made and the process has not accepted yet. A client whose
    request to connect isn't heard asks again, a second later, and is refused then: it knows that nothing was done.
    Other systems than Linux have no such thing; there the few that come in the last moment are cut.
    """
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(_NO_CONNECTION_REQUEST)
    with suppress(OSError):
        length = len(_NO_CONNECTION_REQUEST) // struct.calcsize("HBBI")
        where = struct.pack("HP", length, ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)
