"""A drawing of a session in the documents: what is sent, what is stored, what the agent sees, what is stored then.

Reads the rows and the chains in them. ``u1`` is a user's message, ``a1`` an answer, ``*`` the end of the session;
``─┬`` is where a chain forks. Knows no gateway.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

Chain: TypeAlias = tuple[str, ...]

_WORD: Final = re.compile(r"\"[^\"]+\"|/?[a-z]+\d*'*")
_HEADER: Final = re.compile(r", (?P<name>[\w-]+): (?P<value>\w+)")


class Drawn(NamedTuple):
    """Chains of messages, and the one that the session goes on from."""

    chains: frozenset[Chain]
    end: Chain | None


class Drawing(NamedTuple):
    """What a drawing says.

    Attributes:
        request: The messages that are sent.
        headers: What is sent besides.
        stored: The chain that there is before, the session's.
        sees: What the engine is sent; nothing where it isn't asked.
        answer: What the client is told, where the drawing says so.
        after: What there is then.
    """

    request: Chain
    headers: dict[str, str]
    stored: Chain
    sees: Chain | None
    answer: Chain
    after: Drawn


def drawing(text: str) -> Drawing:
    """Read a drawing."""
    rows: dict[str, list[str]] = {}
    label = ""
    for line in text.splitlines():
        head = re.match(r"[a-z]*", line)
        label = (head and head[0]) or label
        # The columns stay where they are: forks hang below one another.
        rows.setdefault(label, []).append(re.sub(r"^[a-z]+", lambda word: " " * len(word[0]), line))
    [request] = rows["request"]
    headers = {found["name"]: found["value"] for found in _HEADER.finditer(request)}
    return Drawing(
        request=words(_HEADER.sub("", request)),
        headers=headers,
        stored=words(*rows.get("stored", [""])),
        sees=words(*rows["sees"]) if "sees" in rows else None,
        answer=words(*rows.get("answer", [""])),
        after=chains(rows.get("after", [])),
    )


def words(row: str) -> Chain:
    """Return the messages of a row, from left to right."""
    return tuple(word.strip('"') for word in _WORD.findall(row))


def chains(rows: list[str]) -> Drawn:
    """Read rows that may hang below one another."""
    found: list[Chain] = []
    end: Chain | None = None
    above = ""
    for row in rows:
        fork = row.find("└")
        whole = above[:fork] + row[fork + 1 :] if fork >= 0 else row
        above = row if fork < 0 else above
        found.append(words(whole))
        end = words(whole) if row.rstrip().endswith("*") else end
    return Drawn(frozenset(found), end)
