"""What the operating system says of a gateway's process. Linux only, as the tests that need it say."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.live_gateway import LiveGateway

MIB: Final = 1024 * 1024
AS_ZERO_GATEWAY: Final = ("--ws", "app.ws.uvicorn_wire:UvicornWire")
"""What makes uvicorn's command line treat sockets as ``zero gateway`` does."""


def memory(gateway: LiveGateway) -> int:
    """Return the bytes of memory that the gateway has in use."""
    return _status(gateway, "VmRSS")


def peak_memory(gateway: LiveGateway) -> int:
    """Return the most bytes of memory that the gateway has had in use."""
    return _status(gateway, "VmHWM")


def open_files(gateway: LiveGateway) -> int:
    """Return how many descriptors the gateway has open, connections among them."""
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


def open_sockets(gateway: LiveGateway) -> int:
    """Return how many of those are sockets."""
    found = 0
    for link in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(link.readlink()).startswith("socket:")
    return found


def _status(gateway: LiveGateway, name: str) -> int:
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
