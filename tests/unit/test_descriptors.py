"""File descriptors: as many as there may be, and a word in the log when there are none."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import subprocess
import sys
from errno import EMFILE
from pathlib import Path

import pytest

from app.cli import descriptors
from app.cli.descriptors import watch_descriptors


def test_raised_as_far_as_it_goes() -> None:
    """The soft limit becomes the hard one, in a process that may have been given less."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, {hard}))\n"
        "from app.cli.descriptors import raise_limit; raise_limit(); raise_limit()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert f"{hard} {hard}\n" == told.stdout


def test_told_once_each_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The log says when they are gone and when they are back, however often is looked."""
    really = os.open
    gone = [False, True, True, True, False, False, True]
    looked = asyncio.Event()

    def scarce(path: str, flags: int) -> int:
        if not gone:
            looked.set()
            return really(path, flags)
        if gone.pop(0):
            raise OSError(EMFILE, "Too many open files")
        return really(path, flags)

    async def main() -> None:
        watching = asyncio.create_task(watch_descriptors())
        await asyncio.wait_for(looked.wait(), 10)
        watching.cancel()

    monkeypatch.setattr(descriptors, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(os, "open", scarce)
    with caplog.at_level(logging.WARNING, "zero"):
        asyncio.run(main())
    assert ["ERROR", "WARNING", "ERROR", "WARNING"][: len(caplog.records)] == [one.levelname for one in caplog.records]
    assert len(caplog.records) >= 3
