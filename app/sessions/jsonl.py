"""Sessions as lines of JSON: how they are written down, and what is checked when they are read back.

Each session is a line about itself and one line for each message of every branch. Owns the format, and the promise that
nothing is taken for a session whose hashes aren't its own. Knows neither files nor HTTP, and no rule of keys.
Source of the rules: docs/sessions.md, "Looking after sessions".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from app.sessions.archive import ArchivedMessage, ArchivedSession, Link, SessionArchive
from app.sessions.message import Message, chained, digest
from app.sessions.store import SessionRecord, StoreError

FORMAT: Final = "zero-session"
VERSION: Final = 1
MEDIA_TYPE: Final = "application/jsonl"
PIECE_BYTES: Final = 512 * 1024
"""How much of a session is in memory at a time while it is written down, unless a single message is larger."""
_PIECE_MESSAGES: Final = 200
_ROLES: Final = frozenset({"user", "assistant", "tool", "function"})
_MARK: Final = re.compile(r"reset:sha256:[0-9a-f]{64}")

_T = TypeVar("_T")

Time = Annotated[float, Meta(ge=0, le=1e11)]
Text = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*$(?!\n)")]


class _Session(msgspec.Struct):
    key: Text
    agent_id: Text
    head: Text | None
    created_at: Time
    updated_at: Time


class _Header(msgspec.Struct):
    """The line about a session: what the lines are, itself, and how many messages follow."""

    format: str
    version: int
    session: _Session
    messages: Annotated[int, Meta(ge=0)]


class _Line(msgspec.Struct):
    """The line of a message."""

    id: Text
    parent: Text | None
    digest: Text
    role: Text
    run_id: Text
    created_at: Time
    body: msgspec.Raw


class _Kind(msgspec.Struct):
    format: str | None = None
    version: int = 0


class NotASession(ValueError):
    """Raised when lines aren't what an export writes.

    Attributes:
        line: Which of them, counted from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


class Found(msgspec.Struct, frozen=True):
    """A session that was read, and the number of its first line."""

    line: int
    session: ArchivedSession


async def written(archive: SessionArchive, session_key: str) -> AsyncIterator[bytes]:
    """Write a session down, piece by piece; nothing if there is none.

    Raises:
        StoreError: If it can't be read, or was deleted in the middle of it.
    """
    outline = await archive.outline(session_key)
    if outline is None:
        return
    record = outline.record
    own = _Session(record.key, record.agent_id, outline.head, record.created_at, record.updated_at)
    yield msgspec.json.encode(_Header(FORMAT, VERSION, own, len(outline.links))) + b"\n"
    for links in _pieces(outline.links):
        found = {message.id: message for message in await archive.texts(session_key, [link.id for link in links])}
        if len(found) < len(links):
            raise StoreError(f"Session {session_key!r} was deleted while it was exported.")
        yield b"".join(_line(found[link.id]) for link in links)


def read(lines: Iterable[bytes], fits: Callable[[bytes], bool] = bool) -> Iterator[Found]:
    """Read sessions back, each once its last line has been seen and every hash derived anew.

    Args:
        lines: The lines, with or without their ends. Empty ones don't count.
        fits: Tells whether a message's JSON is one that engines may be sent.

    Raises:
        NotASession: If a line is not what it ought to be.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for number, line in numbered:
        header = _header(number, line)
        messages: dict[str, ArchivedMessage] = {}
        places: dict[str, int] = {}
        last = number
        for _ in range(header.messages):
            try:
                last, line = next(numbered)
            except StopIteration:
                problem = f"{header.messages} messages were promised, and {len(messages)} are there"
                raise NotASession(last + 1, f"the end is missing: {problem}") from None
            message = _message(last, line)
            if message.id in messages:
                raise NotASession(last, "the message is there twice")
            if not fits(bytes(message.body)):
                raise NotASession(last, "the body is not a message that a request could hold")
            messages[message.id] = message
            places[message.id] = last
        for message in messages.values():
            if not (message.parent is None or message.parent in messages or _MARK.fullmatch(message.parent)):
                raise NotASession(places[message.id], "the message before it (parent) is not there")
        own = header.session
        if own.head is not None and own.head not in messages:
            raise NotASession(number, "the session ends with a message (head) that is not there")
        record = SessionRecord(own.key, own.agent_id, own.created_at, own.updated_at)
        yield Found(number, ArchivedSession(record, own.head, tuple(messages.values())))


def _header(number: int, line: bytes) -> _Header:
    kind = _decoded(number, line, _Kind)
    if kind.format != FORMAT:
        raise NotASession(number, f'this is not the first line of a session, which says "format": "{FORMAT}"')
    if kind.version != VERSION:
        raise NotASession(number, f"version {kind.version} of the format is not known here, only {VERSION}")
    return _decoded(number, line, _Header)


def _message(number: int, line: bytes) -> ArchivedMessage:
    said = _decoded(number, line, _Line)
    if said.role not in _ROLES:
        raise NotASession(number, f"the role is none of {', '.join(sorted(_ROLES))}")
    try:
        content = digest(Message(said.role, said.body))
        sound = _is_message(said.role, msgspec.json.decode(said.body))
    except Exception:  # there is no end of what may stand there
        sound = False
    if not sound:
        raise NotASession(number, "the body is not a message of that role")
    if content != said.digest:
        raise NotASession(number, "the body is not what its digest says")
    if chained(said.parent, content) != said.id:
        raise NotASession(number, "the id is not that of the body and its place (parent)")
    body = msgspec.Raw(bytes(said.body))  # on its own, or it would keep the whole line
    return ArchivedMessage(said.id, said.parent, content, said.role, said.run_id, said.created_at, body)


def _is_message(role: str, fields: Any) -> bool:
    """Tell whether this is a message as far as runs look into one."""
    content = fields.get("content")
    parts = content if isinstance(content, list) else []
    calls = fields.get("tool_calls") or [] if role == "assistant" else []
    return (
        fields.get("role") == role
        and (content is None or isinstance(content, str | list))
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts)
        and all(isinstance(call, dict) and isinstance(call.get("id"), str) for call in calls)
    )


def _decoded(number: int, line: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as error:
        raise NotASession(number, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotASession(number, "this is not JSON") from None


def _line(message: ArchivedMessage) -> bytes:
    # Line ends are only between the words of a body's JSON; within a text they are escaped.
    body = bytes(message.body).replace(b"\r", b" ").replace(b"\n", b" ")
    one = _Line(
        message.id,
        message.parent,
        message.digest,
        message.role,
        message.run_id,
        message.created_at,
        msgspec.Raw(body),
    )
    return msgspec.json.encode(one) + b"\n"


def _pieces(links: Iterable[Link]) -> Iterator[list[Link]]:
    piece: list[Link] = []
    size = 0
    for link in links:
        if piece and (len(piece) == _PIECE_MESSAGES or size + link.size > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(link)
        size += link.size
    if piece:
        yield piece
