"""An entry of a list taken out of the text of a JSON5 document; everything else stays as it was written.

Owns which comma goes with it, and which blanks. Pure; expects text that ``json5_document`` has accepted.
"""

from __future__ import annotations

from .error import RuleError
from .json5_places import LINE_ENDS, Node, Reader
from .key_path import KeyPath


def without_item(text: str, path: KeyPath) -> str:
    """Take an entry out of a list, with the comments that are inside of it.

    Args:
        text: The document.
        path: Where the entry is; its last key is an index.

    Raises:
        RuleError: There is no such entry.
    """
    node = Reader(text).document()
    for depth, key in enumerate(path[:-1]):
        node = _inside(node, key, path[: depth + 1])
    items, index = node.items or (), path[-1]
    if not isinstance(index, int) or index >= len(items):
        raise RuleError(path, "there is no such entry", "Correct the path.")
    start, end = items[index].start, items[index].end
    comma = _comma_behind(text, end)
    if comma is not None:
        end = comma + 1
    elif index:  # the last one; the comma before it would be one too many in plain JSON
        before = _comma_behind(text, items[index - 1].end)
        assert before is not None, "something follows"
        start, end = _with_its_line(text, start, end)
        return text[:before] + text[before + 1 : start] + text[end:]
    start, end = _with_its_line(text, start, end)
    return text[:start] + text[end:]


def _inside(node: Node, key: str | int, path: KeyPath) -> Node:
    if isinstance(key, str):
        found = (node.members or {}).get(key)
    else:
        found = node.items[key] if node.items is not None and key < len(node.items) else None
    if found is None:
        raise RuleError(path, "there is no such key", "Correct the path.")
    return found


def _comma_behind(text: str, at: int) -> int | None:
    """Return where the comma behind a value is, whatever comments are between."""
    while True:
        if text.startswith("//", at):
            at = min((end for mark in LINE_ENDS if (end := text.find(mark, at)) >= 0), default=len(text))
        elif text.startswith("/*", at):
            at = text.index("*/", at) + 2
        elif text[at] == ",":
            return at
        elif text[at].isspace() or text[at] == "\ufeff":
            at += 1
        else:
            return None


def _with_its_line(text: str, start: int, end: int) -> tuple[int, int]:
    """Take the blanks in, and the whole line where there is nothing else on it."""
    begin, behind = start, end
    while begin and text[begin - 1] in " \t":
        begin -= 1
    while behind < len(text) and text[behind] in " \t":
        behind += 1
    if begin and text[begin - 1] in LINE_ENDS and text[behind] in LINE_ENDS:
        crlf = text[begin - 2 : begin] == "\r\n"
        return begin - (2 if crlf else 1), behind
    return start, behind
