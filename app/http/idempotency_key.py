"""The header ``Idempotency-Key``: what a key may look like, and the digest of what it stands for. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from app.errors import InvalidRequest
from app.http.request_headers import RequestHeaders
from app.large.shortened import Shortened
from app.runs.job import Job
from app.security.named_key import NamedKey

HEADER: Final = "Idempotency-Key"
RETRY_HEADER: Final = "x-stainless-retry-count"

_NAME: Final = HEADER.lower().encode()
_RETRY: Final = RETRY_HEADER.encode()
_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_MAX_COMPARED: Final = 2 * 1024 * 1024
"""Bytes of a body, its long texts aside, up to which its spelling makes no difference."""
_COUNT: Final = re.compile(rb"\s*0*[1-9][0-9]{0,8}\s*")


def idempotency_key(headers: RequestHeaders, caller: NamedKey | None = None) -> str | None:
    """Return a request's key, or ``None`` when it has none.

    Args:
        headers: The request's.
        caller: The API key that was shown: what others call the same is something else.

    Raises:
        InvalidRequest: If it isn't one. An empty one isn't: whoever sends it believes to be protected.
    """
    if not headers.all(_NAME):
        return None
    key = headers.text(_NAME)
    if not _KEY.fullmatch(key):
        raise InvalidRequest(f"{HEADER} must be 1 to 255 printable ASCII characters.", param=HEADER)
    # No key that a client can send has this character in it, so that none is another caller's.
    return key if caller is None else f"{caller.name}\x1f{key}"


def is_retry(headers: RequestHeaders) -> bool:
    """Return whether an official SDK says that it has sent this request before, without a key; nonsense is no error."""
    return not headers.all(_NAME) and any(map(_COUNT.fullmatch, headers.all(_RETRY)))


def digest_of(job: Job, body: bytes) -> bytes:
    """Return what identifies a request: its body, however its JSON is spelled, and whom it reaches in which session."""
    target = job.target
    session = target.session_key if target.stateful else None
    digest = hashlib.sha256(msgspec.json.encode([target.agent.id, session, job.whole_history]) + b"\n")
    try:
        short = Shortened(body)
        if len(short.json) > _MAX_COMPARED:
            raise ValueError("more than a moment's work")
        canonical = msgspec.json.encode(msgspec.json.decode(short.json), order="sorted")
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        digest.update(body)  # too much, or numbers that Python hasn't: they travel as they are, and are compared so
    else:
        for piece in short.pieces(canonical):
            digest.update(piece)
    return digest.digest()
