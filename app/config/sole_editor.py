"""One editor of a configuration file at a time, so that none writes over what another has just written.

Owns the lock: the folder that the file is in, by ``flock``. So there is no lock file to be left behind or to have the
right mode, whoever may replace the file can lock it, and two links to one file lead to the same lock. Readers need no
lock, since files are replaced in one step.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .error import ConfigError

WAIT_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.02
_NO_LOCKS: Final = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that have no such locks, some network ones for example: editing goes on without."""


@contextmanager
def sole_editor(path: Path, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Be the only one to edit a file while the block lasts.

    Args:
        path: The file. Where there is no such folder, there is nobody to wait for.
        seconds: How long to wait for others.

    Raises:
        ConfigError: Another is still at it by then, or the folder can't be opened.
    """
    if sys.platform == "win32":  # has neither flock nor folders that can be opened
        yield
        return
    folder = path.resolve().parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise ConfigError(f"{folder} can't be opened: {error.strerror}", "Nothing was changed.", file=path) from error
    try:
        deadline = time.monotonic() + seconds
        while not _locked(descriptor, path):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"another command has been changing files in {folder} for {seconds:g} s", "Try again.", file=path
                )
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)  # which unlocks


def _locked(descriptor: int, path: Path) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise ConfigError(f"can't be locked: {error.strerror}", "Nothing was changed.", file=path) from error
    return True
