"""Following the configuration's files while the gateway runs.

Owns when a change is read and what of it may be applied. May not know what applying means: the caller does that.
Rules: design.md, Configuration ("The file is watched").
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from .error import ConfigError
from .loading import LoadedConfig, load, revision_of
from .standing import Standing, applicable, waiting

if TYPE_CHECKING:
    import asyncio
    import logging

Stamp: TypeAlias = tuple[int, int, int] | None
"""A file's inode, modification time and size, or None when there is no such file."""

POLL_SECONDS = 1.0
"""How often the files are looked at where the system doesn't tell of changes (network mounts, exhausted watches)."""


class Follower:
    """Follows the files of the configuration that runs: what is valid and safe is applied.

    A broken edit is logged and changes nothing. A change that needs a restart is logged with its keys, and the rest is
    applied without it.

    Args:
        loaded: The configuration that runs.
        environ: The variables for ``${NAME}``.
        apply: Takes the new configuration for the runs to come; called in the task that reads it.
        log: Where changes and mistakes are told.

    Attributes:
        files: What is watched.
        standing: What is in force, and what of the files isn't.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        environ: Mapping[str, str],
        apply: Callable[[LoadedConfig], None],
        log: logging.Logger,
    ) -> None:
        self.files: frozenset[Path] = frozenset(loaded.files)
        self.standing = Standing(revision=loaded.revision, read_at=time())
        self._running = loaded
        # What the files said at the start: flags of the command line may have changed what runs.
        self._written = self._seen = replace(loaded.config, gateway=loaded.written_gateway)
        self._environ = environ
        self._apply = apply
        self._log = log
        self._stamps: dict[Path, Stamp] | None = None
        self._complaint = ""
        self._reading: asyncio.Lock | None = None

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        await self.reload_if_changed(())  # what happened since it was loaded
        while True:
            directories = _directories(self.files)
            async with aclosing(_changes(directories, self._log)) as changes:
                async for changed in changes:
                    await self.reload_if_changed(changed)
                    if _directories(self.files) != directories:
                        break

    async def reload_if_changed(self, changed: Iterable[str]) -> None:
        """Read the files again if they look different or are among the changed paths."""
        stamps = {file: _stamp(file) for file in self.files}
        names = {file.name for file in self.files}
        if stamps == self._stamps and not any(Path(path).name in names for path in changed):
            return
        await self._reload(stamps)

    async def reload(self) -> None:
        """Read the files again, because somebody wants it, and say in any case what came of it."""
        self._complaint = ""
        before = self._running
        await self._reload({file: _stamp(file) for file in self.files})
        if self._running is before and not self.standing.mistake:
            self._log.info("The configuration was read again: nothing new (revision %s).", self.standing.revision)

    async def _reload(self, stamps: Mapping[Path, Stamp]) -> None:
        import asyncio  # here, so that commands which never watch don't load it

        self._reading = self._reading or asyncio.Lock()
        async with self._reading:
            try:
                # Parsing JSON5 takes milliseconds; answers that are being streamed shouldn't wait for it.
                fresh = await asyncio.to_thread(load, self._running.path, self._environ, self._running.engines)
            except ConfigError as error:
                # What runs may come back when the edit is taken back, so its files stay watched.
                self._look_at(frozenset(self._running.files) | frozenset(error.files), stamps)
                self.standing = replace(self.standing, mistake=str(error))
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    self._log.error("The configuration was changed but not applied: %s", error)
                return
            self._look_at(frozenset(fresh.files), stamps)
            self._complaint = ""
            self._take(fresh)

    def _look_at(self, files: frozenset[Path], stamps: Mapping[Path, Stamp]) -> None:
        # Stamps are those from before reading: an edit made meanwhile is seen at the next look. A file that is new here
        # has none yet, which makes the next look read once more.
        self._stamps = {file: stamps.get(file) for file in files}
        self.files = files

    def _take(self, fresh: LoadedConfig) -> None:
        late = waiting(fresh.config, self._written)
        if late and fresh.config != self._seen:
            self._log.warning("%s in %s: changed, restart the gateway to apply it.", ", ".join(late), fresh.path)
        self._seen = fresh.config
        running = self._running.config
        # The revision is of what a gateway that is started with these files and has no flags would have in force.
        revision = revision_of(applicable(fresh.config, running, self._written.gateway))
        config = applicable(fresh.config, running, running.gateway)
        mistake = ""
        if config != running:
            fresh = replace(fresh, config=config, revision=revision)
            try:
                self._apply(fresh)
            except Exception:  # the caller's mistake mustn't end the watching
                self._log.exception("The changed configuration could not be applied.")
                mistake = "it could not be applied; the gateway's log says why"
                revision = self.standing.revision
            else:
                self._running = fresh
                self._log.info("The changed configuration is applied (revision %s).", revision)
        self.standing = Standing(
            revision=revision,
            read_at=self.standing.read_at if mistake else time(),
            mistake=mistake,
            waiting=late,
        )


async def _changes(directories: frozenset[Path], log: logging.Logger) -> AsyncGenerator[set[str], None]:
    """Yield the paths that changed, and an empty set now and then."""
    import asyncio

    from watchfiles import awatch  # a gateway that isn't running doesn't need it

    try:
        ticks = awatch(
            *directories,
            watch_filter=None,
            debounce=400,
            step=50,
            rust_timeout=int(POLL_SECONDS * 1000),
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        async with aclosing(ticks):
            async for tick in ticks:
                yield {path for _, path in tick}
    except OSError as error:
        log.warning("The system does not tell of changed files (%s); looking every %s s.", error, POLL_SECONDS)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        yield set()


def _directories(files: Iterable[Path]) -> frozenset[Path]:
    """Name the directories to watch: a file's own (editors replace files), and where a link leads."""
    wanted = {place.parent for file in files for place in (file, file.resolve())}
    return frozenset(next(place for place in (directory, *directory.parents) if place.is_dir()) for directory in wanted)


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
