"""The drawings in docs/sessions.md and docs/idempotency.md are what happens: each is acted out with a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.documents import ROOT, Block, fenced
from tests.doors.client import ask, assistant, chat, user
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import completion, whole
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.snippets.drawing import Chain, Drawn, chains, drawing

KEY: Final = "x-zero-session-key"
WINDOW: Final = 2600
LONG: Final = " word" * 200
"""What makes nine messages too long for that window, and seven not."""
PAGES: Final = (ROOT / "docs" / "sessions.md", ROOT / "docs" / "idempotency.md")
BLOCKS: Final = [(f"{page.name}:{block.line}", block) for page in PAGES for block in fenced(page, "text")]
RULES: Final = [
    pytest.param(block, id=name)
    for name, block in BLOCKS
    if block.text.startswith("request") and "\n\n" not in block.text  # one of two requests, with a night in between
]
[RESTORE] = (block for _, block in BLOCKS if "restore" in block.text)
[TOO_LONG] = (block for _, block in BLOCKS if block.text.startswith("stored") and "asked" not in block.text)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    """What is asked."""
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def live(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway whose default agent asks it."""
    config = upstream_configuration(upstream)
    config["agents"]["list"].append({"id": "small", "model": "fake/small", "contextTokens": WINDOW})
    with LiveGateway(tmp_path_factory.mktemp("drawings"), config) as gateway:
        yield gateway


class Player:
    """A client that acts a drawing out, in a session of its own.

    Args:
        live: The gateway.
        upstream: What answers there.
        key: The session's.
        agent: Which one.
        padding: What each message has behind its name.
    """

    def __init__(
        self, live: LiveGateway, upstream: FakeUpstream, key: str, agent: str = "main", padding: str = ""
    ) -> None:
        self._live, self._upstream, self._padding = live, upstream, padding
        self._key = f"agent:{agent}:{quote(key, safe='')}"

    def says(self, request: Chain, answer: str, headers: dict[str, str] | None = None) -> str:
        """Send messages, and have them answered so if the engine is asked; return what the client is told."""
        self._upstream.reset()
        self._upstream.play(whole(200, completion(answer + self._padding)))
        messages = [self._message(name) for name in request]
        return chat(self._live, messages, headers={KEY: self._key, **(headers or {})}).text.split(" word")[0]

    def stores(self, chain: Chain) -> None:
        """Talk until a session has these messages."""
        for question, answer in zip(chain[::2], chain[1::2], strict=True):
            self.says((question,), answer)

    @property
    def seen(self) -> Chain | None:
        """What the engine was sent last, if it was asked."""
        if not self._upstream.exchanges:
            return None
        return tuple(str(message["content"]).split(" word")[0] for message in self._upstream.last.json["messages"])

    @property
    def kept(self) -> Drawn:
        """What is stored."""
        branches = [branch["id"] for branch in self._ask("/branches")]
        return Drawn(frozenset(self._chain(f"?branch={branch}") for branch in branches), self._chain(""))

    def restores(self, last: str) -> None:
        """Have the session go on from the branch that ends so."""
        [branch] = (each["id"] for each in self._ask("/branches") if last == self._chain(f"?branch={each['id']}")[-1])
        address = f"/v1/zero/sessions/{quote(self._key, safe='')}/branches/{branch}/restore"
        assert ask(self._live, "POST", address).status == 200

    def _chain(self, query: str) -> Chain:
        data = self._ask(f"/messages{query}")
        return tuple(str(message["body"]["content"]).split(" word")[0] for message in reversed(data))

    def _ask(self, below: str) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = ask(
            self._live, "GET", f"/v1/zero/sessions/{quote(self._key, safe='')}{below}"
        ).json["data"]
        return data

    def _message(self, name: str) -> dict[str, object]:
        return assistant(name + self._padding) if name[0] in "abA" else user(name + self._padding)


@pytest.mark.parametrize("block", RULES)
def test_a_request(block: Block, live: LiveGateway, upstream: FakeUpstream, request: pytest.FixtureRequest) -> None:
    """The agent sees, the client is told and the session keeps what is drawn."""
    drawn = drawing(block.text)
    player = Player(live, upstream, request.node.name)
    player.stores(drawn.stored)
    if "/new" in drawn.request:
        player.stores(drawn.request[:4])
    told = player.says(drawn.request, (drawn.after.end or ("",))[-1], drawn.headers)
    assert drawn.sees == player.seen
    assert (told,) == (drawn.answer or (told,))
    assert drawn.after == player.kept


def test_a_session_that_is_too_long(live: LiveGateway, upstream: FakeUpstream) -> None:
    """The turns in the middle are left out as they are in the drawing."""
    drawn = drawing(TOO_LONG.text)
    player = Player(live, upstream, "too long", "small", LONG)
    player.stores(drawn.stored)
    player.says(drawn.request, "a5")
    assert drawn.sees == player.seen


def test_a_branch_is_restored(live: LiveGateway, upstream: FakeUpstream) -> None:
    """The session goes on from it, and what it went on from is a branch."""
    lines = [line.removeprefix("before") for line in RESTORE.text.splitlines()]
    at = lines[0].index("restore a2")
    before, after = (
        chains([line[part] for line in (lines[0], lines[1][6:])]) for part in (slice(at), slice(at + 10, None))
    )
    player = Player(live, upstream, "restored")
    player.stores(("u1", "a1", "u2", "a2"))
    player.says(("u1", "a1", "u2'"), "a2'")
    assert before == player.kept
    player.restores("a2")
    assert after == player.kept
