"""Regular expressions as llama.cpp's grammar can keep to them.

Pure. The grammar matches the characters between the quotes of a JSON string, so an expression that could match a quote,
a backslash or a control character would break the JSON: such characters are taken out of what it matches. What comes
out may match less than the original, never more.
"""

from __future__ import annotations

import re
from typing import Final

MAX_REPEATS: Final = 500

_SAFE: Final = frozenset(range(0x20, 0x7F)) - {ord('"'), ord("\\")}
_UNSAFE: Final = r'"\\\x00-\x1F'
_BLANKS: Final = r"\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF"
_SETS: Final = {
    "d": frozenset(b"0123456789"),
    "w": frozenset(b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "s": frozenset(b" \t\r\n\v\f"),
}
_TOKEN: Final = re.compile(
    r"""\\(?P<escape>.) | \[(?P<negated>\^?)(?P<members>(?:\\.|[^\\\]])+)\] | (?P<open>\((?:\?:)?) | (?P<close>\))
    | (?P<either>\|) | (?P<repeat>[*+?]|\{\d+(?:,\d*)?\}) | (?P<any>\.) | (?P<plain>[^\\\[\](){}|*+?.^$])""",
    re.VERBOSE | re.DOTALL,
)
_SPECIAL: Final = frozenset("^$.[]()|{}*+?")


def grammar_pattern(pattern: str) -> str | None:
    r"""Return the pattern in the words that llama.cpp knows, anchored at both ends.

    An expression without ``^`` or ``$`` would match inside a longer text; a text that is the match alone fits it too.

    Returns:
        The pattern, or None if it has something that can't be kept to: look-around, back references, escapes like
        ``\p``, lazy repeats, non-ASCII characters.
    """
    head, tail = pattern.startswith("^"), _ends_anchored(pattern)
    inner = pattern[head : len(pattern) - tail]
    pieces: list[str] = []
    depth = at = 0
    repeatable = False
    while at < len(inner):
        token = _TOKEN.match(inner, at)
        piece = _piece(token, repeatable) if token is not None else None
        if token is None or piece is None:
            return None
        depth += (token["open"] is not None) - (token["close"] is not None)
        if depth < 0 or (token["either"] and depth == 0 and (head or tail)):
            return None
        repeatable = token["open"] is None and token["either"] is None and token["repeat"] is None
        pieces.append(piece)
        at = token.end()
    if depth:
        return None
    text = "".join(pieces)
    return f"^({text})$" if "|" in text else f"^{text}$"


def _ends_anchored(pattern: str) -> bool:
    backslashes = len(pattern) - 1 - len(pattern[:-1].rstrip("\\"))
    return pattern.endswith("$") and backslashes % 2 == 0


def _piece(token: re.Match[str], repeatable: bool) -> str | None:
    if token["escape"] is not None:
        return _escaped(token["escape"])
    if token["members"] is not None:
        members = _members(token["members"])
        if members is None:
            return None
        return _none_of(members) if token["negated"] else _one_of(members)
    if token["repeat"] is not None:
        return token["repeat"] if repeatable and _is_small(token["repeat"]) else None
    if token["any"] is not None:
        return _none_of(frozenset())
    if token["plain"] is not None:
        return token["plain"] if ord(token["plain"]) in _SAFE else None
    return "(" if token["open"] is not None else token[0]


def _escaped(character: str) -> str | None:
    if character in _SETS:
        return _one_of(_SETS[character])
    if character.lower() in _SETS:
        return _none_of(_SETS[character.lower()])
    if character.isalnum() or ord(character) not in _SAFE:
        return None
    return f"\\{character}" if character in _SPECIAL else character


def _members(members: str) -> frozenset[int] | None:
    """Return the characters that stand between the brackets of a class, or None if they aren't plain ASCII."""
    found: set[int] = set()
    tokens = re.findall(r"\\?.", members, re.DOTALL)
    at = 0
    while at < len(tokens):
        token, at = tokens[at], at + 1
        if token[0] == "\\" and token[1] in _SETS:
            found |= _SETS[token[1]]
            continue
        first = last = _code(token)
        if tokens[at : at + 1] == ["-"] and at + 1 < len(tokens):
            last, at = _code(tokens[at + 1]), at + 2
        if first is None or last is None or last < first:
            return None
        found.update(range(first, last + 1))
    return frozenset(found)


def _code(token: str) -> int | None:
    if not token.isascii() or (token[0] == "\\" and token[1].isalnum()):
        return None
    return ord(token[-1])


def _one_of(members: frozenset[int]) -> str | None:
    """Return a class of those characters that may stand in a JSON string as they are."""
    return f"[{_written(members & _SAFE)}]" if members & _SAFE else None


def _none_of(members: frozenset[int]) -> str:
    return f"[^{_written(members & _SAFE)}{_UNSAFE}{_BLANKS if members >= _SETS['s'] else ''}]"


def _written(members: frozenset[int]) -> str:
    return "".join(chr(code) if chr(code).isalnum() else f"\\x{code:02X}" for code in sorted(members))


def _is_small(repeat: str) -> bool:
    counts = [int(count) for count in re.findall(r"\d+", repeat)]
    return all(count <= MAX_REPEATS for count in counts) and counts == sorted(counts)
