"""The service behind the agents: it repeats what it is told, and does an application's chores so that they succeed.

Owns how a chore is told from a turn of a conversation: by its text, since nothing else of it reaches a service.
"""

from __future__ import annotations

from typing import Final

from tests.fakes.script import Json, Script, completion, stream, whole, words
from tests.fakes.upstream import Exchange, FakeUpstream

Turn = tuple[str, str]
"""Role and text of a message."""

TITLE: Final = "Red kites"
TAGS: Final = ["birds"]
FOLLOW_UPS: Final = ["Where do they nest?"]
# One object with all that Open WebUI looks for in the answers to its several chores.
_DONE: Final = '{"title": "Red kites", "tags": ["birds"], "follow_ups": ["Where do they nest?"]}'
_CHORE: Final = "### Task:"


class Talker(FakeUpstream):
    """Answers "re: " and the last message, unless scripts are set, which are for turns only."""

    @property
    def turns(self) -> list[list[Turn]]:
        """The conversations that it was asked to go on with, in order."""
        return [_conversation(exchange) for exchange in self.exchanges if not _is_chore(exchange)]

    @property
    def chores(self) -> list[list[Turn]]:
        """The messages of the chores that it was asked to do, in order."""
        return [_conversation(exchange) for exchange in self.exchanges if _is_chore(exchange)]

    def turn(self, number: int) -> Exchange:
        """Return the request of a turn, counted from 0."""
        return [exchange for exchange in self.exchanges if not _is_chore(exchange)][number]

    def _script_for(self, exchange: Exchange) -> Script:
        if exchange.path.endswith("/chat/completions"):
            if _is_chore(exchange):
                return stream(*words(_DONE)) if exchange.json.get("stream") else whole(200, completion(_DONE))
            with self._arrived:
                if not self._scripts:
                    return stream(*words("re: ", _conversation(exchange)[-1][1]))
        return super()._script_for(exchange)


def _is_chore(exchange: Exchange) -> bool:
    return _conversation(exchange)[-1][1].startswith(_CHORE)


def _conversation(exchange: Exchange) -> list[Turn]:
    messages: list[dict[str, Json]] = exchange.json["messages"]
    return [(str(message["role"]), str(message.get("content"))) for message in messages]
