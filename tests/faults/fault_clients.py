"""Clients that lose their connections, give up half-way and ask again, as far as the documents say that it is safe.

Owns what a client may do, and what it remembers of each turn. docs/idempotency.md and docs/sessions.md have the rules:

- With a key a request may be repeated as often as one likes, at any gateway: its turn is there once.
- Without a key, a request that comes again is recognised if its session still ends with it. So a client that is alone
  in its session may say ``x-stainless-retry-count``, wherever; one that shares it gives up.
- After an error the session is as it was, unless the store itself had failed.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tests.live_gateway import TOKEN

TURN_SECONDS: Final = 60.0
"""How long a client tries to have a turn answered."""
_ATTEMPT_SECONDS: Final = 40.0
_THINK_SECONDS: Final = 0.8
_UNCERTAIN_CODES: Final = {"session_store_unavailable"}

Sends: TypeAlias = Literal["last", "all", "window"]


@dataclass
class Turn:
    """What was said, when, and what became of it; times by ``time.monotonic()``.

    Attributes:
        course: Each attempt that reached a gateway: when it began and ended, in seconds since the turn began, and how.
    """

    text: str
    started: float = field(default_factory=time.monotonic)
    answered: float = 0.0
    answer: str | None = None
    course: list[tuple[float, float, str]] = field(default_factory=list)


class Answered(NamedTuple):
    """The answer is complete."""

    text: str
    replayed: bool


class Failed(NamedTuple):
    """The gateway said that there is no answer; nothing of it is in the session, if ``certain``."""

    status: int
    code: str

    @property
    def certain(self) -> bool:
        return self.code not in _UNCERTAIN_CODES


class Broken(NamedTuple):
    """Nobody knows."""

    how: str


Outcome: TypeAlias = Answered | Failed | Broken


@dataclass
class _Request:
    """Where a client is with a turn.

    Attributes:
        key: Its idempotency key, if it has one.
        unsure: Whether an earlier attempt may have come through.
        repeats: How often it was sent again.
        over: Whether the client gives it up.
    """

    key: str
    unsure: bool = False
    repeats: int = 0
    over: bool = False


class Client(threading.Thread):
    """Says one thing after the other in one session, until it is told to stop; finishes what it has begun.

    Args:
        name: Part of everything that it says.
        key: Its session.
        sends: What of the conversation it sends.
        alone: Whether nobody else is in the session.
        find: Gives the port of a gateway that lives.
        chance: What it does by chance.
        ended: Set when it is enough.

    Attributes:
        turns: What it said.
        counts: What happened to it.
    """

    def __init__(
        self,
        name: str,
        key: str,
        sends: Sends,
        *,
        alone: bool,
        find: Callable[[random.Random], int | None],
        chance: random.Random,
        ended: threading.Event,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.key = key
        self.turns: list[Turn] = []
        self.counts: Counter[str] = Counter()
        self._sends = sends
        self._alone = alone
        self._find = find
        self._chance = chance
        self._ended = ended

    def run(self) -> None:
        """Talk."""
        while not self._ended.wait(self._chance.uniform(0, _THINK_SECONDS)):
            turn = Turn(f"{self.name} says {len(self.turns)}")
            messages = [*self._history(), {"role": "user", "content": turn.text}]
            self.turns.append(turn)
            self._take(turn, messages)

    def _history(self) -> list[dict[str, str]]:
        if self._sends == "last":
            return []
        said = [turn for turn in self.turns if turn.answer is not None]
        return [
            message
            for turn in (said[-2:] if self._sends == "window" else said)
            for message in (
                {"role": "user", "content": turn.text},
                {"role": "assistant", "content": turn.answer or ""},
            )
        ]

    def _take(self, turn: Turn, messages: list[dict[str, str]]) -> None:
        """Ask until there is an answer, asking again isn't safe, or the client has had enough."""
        body = {"model": "zero", "messages": messages, "stream": self._chance.random() < 0.6}
        state = _Request(key=f"{turn.text} {self._chance.getrandbits(64)}" if self._chance.random() < 0.4 else "")
        while not state.over and time.monotonic() < turn.started + TURN_SECONDS:
            port = self._find(self._chance)
            if port is None:
                time.sleep(0.05)
                continue
            hastily = self._chance.random() < 0.12
            began = time.monotonic() - turn.started
            outcome = self._attempt(port, body, self._headers(state), self._chance.randint(0, 4) if hastily else None)
            if outcome != Broken("refused"):
                turn.course.append((began, time.monotonic() - turn.started, _named(outcome)))
            if isinstance(outcome, Answered):
                turn.answered, turn.answer = time.monotonic(), outcome.text
                self.counts["answered"] += 1
                self.counts["replayed"] += outcome.replayed
                self.counts["answered by key, asked more than once"] += bool(state.key and state.repeats)
                return
            self._consider(state, outcome)
            time.sleep(self._chance.uniform(0, 0.2))
        self.counts["given up"] += 1

    def _headers(self, state: _Request) -> dict[str, str]:
        headers = {"Idempotency-Key": state.key} if state.key else {}
        # With a key it is superfluous and does no harm; SDKs send both.
        if state.repeats and (self._chance.random() < 0.5 if state.key else self._alone):
            headers["x-stainless-retry-count"] = str(state.repeats)
        return headers

    def _consider(self, state: _Request, outcome: Failed | Broken) -> None:
        """Decide whether to ask again."""
        match outcome:
            case Broken("refused"):
                return
            case Broken(how):
                self.counts[how] += 1
                state.unsure = True
                state.over = how == "aborted" and self._chance.random() < 0.3
            case Failed(status, code):
                self.counts[f"{status} {code}"] += 1
                # Who asks for a key hears of the run that has it.
                state.unsure = not outcome.certain or (state.unsure and not state.key)
                # The turn is there, and its answer isn't: it will not be run again.
                state.over = code == "idempotent_answer_not_kept"
        state.over |= state.unsure and not self._alone and not state.key
        if not state.over:
            state.repeats += 1
            self.counts["retries"] += 1

    def _attempt(self, port: int, body: dict[str, Any], headers: dict[str, str], events: int | None) -> Outcome:
        """Ask once, and go away after so many events (or while waiting, without streaming) if there is a number."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ATTEMPT_SECONDS)
        try:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return Broken("refused")
            return ask(connection, self.key, body, headers, events, self._chance)
        except TimeoutError:
            return Broken("timeout")
        except (OSError, http.client.HTTPException):
            return Broken("connection lost")
        finally:
            connection.close()


def _named(outcome: Outcome) -> str:
    match outcome:
        case Answered():
            return "answered"
        case Failed(_, code):
            return code
        case Broken(how):
            return how


def ask(
    connection: http.client.HTTPConnection,
    key: str,
    body: dict[str, Any],
    headers: dict[str, str],
    events: int | None,
    chance: random.Random,
) -> Outcome:
    """Send a request and read its answer, or the first so many events of it."""
    fixed = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "x-zero-session-key": key}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {**fixed, **headers})
    if events is not None and not body["stream"]:
        time.sleep(chance.uniform(0, 0.2))
        return Broken("aborted")
    response = connection.getresponse()
    replayed = response.getheader("Idempotent-Replayed") == "true"
    if response.status == 200 and body["stream"]:
        return _read_stream(response, events, replayed)
    answer = json.loads(response.read())
    if response.status != 200:
        return Failed(response.status, str(answer["error"].get("code")))
    return Answered(answer["choices"][0]["message"]["content"], replayed)


def _read_stream(response: http.client.HTTPResponse, events: int | None, replayed: bool) -> Outcome:
    text, reason = "", None
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        if events is not None:
            if not events:
                return Broken("aborted")
            events -= 1
        if line.strip() == b"data: [DONE]":
            return Answered(text, replayed) if reason else Broken("done without a reason")
        payload = json.loads(line[6:])
        if "error" in payload:
            return Failed(200, str(payload["error"].get("code")))
        for choice in payload["choices"]:
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
    # docs/sessions.md: a client that has seen `finish_reason` can rely on it.
    return Answered(text, replayed) if reason else Broken("stream cut")
