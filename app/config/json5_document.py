"""One JSON5 file as a plain tree.

Owns syntax: encoding, JSON5 grammar, duplicate keys, numbers JSON can't carry. May not know any configuration key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import json5

from .error import ConfigError, RuleError
from .json_value import JsonObject, JsonValue
from .key_path import KeyPath

MAX_DEPTH = 32
"""Objects and lists inside each other, counted from the configuration's root."""

_UNEXPECTED = re.compile(r"<string>:(\d+) (Unexpected .+) at column (\d+)", re.DOTALL)
_LARGEST_INTEGER = 2**64


class _Pairs(NamedTuple):
    """An object as written, with repeated keys still visible."""

    items: list[tuple[str, object]]


def read_document(file: Path, at: KeyPath = (), text: str | None = None) -> JsonObject:
    """Read one JSON5 file.

    Args:
        file: The file.
        at: The place in the configuration where the document will stand; paths in errors start there.
        text: What the file is taken to say; without it the file is read.

    Returns:
        The document's top-level object.

    Raises:
        ConfigError: The file can't be read, isn't UTF-8 or JSON5, or says what a configuration can't.
    """
    try:
        return _object(_parse(file, read_text(file) if text is None else text), at)
    except RuleError as fault:
        raise ConfigError.at(file, fault) from None


def is_present(file: Path) -> bool:
    """Tell whether there is something at a path, even if it can't be read."""
    try:
        return file.exists()
    except OSError:  # not allowed to look: reading says why
        return True


def read_text(file: Path) -> str:
    """Read a file of UTF-8.

    Args:
        file: The file.

    Returns:
        Its text, with its line ends as they are.

    Raises:
        ConfigError: It can't be read, or isn't UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        start_of_line = error.object.rfind(b"\n", 0, error.start) + 1
        column = len(error.object[start_of_line : error.start].decode("utf-8")) + 1
        raise ConfigError(
            f"byte 0x{error.object[error.start]:02x} is not UTF-8",
            "Save the file as UTF-8.",
            file=file,
            line=line,
            column=column,
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror or type(error).__name__}",
            "Make it a file that the gateway's user may read.",
            file=file,
        ) from error


def read_value(text: str) -> JsonValue:
    """Read a single JSON5 value, such as a command line brings.

    Args:
        text: The value.

    Returns:
        What it says.

    Raises:
        RuleError: It isn't JSON5, or says what a configuration can't.
    """
    try:
        value, error, _ = json5.parse(text, object_pairs_hook=_pairs)
    except (RecursionError, ValueError):
        value, error = None, "empty"
    if error is not None:
        raise RuleError((), "not JSON5", "Put quotes around a text.")
    return _plain(value, ())


def _parse(file: Path, text: str) -> object:
    try:
        value, error, _ = json5.parse(text, object_pairs_hook=_pairs)
    except RecursionError:
        raise _too_deep(()) from None
    except ValueError as failure:  # an empty text is raised, not returned
        value, error = None, str(failure)
    if error is None:
        parsed: object = value
        return parsed
    syntax = _UNEXPECTED.fullmatch(error)
    if syntax is not None:
        line, what, column = syntax.groups()
        shown = what[:1].lower() + what[1:].replace("\n", "\\n").replace("\r", "\\r")
        raise ConfigError(
            f"not JSON5: {shown}",
            "Look there, or just before it, for a missing comma, quote or bracket.",
            file=file,
            line=int(line),
            column=int(column),
        )
    if not text.strip():
        raise ConfigError("is empty", "Write an object: {}.", file=file)
    # What is left of the parser's complaints is about integers of thousands of digits.
    raise ConfigError("holds a number that is too large", "Numbers have at most 64 bits.", file=file)


def _pairs(items: Iterable[tuple[str, object]]) -> _Pairs:
    return _Pairs(list(items))


def _object(parsed: object, at: KeyPath) -> JsonObject:
    value = _plain(parsed, at)
    if not isinstance(value, dict):
        raise RuleError(at, "the document is not an object", "Put braces around it: { ... }.")
    return value


def _plain(value: object, path: KeyPath) -> JsonValue:
    if len(path) >= MAX_DEPTH and isinstance(value, list | _Pairs):
        raise _too_deep(path[:3])
    if isinstance(value, _Pairs):
        result: JsonObject = {}
        for key, item in value.items:
            _require_unicode(key, path, "a key")
            if key in result:
                raise RuleError((*path, key), "the key is written twice in one object", "Remove one of the two.")
            result[key] = _plain(item, (*path, key))
        return result
    if isinstance(value, list):
        return [_plain(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, str):
        _require_unicode(value, path, "the string")
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < _LARGEST_INTEGER:
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
        return value
    raise RuleError(path, "the number is infinite, not a number, or too large", "Write an ordinary number.")


def _require_unicode(text: str, path: KeyPath, what: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RuleError(path, f"{what} has half a surrogate pair", "Write the character itself.") from None


def _too_deep(path: KeyPath) -> RuleError:
    return RuleError(path, f"nested deeper than {MAX_DEPTH} levels", "Flatten it.")
