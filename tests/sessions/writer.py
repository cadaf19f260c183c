"""A process that writes turns into a SQLite store and says of each that it is stored; made to be killed.

Its arguments are the file, the session's key and the number of the first turn.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from app.sessions.sqlite import SqliteStore
from tests.sessions.talk import append
from tests.unit.conversation import assistant, user


async def main(path: str, key: str, first: str) -> None:
    """Write until the process ends."""
    store = await SqliteStore.open(Path(path))
    for number in count(int(first)):
        await append(store, user(f"{number}"), assistant(f"{number}!"), behind=await store.history(key), key=key)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
