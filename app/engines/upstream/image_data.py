"""An image as a data URI, made while its bytes come in.

Owns which kinds of images there are, and how they are told. Pure.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

_TELLING: Final = 12
"""The bytes that tell what an image is."""


class ImageData:
    """Takes an image's bytes piece by piece, so that no long piece of work is left for the end."""

    def __init__(self) -> None:
        self._begun = False
        self._left = bytearray()
        self._uri = bytearray()

    def feed(self, piece: bytes) -> bool:
        """Take in more bytes.

        Returns:
            Whether it can still be an image.
        """
        self._left += piece
        return len(self._left) < _TELLING or self._encode(len(self._left) // 3 * 3)

    def uri(self) -> str | None:
        """Return the whole as a data URI; ``None`` if it isn't an image. Call it once, at the end."""
        return self._uri.decode("ascii") if self._encode(len(self._left)) else None

    def _encode(self, count: int) -> bool:
        if not self._begun:
            media_type = _media_type(bytes(self._left[:_TELLING]))
            if media_type is None:
                return False
            self._begun = True
            self._uri += f"data:{media_type};base64,".encode()
        self._uri += b64encode(self._left[:count])
        del self._left[:count]
        return True


def _media_type(beginning: bytes) -> str | None:
    """Return what an image is by its first bytes; what its host calls it decides nothing."""
    if beginning.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if beginning.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if beginning.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "image/webp"
    return None
