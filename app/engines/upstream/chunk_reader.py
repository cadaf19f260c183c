"""Reading an upstream's stream: bytes in, the events of what has come out, as many at once as there are.

Pure. Keeps nothing of what it has handed out: a stream that says nothing for long needs little memory.
"""

from __future__ import annotations

from typing import Final

from app.engines.upstream.chunk import UpstreamErrorEvent, event_of, event_of_chunk
from app.engines.upstream.sse_reader import SSEReader
from app.errors import EngineFailed
from app.large.aside import LARGE
from app.runs.event import Event

AT_ONCE: Final = 64
"""Events of one batch at most: decoding and passing on so many takes about a quarter of a millisecond."""
_DONE: Final = b"[DONE]"


class ChunkReader:
    """Reads one stream.

    Attributes:
        waiting: The data of what has come and wasn't handed out.
        done: Whether ``[DONE]`` has been read, behind which there is nothing.
        over: Whether nothing can come any more, with or without that.
    """

    __slots__ = ("_data", "done", "over", "waiting")

    def __init__(self) -> None:
        self._data = SSEReader()
        self.waiting: list[bytes] = []
        self.done = False
        self.over = False

    @property
    def is_large(self) -> bool:
        """Whether what comes next is for ``large`` instead of ``batch``."""
        return bool(self.waiting) and len(self.waiting[0]) > LARGE

    def feed(self, data: bytes) -> None:
        """Take in what one read has brought; no bytes mean that the stream has ended.

        Raises:
            EngineFailed: If an event is too long.
        """
        self.over = not data
        self.waiting += self._data.feed(data) if data else self._data.end()

    async def large(self) -> list[Event]:
        """Return the next event, which is large, decoded beside the event loop; it says whether more are ready.

        Raises:
            UpstreamErrorEvent: If it is an error object.
            EngineFailed: If it is no chunk at all.
        """
        event = await event_of(self.waiting.pop(0), whole=False)
        event.more = bool(self.waiting)
        return [event]

    def batch(self) -> list[Event]:
        """Return the next events, up to a large one; none if only the end was left. The last one says whether more are
        ready.

        Raises:
            UpstreamErrorEvent: If the first of them is an error object.
            EngineFailed: If it is no chunk at all.
        """
        waiting = self.waiting[:AT_ONCE]
        self.waiting = self.waiting[AT_ONCE:]
        events: list[Event] = []
        for at, item in enumerate(waiting):
            if item == _DONE:
                self.done = self.over = True
                self.waiting = []
                break
            if len(item) > LARGE:
                self.waiting = waiting[at:] + self.waiting
                break
            try:
                event = event_of_chunk(item)
            except (UpstreamErrorEvent, EngineFailed):
                if not events:
                    raise
                self.waiting = [item]  # what came before it counts, and comes first
                break
            event.more = True
            events.append(event)
        if events:
            events[-1].more = self.done or bool(self.waiting)
        return events
