"""``zero sessions export``, ``import``, ``branches``, ``restore``: on the store, whether a gateway runs or not."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from time import time
from typing import IO, TYPE_CHECKING, BinaryIO

import click

from app.cli.ending import Ended, run
from app.cli.example import examples
from app.cli.output import echo, write_bytes
from app.cli.session_key import check_session_key
from app.cli.table import span, table
from app.cli.whereabouts import json_option, print_json

if TYPE_CHECKING:
    from app.config import LoadedConfig
    from app.sessions.archive import Branch, Selection
    from app.sessions.deferred import DeferredStore
    from app.sessions.jsonl import Found

_SHOWN_DIGITS = 12
_PREVIEW_CHARS = 60
_MAX_BRANCHES = 50
"""Branches whose last words are shown; of the others there is only JSON."""

config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]"
)


@click.command("export", epilog=examples("zero sessions export notes > notes.jsonl", "zero sessions export --all -o f"))
@click.argument("key", required=False)
@click.option("--user", metavar="ID", help="Every session whose key was made from this value of `user`.")
@click.option("--agent", "agent_id", metavar="ID", help="Every session of this agent.")
@click.option("--all", "everything", is_flag=True, help="Every session there is.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file for its owner only; - is stdout. [-]")
@config_option
def export_sessions(
    key: str | None,
    user: str | None,
    agent_id: str | None,
    everything: bool,
    output: Path | None,
    config_file: Path | None,
) -> None:
    """Write sessions down, with all their branches, as lines of JSON that import takes."""
    if [key is not None, bool(user or agent_id), everything].count(True) != 1:
        raise click.UsageError("Say which sessions: a KEY, --user or --agent, or --all.")
    check_session_key(key, given_as="KEY")

    async def work(write: Callable[[bytes], object]) -> None:
        from app.sessions.archive import every
        from app.sessions.jsonl import written

        async with _opened(config_file) as (store, loaded):
            if key is not None:
                own = _full(key, loaded)
                empty = True
                async for piece in written(store.archive, own):
                    empty = False
                    write(piece)
                if empty:
                    raise Ended(f"There is no session {own!r}.")
                return
            async for record in every(store.archive, _selection(user, agent_id, loaded)):
                async for piece in written(store.archive, record.key):
                    write(piece)

    if output is None or str(output) == "-":
        run(work(write_bytes))
        return
    with _replaced(output) as file:
        run(work(file.write))


@click.command(
    "import", epilog=examples("zero sessions import notes.jsonl", "zcat all.jsonl.gz | zero sessions import -")
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@config_option
def import_sessions(file: Path, as_json: bool, config_file: Path | None) -> None:
    """Take in what export has written. Every hash is derived anew before anything is written.

    Sessions that are there already keep what they have and get what they lack. `-` reads stdin.
    """

    async def work(lines: BinaryIO) -> list[dict[str, str | int]]:
        results: list[dict[str, str | int]] = []
        async with _opened(config_file) as (store, _):
            for _ in _read(lines, file):
                pass
            lines.seek(0)
            for found in _read(lines, file):
                taken = await _taken_in(store, found)
                results.append({"key": found.session.record.key, "outcome": taken[0], "added": taken[1]})
        return results

    with _lines(file) as lines:
        results = run(work(lines))
    if as_json:
        print_json(results)
        return
    added = sum(int(result["added"]) for result in results)
    outcomes = [result["outcome"] for result in results]
    told = [
        f"{outcomes.count(one)} {one}" for one in ("created", "continued", "merged", "unchanged") if one in outcomes
    ]
    echo(f"{len(results)} session(s){': ' if told else ''}{', '.join(told)}; {added} message(s) added.")


@click.command("branches", epilog=examples("zero sessions branches notes", "zero sessions branches notes --json"))
@click.argument("key")
@json_option
@config_option
def branches(key: str, as_json: bool, config_file: Path | None) -> None:
    """List the branches of a session: what it goes on from, marked by a star, and what was left behind."""
    check_session_key(key, given_as="KEY")

    async def work() -> tuple[list[Branch], list[str]]:
        async with _opened(config_file) as (store, loaded):
            own = _full(key, loaded)
            found = await _branches(store, own)
            shown = [] if as_json else found[:_MAX_BRANCHES]
            return found, [await _last_words(store, own, branch) for branch in shown]

    found, words = run(work())
    if as_json:
        print_json(found)
        return
    rows = [
        ("*" if branch.active else "", _short(branch.id), str(branch.messages), _age(branch), last)
        for branch, last in zip(found, words, strict=False)
    ]
    echo(table(("", "BRANCH", "MESSAGES", "CHANGED", "ENDS WITH"), rows) if rows else "(nothing was said yet)")
    if len(found) > len(rows):
        echo(f"\n{len(rows)} of {len(found)}; --json has all.")


@click.command("restore", epilog=examples("zero sessions restore notes 3f0c9a1b"))
@click.argument("key")
@click.argument("branch")
@config_option
def restore(key: str, branch: str, config_file: Path | None) -> None:
    """Have a session go on from one of its branches, which is named by as much of its id as no other begins with.

    What the session went on from until now is a branch itself then.
    """
    check_session_key(key, given_as="KEY")

    async def work() -> str:
        async with _opened(config_file) as (store, loaded):
            own = _full(key, loaded)
            wanted = branch.removeprefix("sha256:").lower()
            fitting = [one for one in await _branches(store, own) if _digits(one.id).startswith(wanted)]
            if len(fitting) != 1 or not wanted:
                problem = f"{len(fitting)} branches begin with" if fitting else "no branch begins with"
                raise Ended(f"{problem[0].upper()}{problem[1:]} {branch!r}. zero sessions branches {key} lists them.")
            async with _alone(store, own) as fence:
                if await store.archive.restore(own, fitting[0].id, fence=fence) is None:
                    raise Ended("The session has gone on from that branch meanwhile. Nothing was changed.")
            return f"{own} goes on from {_short(fitting[0].id)}, with {fitting[0].messages} message(s)."

    echo(run(work()))


@asynccontextmanager
async def _opened(config_file: Path | None) -> AsyncIterator[tuple[DeferredStore, LoadedConfig]]:
    """Open the configuration's store for as long as the block lasts."""
    from app.config import config_path, load
    from app.engines.registry import registered_engines
    from app.machinery import session_store
    from app.sessions.store import SessionConflict, StoreError

    loaded = load(config_file or config_path(os.environ), os.environ, registered_engines())
    store = session_store(loaded.config.session.store, os.environ)
    try:
        yield store, loaded
    except StoreError as error:
        raise Ended(str(error)) from None
    except SessionConflict:
        raise Ended("A gateway took the session over meanwhile. Nothing was changed; try again.") from None
    finally:
        await store.close()


