"""What must be so after gateways were killed: of what is in the store, and of what the engines were sent.

Knows what clients remember of their turns. Knows nothing of how the faults came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tests.fakes.upstream import FakeUpstream
from tests.faults.fault_clients import Turn


def check_branch(turns: Sequence[Turn], lines: Sequence[str]) -> int:
    """Check a session's branch against what its clients know; return how many of its turns no client knows of."""
    users, told = lines[0::2], lines[1::2]
    assert len(users) == len(told)
    assert all(line.startswith("user: ") for line in users)
    assert all(line.startswith("assistant: ") for line in told)
    assert [] == [line for line, count in Counter(users).items() if count > 1], "nothing is there twice"
    places = {line.removeprefix("user: "): place for place, line in enumerate(users)}
    acknowledged = [turn for turn in turns if turn.answer is not None]
    assert [] == [turn.text for turn in acknowledged if turn.text not in places], "nothing is lost"
    for turn in acknowledged:
        assert f"assistant: {turn.answer}" == told[places[turn.text]]
        # Two clients may have asked at the same time. What was answered before another was asked stands before it.
        assert all(places[turn.text] < places[later.text] for later in acknowledged if later.started > turn.answered)
    return len(users) - len(acknowledged)


def check_prompts(turns: Sequence[Turn], upstream: FakeUpstream) -> int:
    """Check that the engines saw every turn once and in order; return how many prompts there were."""
    known = {turn.text: turn for turn in turns}
    sessions: dict[str, list[Turn]] = {}
    for turn in turns:
        sessions.setdefault(turn.text.split(".")[0], []).append(turn)
    checked = 0
    for exchange in upstream.exchanges:
        messages = exchange.json["messages"]
        users = [message["content"] for message in messages if message["role"] == "user"]
        if (asked := known.get(users[-1])) is None:
            continue  # the last of all
        assert len(users) == len(set(users)), users
        places = {text: place for place, text in enumerate(users)}
        before = [
            turn
            for turn in sessions[asked.text.split(".")[0]]
            if turn.answer is not None and turn.answered < asked.started
        ]
        assert [] == [turn.text for turn in before if turn.text not in places], f"{asked.text} came without them"
        before.sort(key=lambda turn: places[turn.text])
        assert all(one.started < next_one.answered for one, next_one in pairwise(before)), "each in its place"
        said = [message["content"] for message in messages]
        assert [turn.answer for turn in before] == [said[said.index(turn.text) + 1] for turn in before]
        checked += 1
    return checked
