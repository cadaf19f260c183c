"""Following real files while they change."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from msgspec.structs import replace

from app.config import Follower, LoadedConfig, load
from app.config.watching import _directories

DEADLINE = 20.0
"""Seconds after which a test fails; events normally take a fraction of one."""


class Journal(logging.Handler):
    """Collect what is applied and what is logged, in order, for tests to wait for."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.entries: asyncio.Queue[LoadedConfig | str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Note a message with its level."""
        self.entries.put_nowait(f"{record.levelname} {record.getMessage()}")

    def apply(self, loaded: LoadedConfig) -> None:
        """Note a configuration."""
        self.entries.put_nowait(loaded)

    async def message(self, start: str) -> str:
        """Wait for the next entry, which must be a message that starts so."""
        entry = await self.entries.get()
        assert isinstance(entry, str), entry
        assert entry.startswith(start), entry
        return entry

    async def applied(self) -> LoadedConfig:
        """Wait for the next entry, which must be a configuration, and for its message."""
        entry = await self.entries.get()
        assert isinstance(entry, LoadedConfig), entry
        await self.message(f"INFO The changed configuration is applied (revision {entry.revision}).")
        return entry


def saved(file: Path, content: str) -> None:
    """Replace a file the way careful editors do: all at once."""
    beside = file.with_name(f".{file.name}.swp")
    beside.write_text(content)
    beside.replace(file)


