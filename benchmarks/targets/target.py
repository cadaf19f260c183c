"""What all targets have in common: they are installed, started, and asked for the same things.

A target is asked by the mock upstream's model names (``programs/upstream.c``): ``json``, ``stream-N-MS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from benchmarks.server import Launch

KEY: Final = "bench-key-0123456789"
JSON: Final = "json"
BURST: Final = "stream-100-0"
PACED: Final = "stream-1000000-20"
SLOW: Final = "stream-1000000-1000"
SILENT: Final = "stream-1000000-3600000"
MODELS: Final = (JSON, BURST, PACED, SLOW, SILENT)
QUESTION: Final = "Count the seconds for me, please: tick, tock."


class Request(msgspec.Struct, frozen=True):
    """A POST as a target wants it."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def wire(self, port: int) -> bytes:
        """Return it as it goes over the connection."""
        lines = [f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join([*lines, f"content-length: {len(self.body)}", "", ""])
        return head.encode() + self.body


class Place(msgspec.Struct, frozen=True):
    """Where a target is to run."""

    port: int
    """Where it is to listen, on 127.0.0.1."""
    upstream: int
    """The mock upstream's port."""
    folder: Path
    """An empty folder."""


class Target(ABC):
    """Something that answers chat completions."""

    name: ClassVar[str]
    title: ClassVar[str]
    streams: ClassVar[bool] = True
    """Whether it has streams with a pace."""
    proxies: ClassVar[bool] = True
    """Whether it asks the upstream."""

    @abstractmethod
    def install(self) -> str:
        """Get what it needs and return its version.

        Raises:
            Missing: If that can't be had.
        """

    @abstractmethod
    def launch(self, place: Place) -> Launch:
        """Write its configuration and return how it is started."""

    def request(self, model: str, *, stream: bool) -> Request:
        """Return the request for one of the mock's models."""
        return Request("/v1/chat/completions", {"authorization": f"Bearer {KEY}"}, body(model, stream=stream))


def body(model: str, *, stream: bool, question: str = QUESTION, **fields: str) -> bytes:
    """Return a request's body in OpenAI's shape."""
    content = {"model": model, "messages": [{"role": "user", "content": question}], **fields}
    return msgspec.json.encode({**content, "stream": True} if stream else content)
