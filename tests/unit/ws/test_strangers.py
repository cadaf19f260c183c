"""Connections that wait to be let in: the oldest gives way."""

from __future__ import annotations

import pytest

from app.ws import strangers as module
from app.ws.strangers import Strangers


class Knock:
    """A connection that notes that it was dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def drop(self, reason: str) -> None:
        """Be dropped."""
        self.dropped.append(reason)


def test_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each newcomer beyond the limit costs one place: that of whoever has waited longest. Who left has none."""
    monkeypatch.setattr(module, "MAX_STRANGERS", 3)
    strangers, knocks = Strangers(), [Knock() for _ in range(6)]
    for knock in knocks[:3]:
        strangers.enter(knock)
    strangers.leave(knocks[0])
    for knock in knocks[3:5]:
        strangers.enter(knock)
    strangers.leave(knocks[1])
    strangers.enter(knocks[5])

    assert [0, 1, 1, 0, 0, 0] == [len(knock.dropped) for knock in knocks]


def test_the_log_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A flood doesn't become one of the log's; another one is told again."""
    monkeypatch.setattr(module, "MAX_STRANGERS", 2)
    strangers = Strangers()
    for _ in range(2):
        knocks = [Knock() for _ in range(10)]
        for knock in knocks:
            strangers.enter(knock)
        for knock in knocks:
            strangers.leave(knock)

    assert 2 == len(caplog.records)