@asynccontextmanager
async def _alone(store: DeferredStore, key: str) -> AsyncIterator[int | None]:
    """Wait for the session where it is known who has it: a file's sessions are known to the gateway alone."""
    from app.errors import GatewayError

    if store.leases is None:
        yield None
        return
    try:
        async with store.leases.held(key) as fence:
            yield fence
    except GatewayError as error:
        raise Ended(error.message) from None


async def _taken_in(store: DeferredStore, found: Found) -> tuple[str, int]:
    async with _alone(store, found.session.record.key) as fence:
        taken = await store.archive.take_in(found.session, fence=fence)
    return taken.outcome, taken.added


async def _branches(store: DeferredStore, key: str) -> list[Branch]:
    from app.sessions.archive import branches_of

    outline = await store.archive.outline(key)
    if outline is None:
        raise Ended(f"There is no session {key!r}.")
    return branches_of(outline)


async def _last_words(store: DeferredStore, key: str, branch: Branch) -> str:
    from app.sessions.message import Message
    from app.ws.spoken import text_of

    found = await store.archive.texts(key, [branch.id])
    text = text_of(Message(found[0].role, found[0].body)) if found else ""
    line = " ".join(text.split())
    return line if len(line) <= _PREVIEW_CHARS else f"{line[: _PREVIEW_CHARS - 3]}..."


def _read(lines: BinaryIO, file: Path) -> Iterator[Found]:
    from app.contract.message_form import is_message
    from app.errors import InvalidRequest
    from app.routing.session_key import check_full
    from app.sessions.jsonl import NotASession, read

    try:
        for found in read(lines, is_message):
            check_full(found.session.record.key, found.session.record.agent_id, f"line {found.line}")
            yield found
    except NotASession as error:
        raise Ended(f"{file}: {error}.") from None
    except InvalidRequest as error:
        raise Ended(f"{file}: {error.message}") from None


@contextmanager
def _lines(file: Path) -> Iterator[BinaryIO]:
    """Open a file, or keep stdin in one, since it is read twice."""
    try:
        if str(file) != "-":
            with file.open("rb") as opened:
                yield opened
            return
        with TemporaryFile() as kept:
            while piece := sys.stdin.buffer.read(1024 * 1024):
                kept.write(piece)
            kept.seek(0)
            yield kept
    except OSError as error:
        raise Ended(f"{file} can't be read: {error.strerror}.") from None


@contextmanager
def _replaced(file: Path) -> Iterator[IO[bytes]]:
    """Write a file that is there only once it is whole, and that only its owner can read.

    What a link leads to is replaced, and not the link. A device or a pipe is written to as it is.
    """
    file = file.resolve()
    try:
        if file.exists() and not file.is_file():
            with file.open("wb") as there:
                yield there
            return
        with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as written:
            try:
                yield written.file
                written.flush()
                Path(written.name).replace(file)
            except BaseException:
                with suppress(OSError):
                    Path(written.name).unlink()
                raise
    except OSError as error:
        raise Ended(f"{file} can't be written: {error.strerror}.") from None


def _selection(user: str | None, agent_id: str | None, loaded: LoadedConfig) -> Selection:
    from app.routing.agent_name import DEFAULT_ALIAS, normalized_id
    from app.routing.session_key import rest_for_user
    from app.sessions.archive import Selection

    agent = normalized_id(agent_id) if agent_id else None
    if agent_id and agent is None:
        raise Ended(f"{agent_id!r} is no agent's id.")
    return Selection(loaded.default_agent if agent == DEFAULT_ALIAS else agent, rest_for_user(user) if user else None)


def _full(key: str, loaded: LoadedConfig) -> str:
    from app.routing.agent_name import DEFAULT_ALIAS
    from app.routing.session_key import full_key, parse_requested

    requested = parse_requested(key, "KEY")
    owner = requested.agent_id if requested.agent_id not in (None, DEFAULT_ALIAS) else loaded.default_agent
    return full_key(str(owner), requested.rest)


def _digits(branch: str) -> str:
    return branch.removeprefix("sha256:")


def _short(branch: str) -> str:
    return _digits(branch)[:_SHOWN_DIGITS]


def _age(branch: Branch) -> str:
    return f"{span(time() - branch.updated_at)} ago"
