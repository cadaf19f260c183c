"""Reading an upstream's server-sent events: bytes in, the data of whole events out.

Pure and incremental. Takes what upstreams really send: LF, CRLF or CR-free mixtures, comments, ``event:`` and ``id:``
lines (ignored), several ``data:`` lines in one event.
"""

from __future__ import annotations

from app.errors import EngineFailed

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The longest event believed to be honest."""


class SSEReader:
    """Splits a byte stream into the ``data`` of its events."""

    __slots__ = ("_data", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in and return the data of every event that is complete with them.

        Raises:
            EngineFailed: If an event grows beyond 16 MiB.
        """
        if not self._rest and not self._data and data.endswith(b"\n\n"):
            whole = _whole_events(data)
            if whole is not None:
                return whole
        if b"\n" not in data:
            # A buffer that grows in place: joining bytes anew for each piece of a long line takes quadratic time.
            self._rest += data
            self._check_size()
            return []
        lines = data.split(b"\n")
        if self._rest:
            self._rest += lines[0]
            lines[0] = bytes(self._rest)
        self._rest = bytearray(lines.pop())
        events: list[bytes] = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data, self._size = [], 0
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._size += len(line)
        self._check_size()
        return events

    def end(self) -> list[bytes]:
        """Return the last event of a stream that ended without the blank line behind it."""
        return self.feed(b"\n\n")

    def _check_size(self) -> None:
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise EngineFailed("The upstream sent an event larger than 16 MiB.", code="upstream_invalid_response")


def _whole_events(data: bytes) -> list[bytes] | None:
    """Return the data of events that came as nearly all do: whole, each in one line; ``None`` if any came otherwise."""
    if b"\r" in data or len(data) > MAX_EVENT_BYTES:
        return None
    events = data[:-2].split(b"\n\n")
    for at, event in enumerate(events):
        if b"\n" in event or not event.startswith(b"data: "):
            return None
        events[at] = event[6:]
    return events
