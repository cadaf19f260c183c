"""A disk that can be full or read-only: a small file system in a mount namespace that nobody else sees.

Where the machine allows no mounting, or ZERO_TEST_NO_MOUNT is set, a process's limit on the size of its files stands in
for the full disk.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from tests.machine.zero import Zero

_SIZE: Final = 8 * 1024 * 1024
_BALLAST: Final = "ballast"


class Disk:
    """A file system of 8 MiB; a context manager.

    Args:
        folder: An empty folder, which is where it appears to those who are started with ``before``.

    Attributes:
        mounted: Whether it is one; otherwise it is a folder, and full for who has a limit.
        before: The command that starts those who are to see it.
        inside: Where everybody else finds what is on it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = self.inside = folder
        self.before: tuple[str, ...] = ()
        # Who isn't root gets the right to mount with a namespace of users, where the machine lets them have one.
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        if os.environ.get("ZERO_TEST_NO_MOUNT"):
            unshare = ["sh", "-c", "echo ZERO_TEST_NO_MOUNT is set >&2"]
        script = f'mount -t tmpfs -o size={_SIZE},mode=700 tmpfs "$0" && echo mounted && exec sleep infinity'
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", script, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        self.mounted = self._holder.stdout.readline() == "mounted\n"
        if self.mounted:
            pid = str(self._holder.pid)
            users = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
            self.before = ("nsenter", "--target", pid, *users, "--mount")
            self.inside = Path(f"/proc/{pid}/root{folder}")
        else:
            assert self._holder.stderr is not None
            why = self._holder.stderr.read().strip()
            sys.stderr.write(
                f"no file system can be mounted here ({why}): a limit on files stands in for a full disk\n"
            )

    def fill(self, zero: Zero, room: int = 0) -> None:
        """Leave so many bytes of room."""
        if not self.mounted:
            largest = max((file.stat().st_size for file in self.folder.rglob("*") if file.is_file()), default=0)
            _limit(zero, largest + room)
            return
        with (self.inside / _BALLAST).open("wb", buffering=0) as ballast:
            free = os.statvfs(self.inside).f_bavail * os.statvfs(self.inside).f_frsize
            ballast.write(bytes(max(0, free - room)))

    def free(self, zero: Zero) -> None:
        """Take away what fills it."""
        if self.mounted:
            (self.inside / _BALLAST).unlink()
        else:
            _limit(zero, resource.RLIM_INFINITY)

    def remount(self, options: str) -> None:
        """Change it to ``ro`` or ``rw``, which nobody may have files open for."""
        command = [*self.before, "mount", "-o", f"remount,{options}", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.communicate()


def _limit(zero: Zero, size: int) -> None:
    _, hard = resource.prlimit(zero.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(zero.process.pid, resource.RLIMIT_FSIZE, (size, hard))
