"""What an engine speaks, put together from the pieces of a stream. Pure."""

from __future__ import annotations

import base64
import binascii

from app.runs.event import Fields


class Recording:
    """Spoken words as they come: ``delta.audio`` of a stream, whole in the end."""

    def __init__(self) -> None:
        self.id = ""
        """Its name at the engine, by which a client refers to it; empty if it has none."""
        self.expires_at = 0
        """Seconds since 1970 until which the engine knows that name; 0 if it doesn't say."""
        self._transcript: list[str] = []
        self._data: list[str] = []

    def add(self, audio: Fields) -> None:
        """Take in a piece."""
        said, data = audio.get("transcript"), audio.get("data")
        if isinstance(said, str):
            self._transcript.append(said)
        if isinstance(data, str):
            self._data.append(data)
        name, expires_at = audio.get("id"), audio.get("expires_at")
        if isinstance(name, str):
            self.id = name
        if isinstance(expires_at, int):
            self.expires_at = expires_at

    @property
    def size(self) -> int:
        """The characters of it."""
        return sum(map(len, self._data)) + sum(map(len, self._transcript))

    @property
    def transcript(self) -> str:
        """What is said in it."""
        return "".join(self._transcript)

    @property
    def data(self) -> str:
        """The sound, as base64."""
        if not any(piece.endswith("=") for piece in self._data[:-1]):
            return "".join(self._data)
        # Each piece was encoded for itself: put one behind the other they'd be no base64.
        try:
            return base64.b64encode(b"".join(base64.b64decode(piece) for piece in self._data)).decode()
        except binascii.Error:
            return "".join(self._data)