@asynccontextmanager
async def watching(
    file: Path,
    apply: Callable[[LoadedConfig], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
    running: Callable[[LoadedConfig], LoadedConfig] = lambda loaded: loaded,
) -> AsyncIterator[Journal]:
    """Watch a file from its present content, under the deadline, until the block ends."""
    journal = Journal()
    log = logging.getLogger("test_config_watching")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(journal)
    loaded = running(load(file, {}))
    if meanwhile is not None:
        meanwhile()
    async with asyncio.timeout(DEADLINE):
        task = asyncio.create_task(Follower(loaded, {}, apply or journal.apply, log).watch())
        try:
            yield journal
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait({task})
            log.removeHandler(journal)
        assert task.cancelled()
        assert journal.entries.empty()


def run(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run an asynchronous test."""

    def synchronous(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    synchronous.__doc__ = test.__doc__
    return synchronous


def main_file(folder: Path, content: str = "{}") -> Path:
    """Write the main file."""
    file = folder / "zero.json"
    file.write_text(content)
    return file


async def after(journal: Journal, file: Path, prompt: str) -> LoadedConfig:
    """Save a file with a new default prompt and wait for it to be applied."""
    saved(file, f"{{agents: {{defaults: {{systemPrompt: '{prompt}'}}}}}}")
    loaded = await journal.applied()
    assert prompt == loaded.agents["main"].system_prompt
    return loaded


@run
async def test_edits_are_applied(tmp_path: Path) -> None:
    """A valid edit reaches the gateway, resolved, one after the other, however the editor saves."""
    file = main_file(tmp_path)
    async with watching(file) as journal:
        await after(journal, file, "one")
        await after(journal, file, "two")
        with file.open("r+") as opened:  # in place
            opened.write("{agents: {list: [{id: 'x'}]}}" + " " * 60)
        assert (await journal.applied()).default_agent == "x"


@run
async def test_an_edit_before_the_start_is_not_missed(tmp_path: Path) -> None:
    """What changed between loading and watching is applied."""
    file = main_file(tmp_path)
    async with watching(file, meanwhile=lambda: saved(file, "{agents: {list: [{id: 'x'}]}}")) as journal:
        assert (await journal.applied()).default_agent == "x"


@run
async def test_a_broken_edit_changes_nothing(tmp_path: Path) -> None:
    """It is logged once with its message; the repair is applied, and going back to what runs is silent."""
    file = main_file(tmp_path)
    async with watching(file) as journal:
        saved(file, "{agents: {lst: []}}")
        assert await journal.message("ERROR ") == (
            f"ERROR The configuration was changed but not applied: {file}: agents.lst: unknown key. "
            'Did you mean "list"?'
        )
        saved(file, "{agents: {lst: []}} // the same mistake")
        saved(file, "{}")
        await after(journal, file, "repaired")


@run
async def test_a_deleted_file_is_waited_for(tmp_path: Path) -> None:
    """Without its file the gateway goes on, and takes the file when it is back."""
    file = main_file(tmp_path)
    async with watching(file) as journal:
        file.unlink()
        await journal.message(f"ERROR The configuration was changed but not applied: {file}: does not exist.")
        await after(journal, file, "back")


@run
async def test_the_gateway_section_waits_for_a_restart(tmp_path: Path) -> None:
    """The rest is applied with the running gateway section, and the log says what to do."""
    file = main_file(tmp_path, "{gateway: {port: 1000}}")
    async with watching(file) as journal:
        saved(file, "{gateway: {port: 2000}, agents: {list: [{id: 'x'}]}}")
        warning = await journal.message("WARNING ")
        assert f"WARNING gateway.port in {file}: changed, restart the gateway to apply it." == warning
        loaded = await journal.applied()
        assert (loaded.config.gateway.port, loaded.default_agent) == (1000, "x")
        saved(file, "{gateway: {port: 3000}, agents: {list: [{id: 'x'}]}}")
        assert warning == await journal.message("WARNING ")
        saved(file, "{gateway: {port: 1000}, agents: {list: [{id: 'y'}]}}")
        assert (await journal.applied()).default_agent == "y"


@run
async def test_a_flag_is_no_edit(tmp_path: Path) -> None:
    """What a flag of the command line changed in ``gateway`` stays, and isn't taken for an edit of the file."""
    file = main_file(tmp_path, "{agents: {list: [{id: 'x'}]}}")

    def flagged(loaded: LoadedConfig) -> LoadedConfig:
        gateway = replace(loaded.config.gateway, bind="lan")
        return replace(loaded, config=replace(loaded.config, gateway=gateway))

    async with watching(file, running=flagged) as journal:
        saved(file, "{agents: {list: [{id: 'y'}]}}")
        loaded = await journal.applied()  # the first entry there is: no warning came before it
        assert ("y", "lan") == (loaded.default_agent, loaded.config.gateway.bind)


@run
async def test_an_edit_without_meaning_is_silent(tmp_path: Path) -> None:
    """A comment, a touch, or a neighbouring file is no change."""
    file = main_file(tmp_path, "{agents: {list: [{id: 'x'}]}}")
    async with watching(file) as journal:
        saved(file, "// hello\n{agents: {list: [{id: 'x'}]}}")
        os.utime(file, (1, 1))
        (tmp_path / "sessions.sqlite").write_text("busy")
        await after(journal, file, "now")  # the first entry there is


@run
async def test_new_includes_are_watched(tmp_path: Path) -> None:
    """A file that an edit includes is followed from then on, in its own directory too, and no longer when dropped."""
    file = main_file(tmp_path)
    part = tmp_path / "parts" / "agents.json"
    part.parent.mkdir()
    part.write_text("{list: [{id: 'one'}]}")
    async with watching(file) as journal:
        saved(file, "{agents: {$include: 'parts/agents.json'}}")
        loaded = await journal.applied()
        assert ("one", (file, part)) == (loaded.default_agent, loaded.files)
        saved(part, "{list: [{id: 'two'}]}")
        assert (await journal.applied()).default_agent == "two"
        saved(file, "{agents: {list: [{id: 'three'}]}}")
        assert (await journal.applied()).files == (file,)


@run
async def test_a_missing_include_is_waited_for(tmp_path: Path) -> None:
    """An edit that includes a file in a directory yet to come is applied once both are there."""
    file = main_file(tmp_path)
    async with watching(file) as journal:
        saved(file, "{agents: {$include: 'later/agents.json'}}")
        await journal.message("ERROR The configuration was changed but not applied: ")
        (tmp_path / "later").mkdir()
        saved(tmp_path / "later" / "agents.json", "{list: [{id: 'late'}]}")
        assert (await journal.applied()).default_agent == "late"


@run
async def test_a_linked_file_is_followed(tmp_path: Path) -> None:
    """Mounted configuration is a link through a directory that is swapped as a whole."""
    for version in ("one", "two"):
        (tmp_path / "data" / version).mkdir(parents=True)
        main_file(tmp_path / "data" / version, f"{{agents: {{list: [{{id: '{version}'}}]}}}}")
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "data" / "one")
    (mount / "zero.json").symlink_to("..data/zero.json")
    async with watching(mount / "zero.json") as journal:
        (mount / "..next").symlink_to(tmp_path / "data" / "two")
        (mount / "..next").replace(mount / "..data")
        assert (await journal.applied()).default_agent == "two"


@run
async def test_a_failing_application_does_not_end_the_watching(tmp_path: Path) -> None:
    """The failure is logged with its traceback and the next edit gets its chance."""
    file = main_file(tmp_path)
    failing = True
    seen: list[str] = []

    def apply(loaded: LoadedConfig) -> None:
        nonlocal failing
        if failing:
            failing = False
            raise ValueError("no")
        seen.append(loaded.default_agent)

    async with watching(file, apply) as journal:
        saved(file, "{agents: {list: [{id: 'x'}]}}")
        await journal.message("ERROR The changed configuration could not be applied.")
        saved(file, "{agents: {list: [{id: 'y'}]}}")
        await journal.message("INFO The changed configuration is applied")
        assert seen == ["y"]


@run
async def test_looking_again_repeats_nothing(tmp_path: Path) -> None:
    """A mistake and a needed restart are told once, however often the same content is looked at."""
    file = main_file(tmp_path, "{gateway: {port: 1000}}")
    journal = Journal()
    log = logging.getLogger("test_config_watching")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(journal)
    follower = Follower(load(file, {}), {}, journal.apply, log)
    for content, told in (("{a: }", "ERROR "), ("{gateway: {port: 2000}}", "WARNING "), ("{a: }", "ERROR ")):
        saved(file, content)
        for _ in range(3):
            await follower.reload_if_changed([str(file)])
        await journal.message(told)
        assert journal.entries.empty()
    log.removeHandler(journal)


def test_directories_are_those_where_a_change_would_show(tmp_path: Path) -> None:
    """A file's own, where a link leads, and the nearest that exists for a file yet to come."""
    for name in ("own", "target", "parent"):
        (tmp_path / name).mkdir()
    (tmp_path / "target" / "real.json").touch()
    (tmp_path / "own" / "link.json").symlink_to(tmp_path / "target" / "real.json")
    files = [tmp_path / "own" / "link.json", tmp_path / "parent" / "not" / "yet" / "there.json"]
    assert _directories(files) == {tmp_path / "own", tmp_path / "target", tmp_path / "parent"}


def test_the_directory_of_a_new_include_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notifications are asked for anew when the files come to lie elsewhere."""
    asked: asyncio.Queue[set[Path]] = asyncio.Queue()
    real = watchfiles.awatch

    def spy(*directories: Path, **options: Any) -> AsyncGenerator[set[watchfiles.main.FileChange], None]:
        asked.put_nowait(set(directories))
        return real(*directories, **options)

    monkeypatch.setattr("watchfiles.awatch", spy)

    async def moved() -> None:
        file = main_file(tmp_path)
        part = tmp_path / "parts" / "agents.json"
        part.parent.mkdir()
        part.write_text("{list: [{id: 'one'}]}")
        async with watching(file) as journal:
            assert await asked.get() == {tmp_path}
            saved(file, "{agents: {$include: 'parts/agents.json'}}")
            await journal.applied()
            assert await asked.get() == {tmp_path, part.parent}

    asyncio.run(moved())


def test_where_the_system_does_not_tell_the_files_are_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without notifications (here: refused by the system) edits are seen a little later."""

    def refuse(*_directories: Path, **_options: object) -> AsyncIterator[set[tuple[int, str]]]:
        raise OSError("no watches left")

    monkeypatch.setattr("watchfiles.awatch", refuse)
    monkeypatch.setattr("app.config.watching.POLL_SECONDS", 0.01)

    async def polled() -> None:
        file = main_file(tmp_path)
        async with watching(file) as journal:
            await journal.message("WARNING The system does not tell of changed files (no watches left)")
            await after(journal, file, "polled")

    asyncio.run(polled())


@run
async def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    """The task ends with its cancellation, at once, and watching can start again."""
    file = main_file(tmp_path)
    for number in range(2):
        before = asyncio.all_tasks()
        async with watching(file) as journal:
            await after(journal, file, f"round {number}")
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 3
        assert before == asyncio.all_tasks()


@run
async def test_another_store_waits_for_the_restart(tmp_path: Path) -> None:
    """Where sessions are is decided at the start: the log says so without the address, the rest is applied."""
    file = main_file(tmp_path)
    async with watching(file) as journal:
        saved(file, "{session: {store: 'postgresql://u:s3cret@db/zero'}, agents: {list: [{id: 'x'}]}}")
        warning = await journal.message("WARNING ")
        assert f"WARNING session.store in {file}: changed, restart the gateway to apply it." == warning
        loaded = await journal.applied()
        assert ("sqlite", "x") == (loaded.config.session.store, loaded.default_agent)
