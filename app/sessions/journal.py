"""Which runs are under way in this process, in a file that outlives it: for a store that is a file, too.

Each process has a journal of its own beside the store, and a lock on it for as long as it lives; the system takes the
lock away, however the process ends. A run costs two short writes and no transaction. Knows files, and no sessions.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from time import time
from typing import Final, Self
from uuid import uuid4

import msgspec

from app.log import logger
from app.sessions.interruption import BegunRun

MAX_BYTES: Final = 256 * 1024
"""What a journal may grow by before it is written anew, with nothing but the runs that are under way."""
_UNFINISHED_SECONDS: Final = 60.0
_log = logger("zero.sessions")


class _Line(msgspec.Struct, array_like=True, frozen=True):
    """A run's number with the run, when it begins; the number alone when it ends."""

    number: int
    run: BegunRun | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


class RunJournal:
    """This process's journal; there is no file until the first run.

    Args:
        store: The store's file.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = store.with_name(f"{_prefix(store)}{uuid4().hex}")
        self._file: int | None = None
        self._runs: dict[int, BegunRun] = {}
        self._number = 0
        self._room = 0
        self._failed = False

    @contextmanager
    def noted(self, run: BegunRun) -> Iterator[None]:
        """Have it written down that a run is under way while the block lasts."""
        self._number += 1
        number = self._number
        self._runs[number] = run
        self._write(_Line(number, run))
        try:
            yield
        finally:
            del self._runs[number]
            self._write(_Line(number))

    def close(self) -> None:
        """Remove the file: whatever was under way has ended in good order."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _write(self, line: _Line) -> None:
        text = _encoder.encode(line) + b"\n"
        try:
            if self._file is None or self._room < len(text):
                self._begin()  # with all that is under way
            else:
                # Half a line, on a full disk, is made good by writing everything anew.
                whole = os.write(self._file, text) == len(text)
                self._room = self._room - len(text) if whole else 0
            self._failed = False
        except OSError as error:
            # A run needs no journal to be right; that it was interrupted is then not found. The next one that can be
            # noted has everything written anew, so that no run whose end is missing here counts as interrupted.
            self._room = 0
            if not self._failed:
                _log.warning("the journal of runs beside %s can't be written: %s", self._store, error.strerror)
            self._failed = True

    def _begin(self) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        text = b"".join(_encoder.encode(_Line(number, run)) + b"\n" for number, run in self._runs.items())
        file = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            # Locked and written before it has a name by which others look for it.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(file, text) < len(text):
                raise OSError(ENOSPC, os.strerror(ENOSPC))  # the one before is better than half of a new one
            new.rename(self._path)
        except OSError:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._room = file, MAX_BYTES


class AbandonedJournals:
    """The journals of processes that have ended, held until ``remove``, so that nobody else takes them.

    Attributes:
        runs: The runs that were under way.
    """

    def __init__(self) -> None:
        self.runs: list[BegunRun] = []
        self._files: list[tuple[int, Path]] = []

    @classmethod
    def beside(cls, store: Path) -> Self:
        """Take those that lie beside a store's file."""
        found = cls()
        for path in sorted(store.parent.glob(f"{_prefix(store)}*")):
            with suppress(OSError):  # gone meanwhile, or somebody else's
                if path.suffix == ".new":
                    if time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
                        path.unlink()
                else:
                    found._take(path)
        return found

    def remove(self) -> None:
        """Remove the files: what was in them is written elsewhere."""
        for _, path in self._files:
            path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of what is still there, for others to take."""
        for file, _ in self._files:
            os.close(file)
        self._files.clear()

    def _take(self, path: Path) -> None:
        file = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have removed it, or put another one in its place.
            if path.stat().st_ino != os.fstat(file).st_ino:
                raise FileNotFoundError(path)
        except OSError:
            os.close(file)
            raise
        self._files.append((file, path))
        self.runs += _read(path)


def _prefix(store: Path) -> str:
    return f"{store.name}-runs-"


def _read(path: Path) -> list[BegunRun]:
    runs: dict[int, BegunRun] = {}
    for text in path.read_bytes().splitlines():
        try:
            line = _decoder.decode(text)
        except msgspec.DecodeError:
            continue  # its process ended in the middle of the line
        if line.run is not None:
            runs[line.number] = line.run
        else:
            runs.pop(line.number, None)
    return list(runs.values())
