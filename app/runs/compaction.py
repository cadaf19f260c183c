"""Long sessions with a summary in the place of what is left out: kept, used again, and carried on by a model.

Whatever goes wrong here, the run goes on: with an older summary if there is one, else with none. Knows when to ask and
what becomes of the answer; the rule is ``compaction_cut``, the asking is ``summariser``. Source: docs/sessions.md,
"Compaction".
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final, NamedTuple

from app.config import ModelRef, Session
from app.errors import GatewayError
from app.log import logger
from app.runs.answer import Answer
from app.runs.compaction_cut import CompactionRule, Cut, places
from app.runs.context_window import Cost
from app.runs.job import Job
from app.runs.past import Past
from app.runs.sizing import Conversation
from app.runs.summariser import Drive, Summariser
from app.runs.summary_prompt import section_tokens, with_section
from app.sessions.history import Spoken
from app.sessions.message import Message
from app.sessions.store import StoreError
from app.sessions.summary import SessionSummaries, Summary

_log = logger("zero.runs")

SHARE: Final = 4
"""A summary has no more than this fraction of the prompt's room,"""
LARGEST: Final = 2_000
"""nor more tokens than that,"""
SMALLEST: Final = 128
"""and where it could only have fewer than that, there is none."""
REST_SECONDS: Final = 60.0
"""For how long no summary is asked for in a session after one has failed, so that not every turn has to wait for it."""
_RESTING: Final = 1_000


class _Plan(NamedTuple):
    """How a conversation is to be cut.

    Attributes:
        ids: What the messages of the history are called.
        base: The best summary there is, and how many of them it tells of.
        found: A summary that will do, with its cut.
        wanted: The cut for a new one.
    """

    ids: Sequence[str]
    base: tuple[Summary | None, int]
    found: tuple[Summary, Cut] | None
    wanted: Cut | None


class Compaction:
    """Puts summaries in the place of what is left out.

    Args:
        summaries: Where they are kept.
        settings: Returns the configuration's ``session`` in force.
        drive: Has engines answer.
        cost: Returns a message's tokens; called by other threads.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        summaries: Callable[[], SessionSummaries],
        settings: Callable[[], Session],
        drive: Drive,
        cost: Cost,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._summaries = summaries
        self._settings = settings
        self._drive = drive
        self._cost = cost
        self._clock = clock
        self._rests: OrderedDict[str, float] = OrderedDict()

    async def fitted(
        self, job: Job, model: ModelRef, conversation: Conversation, room: int, answer: Answer
    ) -> tuple[Message, ...] | None:
        """Return a conversation that has a summary in the place of its beginning.

        Args:
            job: The run.
            model: Who is to answer.
            conversation: One that is too long for it, of a session.
            room: How many tokens that model has room for.
            answer: What the summary costs is added to its ``spent``.

        Returns:
            What the model is to be told, or ``None`` if there is no summary to tell it.
        """
        past = conversation.past
        largest = min(room // SHARE, LARGEST)
        if past is None or largest < SMALLEST:
            return None
        known = await self._known(past.session_key)
        plan = await asyncio.to_thread(self._plan, past, conversation, known, room, largest)
        if plan.found is not None:
            return _told(conversation, *plan.found)
        if plan.wanted is None:
            return None
        summary, told = plan.base
        if not self._rests_at(past.session_key):
            settings = self._settings().compaction
            summariser = Summariser(job, settings, model, largest, room, answer, self._drive)
            span = (plan.ids, told, plan.wanted.tail)
            summary = await self._carried_on(summariser, conversation.history, past.session_key, summary, *span)
        if summary is None or await asyncio.to_thread(section_tokens, summary.text) > largest:
            return None
        return _told(conversation, summary, plan.wanted)

    async def _known(self, session_key: str) -> list[Summary]:
        try:
            return await self._summaries().read(session_key)
        except StoreError as error:
            _log.warning("the summaries of session %s can't be read: %s", session_key, error)
            return []

    def _plan(self, past: Past, conversation: Conversation, known: Sequence[Summary], room: int, largest: int) -> _Plan:
        ids = past.ids(conversation.history)
        usable = [(known[place], told) for place, told in places(ids, [summary.upto for summary in known])]
        history = conversation.history
        rule = CompactionRule(
            conversation.system,
            history,
            conversation.new,
            room,
            largest,
            pinned_turns=self._settings().pinned_turns,
            cost=self._cost,
            totals=history.totals("tokens") if isinstance(history, Spoken) else None,
        )
        fits = rule.with_one_of([(told, section_tokens(summary.text)) for summary, told in usable])
        wanted = rule.anew() if fits is None else None
        bases = [(summary, told) for summary, told in usable if wanted is not None and told <= wanted.tail]
        base = max(bases, key=lambda one: one[1], default=(None, 0))
        return _Plan(ids, base, None if fits is None else (usable[fits[0]][0], fits[1]), wanted)

    async def _carried_on(
        self,
        summariser: Summariser,
        history: Sequence[Message],
        key: str,
        summary: Summary | None,
        ids: Sequence[str],
        told: int,
        until: int,
    ) -> Summary | None:
        """Have a summary carried on up to a place, or as far as it goes; return the last one there is."""
        by, seconds = summariser.by, summariser.seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                while told < until:
                    before = summary.text if summary is not None else None
                    text, told = await summariser.sum_up(history, before, told, until)
                    summary = Summary(ids[told - 1], text, str(by), time())
                    await self._keep(key, summary)
        except TimeoutError:
            if not deadline.expired():
                raise
            self._rest(key)
            _log.warning("session %s: no summary by %s within %g s", key, by, seconds)
        except GatewayError as error:
            self._rest(key)
            _log.warning("session %s: no summary by %s: %s", key, by, error)
        else:
            self._rests.pop(key, None)
            _log.info("session %s: %s has summed up the first %d messages", key, by, told)
        return summary

    async def _keep(self, session_key: str, summary: Summary) -> None:
        try:
            await self._summaries().keep(session_key, summary)
        except StoreError as error:
            _log.warning("a summary of session %s can't be stored: %s", session_key, error)

    def _rests_at(self, session_key: str) -> bool:
        return self._clock() < self._rests.get(session_key, 0.0)

    def _rest(self, session_key: str) -> None:
        self._rests[session_key] = self._clock() + REST_SECONDS
        self._rests.move_to_end(session_key)
        if len(self._rests) > _RESTING:
            self._rests.popitem(last=False)


def _told(conversation: Conversation, summary: Summary, cut: Cut) -> tuple[Message, ...]:
    system = with_section(conversation.system, summary.text)
    return (*system, *cut.kept(conversation.history), *conversation.new)
