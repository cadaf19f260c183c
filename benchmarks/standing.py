"""A target that runs, with the mock upstream behind it: what measures are taken of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import cores
from benchmarks.installed.compiled import compiled
from benchmarks.places import folder
from benchmarks.server import Launch, Server, free_port
from benchmarks.targets.target import Place, Request, Target


class Standing(msgspec.Struct, frozen=True):
    """A target that answers."""

    target: Target
    server: Server
    folder: Path
    """For the files of one visit."""

    def request(self, model: str, *, stream: bool = False) -> Request:
        """Return the target's request for one of the mock's models."""
        return self.target.request(model, stream=stream)


@contextmanager
def mock_upstream() -> Iterator[int]:
    """Run the mock upstream and give its port."""
    port = free_port()
    with _folder("upstream") as place:
        launch = Launch([compiled("upstream"), str(port)], "/v1/models")
        with Server(launch, port, place, cores.loading()):
            yield port


@contextmanager
def standing(target: Target, upstream: int) -> Iterator[Standing]:
    """Run a target and give it.

    Raises:
        Missing: If it doesn't start.
    """
    port = free_port()
    with _folder(target.name) as place:
        launch = target.launch(Place(port, upstream, place))
        with Server(launch, port, place, cores.serving(launch.workers)) as server:
            yield Standing(target, server, place)


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder("runs")))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
