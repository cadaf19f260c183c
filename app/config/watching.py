"""Following the configuration's files while the gateway runs.

Owns when a change is read and what of it may be applied. May not know what applying means: the caller does that.
Rules: design.md, Configuration ("The file is watched").
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from .error import ConfigError
from .loading import LoadedConfig, load

if TYPE_CHECKING:
    import logging

Stamp: TypeAlias = tuple[int, int, int] | None
"""A file's inode, modification time and size, or None when there is no such file."""

POLL_SECONDS = 1.0
"""How often the files are looked at where the system doesn't tell of changes (network mounts, exhausted watches)."""


async def watch(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    apply: Callable[[LoadedConfig], None],
    log: logging.Logger,
) -> None:
    """Follow the files until cancelled; apply what is valid and safe.

    A broken edit is logged and changes nothing. A change of ``gateway.*`` or ``session.store`` is logged as
    needing a restart, and the rest is applied with those that run.

    Args:
        loaded: The configuration that runs.
        environ: The variables for ``${NAME}``.
        apply: Takes the new configuration for the runs to come; called in this task.
        log: Where changes and mistakes are told.
    """
    follower = _Follower(loaded, environ, apply, log)
    await follower.reload_if_changed(())  # what happened since it was loaded
    while True:
        directories = _directories(follower.files)
        async with aclosing(_changes(directories, log)) as changes:
            async for changed in changes:
                await follower.reload_if_changed(changed)
                if _directories(follower.files) != directories:
                    break


class _Follower:
    """What runs, what was last seen, and the step from one to the other."""

    def __init__(
        self,
        loaded: LoadedConfig,
        environ: Mapping[str, str],
        apply: Callable[[LoadedConfig], None],
        log: logging.Logger,
    ) -> None:
        self.files: frozenset[Path] = frozenset(loaded.files)
        self._running = loaded
        self._revision = loaded.revision
        # What the file said at the start: flags of the command line may have changed what runs.
        self._written_gateway = loaded.written_gateway
        self._environ = environ
        self._apply = apply
        self._log = log
        self._stamps: dict[Path, Stamp] | None = None
        self._complaint = ""

    async def reload_if_changed(self, changed: Iterable[str]) -> None:
        """Read the files again if they look different or are among the changed paths."""
        stamps = {file: _stamp(file) for file in self.files}
        names = {file.name for file in self.files}
        if stamps == self._stamps and not any(Path(path).name in names for path in changed):
            return
        import asyncio  # here, so that commands which never watch don't load it

        try:
            # Parsing JSON5 takes milliseconds; answers that are being streamed shouldn't wait for it.
            fresh = await asyncio.to_thread(load, self._running.path, self._environ, self._running.engines)
        except ConfigError as error:
            # What runs may come back when the edit is taken back, so its files stay watched.
            self._look_at(frozenset(self._running.files) | frozenset(error.files), stamps)
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("The configuration was changed but not applied: %s", error)
            return
        self._look_at(frozenset(fresh.files), stamps)
        self._complaint = ""
        if fresh.revision != self._revision:
            self._revision = fresh.revision
            self._take(fresh)

    def _look_at(self, files: frozenset[Path], stamps: Mapping[Path, Stamp]) -> None:
        # Stamps are those from before reading: an edit made meanwhile is seen at the next look. A file that is new here
        # has none yet, which makes the next look read once more.
        self._stamps = {file: stamps.get(file) for file in files}
        self.files = files

    def _take(self, fresh: LoadedConfig) -> None:
        if replace(fresh.written_gateway, remote=self._written_gateway.remote) != self._written_gateway:
            self._log.warning("gateway.* in %s was changed: restart the gateway to apply it.", fresh.path)
        running = self._running.config
        if fresh.config.session.store != running.session.store:
            self._log.warning("session.store in %s was changed: restart the gateway to apply it.", fresh.path)
        session = replace(fresh.config.session, store=running.session.store)
        fresh = replace(fresh, config=replace(fresh.config, gateway=running.gateway, session=session))
        if fresh.config == self._running.config:
            return
        try:
            self._apply(fresh)
        except Exception:  # the caller's mistake mustn't end the watching
            self._log.exception("The changed configuration could not be applied.")
            return
        self._running = fresh
        self._log.info("The changed configuration is applied (revision %s).", fresh.revision)


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
