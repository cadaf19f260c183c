"""A configuration file with some values changed: tried first, then written whole or not at all.

Owns the order: wait for other editors, change the text, check what it says, replace the file. Rules: design.md,
Configuration.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final, Literal, TypeAlias

from .error import ConfigError, RuleError
from .includes import Composition
from .json5_document import read_document, read_text
from .json5_editing import set_value
from .json5_removal import without_item
from .json_value import JsonValue
from .key_path import KeyPath
from .loading import LoadedConfig, load
from .sole_editor import sole_editor


class _Removal(Enum):
    REMOVED = "removed"


REMOVED: Final = _Removal.REMOVED
"""In the place of a value: an entry of a list that is to go."""

Change: TypeAlias = tuple[KeyPath, JsonValue | Literal[_Removal.REMOVED]]
"""Where a value belongs, and the value as the file is to have it, variables unresolved."""


def edit(
    path: Path,
    changes: Sequence[Change] | Callable[[], Sequence[Change]],
    environ: Mapping[str, str],
    engines: Collection[str] = (),
) -> LoadedConfig:
    """Change values in a configuration file. Comments and layout stay; nothing is written unless the result is valid.

    Args:
        path: The main file.
        changes: What to change, in order; a function if that depends on what the file says. It is called when nobody
            else edits the file any more.
        environ: The variables for ``${NAME}``.
        engines: Providers that other packages registered.

    Returns:
        The configuration as it is now.

    Raises:
        ConfigError: A change can't be made, its result isn't valid, or the file can't be written.
    """
    main = path.absolute()
    with sole_editor(main):
        return _edit(main, changes() if callable(changes) else changes, environ, engines)


def _edit(main: Path, changes: Sequence[Change], environ: Mapping[str, str], engines: Collection[str]) -> LoadedConfig:
    text = read_text(main)
    own: JsonValue = read_document(main, text=text)
    composition = Composition(main, text)
    with contextlib.suppress(ConfigError):  # a broken include is what the edit may mend; loading judges the result
        composition.read()
    try:
        for place, value in changes:
            _refuse_foreign(place, own, composition)
            if value is REMOVED:
                text = without_item(text, place)
                own = _without(own, place)
            else:
                text = set_value(text, place, value)
                own = _with(own, place, value)
    except RuleError as fault:
        raise ConfigError.at(main, fault) from None
    loaded = load(main, environ, engines, text=text)
    if read_document(main, text=text) != own:
        raise ConfigError(
            "the change can't be made in this file without harm", "Edit the file by hand.", file=main
        )  # pragma: no cover - would be a spelling that the editing doesn't know
    _replace(main, text)
    return loaded


def _refuse_foreign(path: KeyPath, own: JsonValue, composition: Composition) -> None:
    """Refuse to write into a list of another file: one in this file would take its place."""
    whole: JsonValue = composition.tree
    for depth, key in enumerate(path):
        if isinstance(key, int) and isinstance(whole, list) and not isinstance(own, list):
            file = composition.origin(path[:depth])
            raise RuleError(path[:depth], f"the list is in {file}, which is included", "Edit that file by hand.")
        own, whole = _at(own, key), _at(whole, key)


def _at(value: JsonValue, key: str | int) -> JsonValue:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _with(tree: JsonValue, path: KeyPath, value: JsonValue) -> JsonValue:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, str):
        members = tree if isinstance(tree, dict) else {}
        return {**members, key: _with(members.get(key), rest, value)}
    items = tree if isinstance(tree, list) else []
    return [*items[:key], _with(_at(items, key), rest, value), *items[key + 1 :]]


def _without(tree: JsonValue, path: KeyPath) -> JsonValue:
    entries, index = _inside(tree, path[:-1]), path[-1]
    assert isinstance(entries, list), "the entry was there"
    assert isinstance(index, int), "the entry was there"
    return _with(tree, path[:-1], [*entries[:index], *entries[index + 1 :]])


def _inside(tree: JsonValue, path: KeyPath) -> JsonValue:
    for key in path:
        tree = _at(tree, key)
    return tree


def _replace(path: Path, text: str) -> None:
    """Write a file that is there in one step, with its mode and owner; a link keeps leading to it.

    Raises:
        ConfigError: If it can't be written; it is as it was then.
    """
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)  # of a process that was killed, in a container where all have the same id, say
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            status = target.stat()
            with contextlib.suppress(PermissionError):  # whoever may write the file needn't own it
                os.chown(draft, status.st_uid, status.st_gid)
            draft.chmod(status.st_mode & 0o7777)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"can't be written: {error.strerror or type(error).__name__}", "Nothing was changed.", file=path
        ) from error
