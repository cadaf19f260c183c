"""One tree out of several files: ``$include`` and its deep merge.

Owns where each part of the tree came from. May not know any key but ``$include`` and ``$schema``, which is for editors.
Rules: design.md, Configuration.
"""

from __future__ import annotations

from pathlib import Path

from .error import ConfigError, RuleError
from .json5_document import is_present, read_document
from .json_value import JsonObject, JsonValue
from .key_path import KeyPath, dotted

INCLUDE = "$include"
SCHEMA = "$schema"
MAX_INCLUDES = 10
"""Files that include one another in a chain."""


def deep_merge(under: JsonValue, over: JsonValue) -> JsonValue:
    """Lay one tree over another.

    Args:
        under: What counts where ``over`` says nothing.
        over: What wins. Objects merge key by key; anything else, lists included, replaces.

    Returns:
        The merged tree; neither argument is changed.
    """
    if isinstance(under, dict) and isinstance(over, dict):
        return _merge_objects(under, over)
    return over


class Composition:
    """Put the tree of a file and everything it includes together, and remember what came from where.

    Attributes:
        tree: The whole configuration, with no ``$include`` left, nor the ``$schema`` of any file.
        files: Every file that was looked at, in order of reading, each once; filled even when ``read`` fails.
    """

    def __init__(self, file: Path, text: str | None = None) -> None:
        """Prepare to read.

        Args:
            file: The main file, absolute.
            text: What the main file is taken to say; without it the file is read.
        """
        self.tree: JsonObject = {}
        self._file = file
        self._text = text
        self._files: dict[Path, None] = {}
        self._origins: dict[KeyPath, Path] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file looked at so far."""
        return tuple(self._files)

    def read(self) -> None:
        """Read the main file and what it includes.

        Raises:
            ConfigError: A file is missing or unreadable, or the includes go round in a circle or too deep.
        """
        self.tree = self._document((self._file,), ())

    def origin(self, path: KeyPath) -> Path:
        """Name the file that says what stands at a path.

        Args:
            path: Keys and indexes from the root.

        Returns:
            The file of the value, or of the nearest thing around it.
        """
        while path:
            if path in self._origins:
                return self._origins[path]
            path = path[:-1]
        return self._file

    def _document(self, chain: tuple[Path, ...], at: KeyPath) -> JsonObject:
        self._files[chain[-1]] = None
        document = read_document(chain[-1], at, self._text if len(chain) == 1 else None)
        if not isinstance(document.get(SCHEMA, ""), str):
            fault = RuleError((*at, SCHEMA), "not the address of a schema", "Write a text, or remove it.")
            raise ConfigError.at(chain[-1], fault)
        return self._object({key: value for key, value in document.items() if key != SCHEMA}, chain, at)

    def _value(self, value: JsonValue, chain: tuple[Path, ...], at: KeyPath) -> JsonValue:
        if isinstance(value, dict):
            return self._object(value, chain, at)
        self._origins[at] = chain[-1]
        if isinstance(value, list):
            return [self._value(item, chain, (*at, index)) for index, item in enumerate(value)]
        return value

    def _object(self, value: JsonObject, chain: tuple[Path, ...], at: KeyPath) -> JsonObject:
        merged: JsonObject = {}
        for name, path in self._includes(value, chain[-1], at):
            included = self._document((*chain, self._target(name, chain, path)), at)
            merged = _merge_objects(merged, included)
        # Origins are written in the order of precedence, so the object's own keys come last.
        self._origins[at] = chain[-1]
        own = {key: self._value(item, chain, (*at, key)) for key, item in value.items() if key != INCLUDE}
        return _merge_objects(merged, own)

    def _includes(self, value: JsonObject, file: Path, at: KeyPath) -> list[tuple[str, KeyPath]]:
        if INCLUDE not in value:
            return []
        written = value[INCLUDE]
        path = (*at, INCLUDE)
        named: list[tuple[JsonValue, KeyPath]] = (
            [(item, (*path, index)) for index, item in enumerate(written)]
            if isinstance(written, list)
            else [(written, path)]
        )
        names: list[tuple[str, KeyPath]] = []
        for name, place in named:
            if not isinstance(name, str) or not name or "\0" in name:
                fault = RuleError(place, "not the path of a file", 'Write a path or a list of paths: "./agents.json5".')
                raise ConfigError.at(file, fault)
            names.append((name, place))
        return names

    def _target(self, name: str, chain: tuple[Path, ...], path: KeyPath) -> Path:
        including = chain[-1]
        target = including.parent / name
        if not is_present(target):
            self._files[target] = None
            raise ConfigError(
                f'the included file "{name}" does not exist',
                f"Create {target}, or correct the path: it starts from the file that includes.",
                file=including,
                path=dotted(path),
            )
        real = target.resolve()
        if any(real == file.resolve() for file in chain):
            circle = " -> ".join(str(file) for file in (*chain, target))
            raise ConfigError(
                f"the includes go round in a circle: {circle}",
                "Remove one of these includes.",
                file=including,
                path=dotted(path),
            )
        if len(chain) > MAX_INCLUDES:
            raise ConfigError(
                f"more than {MAX_INCLUDES} files include one another in a chain",
                "Include them from one file.",
                file=including,
                path=dotted(path),
            )
        return target


def _merge_objects(under: JsonObject, over: JsonObject) -> JsonObject:
    merged = dict(under)
    for key, value in over.items():
        merged[key] = deep_merge(merged[key], value) if key in merged else value
    return merged
