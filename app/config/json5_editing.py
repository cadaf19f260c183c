"""A change in the text of a JSON5 document that leaves everything else as it was written: comments, order, layout.

Owns what is put where. Pure; expects text that ``json5_document`` has accepted, and knows no configuration
key. Whoever calls compares what the new text says with what it should say.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from .error import RuleError
from .json5_places import LINE_ENDS, Node, Reader
from .json_value import JsonValue
from .key_path import KeyPath

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


class _Edit(NamedTuple):
    """Put ``text`` in the place of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def set_value(text: str, path: KeyPath, value: JsonValue) -> str:
    """Change or add one value.

    Args:
        text: The document.
        path: Where the value belongs; missing objects on the way are added, and an index may be one past the end.
        value: The value.

    Returns:
        The new text.

    Raises:
        RuleError: There is no such place, or a comment would be lost.
    """
    reader = Reader(text)
    node = reader.document()
    for depth, key in enumerate(path):
        child = _child(node, key, path[:depth])
        if child is None:
            edits = _added(text, node, key, _wrapped(path[depth + 1 :], value))
            return _applied(text, edits)
        node = child
    if any(node.start <= comment < node.end for comment in reader.comments):
        raise RuleError(
            path,
            "there are comments inside the value, which would be lost",
            "Change the single values in it, or edit the file by hand.",
        )
    return _applied(text, [_Edit(node.start, node.end, written(value, quoted=_quotes(text)))])


def written(value: JsonValue, *, quoted: bool = False) -> str:
    """Write a value on one line.

    Args:
        value: The value.
        quoted: Whether keys that need no quotes get some all the same, as JSON wants it.
    """
    if isinstance(value, dict):
        members = ", ".join(
            f"{_key(key, quoted=quoted)}: {written(item, quoted=quoted)}" for key, item in value.items()
        )
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, list):
        return f"[{', '.join(written(item, quoted=quoted) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str, *, quoted: bool) -> str:
    return key if not quoted and _IDENTIFIER.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _child(node: Node, key: str | int, at: KeyPath) -> Node | None:
    if isinstance(key, str):
        if node.members is None:
            raise RuleError(at, f'not an object, so there is no "{key}" in it', "Correct the path.")
        return node.members.get(key)
    if node.items is None:
        raise RuleError(at, f"not a list, so there is no [{key}] in it", "Correct the path.")
    if key > len(node.items):
        raise RuleError(at, f"the list has {len(node.items)} entries, so there is no [{key}]", "Correct the path.")
    return node.items[key] if key < len(node.items) else None


def _wrapped(rest: KeyPath, value: JsonValue) -> JsonValue:
    for key in reversed(rest):
        if isinstance(key, int) and key:
            raise RuleError(rest, f"there is no list yet, so there is no [{key}] in it", "Begin with [0].")
        value = {key: value} if isinstance(key, str) else [value]
    return value


def _added(text: str, node: Node, key: str | int, value: JsonValue) -> list[_Edit]:
    """Return what puts one more member or item at the end of an object or a list."""
    quoted = node.quoted if node.members else _quotes(text)
    entry = written(value, quoted=quoted)
    if isinstance(key, str):
        entry = f"{_key(key, quoted=quoted)}: {entry}"
    children = [*(node.members or {}).values(), *(node.items or ())]
    close = node.end - 1
    behind = node.start + 1 if not children else node.comma if node.comma is not None else children[-1].end
    rest = text[behind:close]
    comma = [_Edit(children[-1].end, children[-1].end, ",")] if children and node.comma is None else []
    trailing = "," if node.comma is not None else ""
    if any(end in rest for end in LINE_ENDS):
        line_end = "\r\n" if "\r\n" in text else "\n"
        outer = _indentation(text, close)
        inner = _indentation(text, node.first) if children else f"{outer}  "
        if inner == outer:
            inner = f"{outer}  "
        place = behind + len(rest.rstrip())
        return [*comma, _Edit(place, place, f"{line_end}{inner}{entry}{trailing}")]
    if children:
        return [*comma, _Edit(behind, behind, f" {entry}{trailing}")]
    blank = " " if isinstance(key, str) or rest.strip() else ""
    place = behind + len(rest.rstrip())
    return [_Edit(place, close, f"{blank}{entry}{blank}")]


def _quotes(text: str) -> bool:
    """Tell whether a document writes its keys in quotes: whether its first key is."""
    node = Reader(text).document()
    return node.quoted


def _indentation(text: str, at: int) -> str:
    begin = max(text.rfind(end, 0, at) for end in LINE_ENDS) + 1
    line = text[begin:at]
    return line[: len(line) - len(line.lstrip())]


def _applied(text: str, edits: list[_Edit]) -> str:
    # Of two at one place the first stays before the second.
    parts, done = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])
