"""Ids are as many as one wants, and nobody's twice."""

from __future__ import annotations

import os
import re
import threading
from uuid import UUID

from app.unique_id import unique_id, unique_uuid


def test_form() -> None:
    """An id is 128 bits in hexadecimal digits, a UUID one of version 4."""
    assert re.fullmatch("[0-9a-f]{32}", unique_id())
    text = unique_uuid()
    assert (4, text) == (UUID(text).version, str(UUID(text)))


def test_never_twice() -> None:
    """However many are made, also by several threads at a time."""
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([unique_id() for _ in range(5_000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 20_000 == len(made) == len(set(made))


def test_not_in_a_forked_process() -> None:
    """A child makes other ids than its parent."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, unique_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 32).decode() not in {unique_id() for _ in range(10)}
    os.close(reading)
    os.close(writing)
