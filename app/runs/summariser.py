"""Asking a model for a summary: the question, how long it is listened to, and what counts as an answer.

Knows nothing of what summaries are for or where they are kept. Words: ``summary_prompt``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.config import ModelRef, SessionCompaction, model_ref
from app.contract.models import CreateChatCompletionRequest
from app.errors import EngineFailed
from app.runs.answer import Answer
from app.runs.context_window import budget
from app.runs.event import Event
from app.runs.job import Job
from app.runs.quotation import bounded, excerpt
from app.runs.summary_prompt import asking, section_tokens
from app.runs.token_count import added, size
from app.runs.turn import Turn
from app.sessions.message import Message

if TYPE_CHECKING:
    from app.runs.asking import Listener

Drive = Callable[[Turn, ModelRef, Answer, "Listener"], Awaitable[None]]
"""Has an engine answer a turn; raises ``GatewayError`` if it fails, and what the listener raises."""

_LEAST_ROOM: Final = 128
"""Tokens of a conversation that a question must have room for."""
_LETTERS: Final = 5
"""Letters per token beyond which a model isn't listened to any longer."""


class Summariser:
    """A model that sums up for one run.

    Args:
        job: The run.
        settings: Which model, and how to ask it.
        model: Who is to answer the run's turn, and sums up where no other is named.
        largest: How many tokens a summary's section may have.
        room: What that model has room for; it counts for another one of which that isn't known.
        answer: The run's; what summaries cost is added to its ``spent``.
        drive: Has engines answer.

    Attributes:
        by: The model.
        seconds: How long it may take for all it is asked.
    """

    def __init__(
        self,
        job: Job,
        settings: SessionCompaction,
        model: ModelRef,
        largest: int,
        room: int,
        answer: Answer,
        drive: Drive,
    ) -> None:
        self.by = model if settings.model is None else model_ref(settings.model)
        limit = min(job.target.agent.timeout_seconds, job.time_limit or float("inf"))
        self.seconds = min(settings.timeout_seconds, limit / 2)  # the answer needs time, too
        self._job = job
        self._instructions = settings.instructions
        self._largest = largest
        window = job.target.agent.windows.get(self.by)
        self._room = budget(window, largest) if window is not None else room
        self._answer = answer
        self._drive = drive

    async def sum_up(self, history: Sequence[Message], before: str | None, begin: int, until: int) -> tuple[str, int]:
        """Have the model sum up as much as it has room for.

        Args:
            history: The conversation.
            before: The summary of what comes before ``begin``, if there is one.
            begin: Where to begin.
            until: Where to end at the latest.

        Returns:
            The summary, of both, and how far it goes.

        Raises:
            GatewayError: If there is none.
        """
        messages, end = await asyncio.to_thread(self._question, history, before, begin, until)
        turn = Turn(
            run_id=self._job.run_id,
            agent=self._job.target.agent,
            model=self.by.model,
            messages=messages,
            request=_request(),
            parameters={},
        )
        answer, heard = Answer.to(turn.request, turn.run_id), _Heard(self._largest * _LETTERS)
        try:
            await self._drive(turn, self.by, answer, heard)
            answer.complete()
        except _Enough:
            text = "".join(heard.words)
        else:
            choice = answer.choices()[0]
            if choice.finish_reason == "content_filter" or choice.message.refusal:
                raise EngineFailed("it refused to write one")
            text = choice.message.content or ""
        finally:
            if answer.usage is not None:
                self._answer.spent = added(answer.usage, self._answer.spent)
        text = await asyncio.to_thread(_shortened, text.strip(), self._largest)
        if not text:
            raise EngineFailed("it wrote nothing")
        return text, end

    def _question(
        self, history: Sequence[Message], before: str | None, begin: int, until: int
    ) -> tuple[tuple[Message, ...], int]:
        room = self._room - sum(map(size, asking("", before, self._largest, self._instructions)))
        if room < _LEAST_ROOM:
            raise EngineFailed("it has no room for the conversation")
        text, end = excerpt(history, begin, until, room)
        return asking(text, before, self._largest, self._instructions), end


class _Enough(Exception):
    """Raised when a model has written far more than it was asked for."""


class _Heard:
    """What a model has written so far.

    Args:
        most: The letters after which it is enough.
    """

    def __init__(self, most: int) -> None:
        self.words: list[str] = []
        self._most = most

    async def on_event(self, event: Event) -> None:
        """Take the words."""
        for choice in event.choices:
            if isinstance(choice.delta.content, str):
                self.words.append(choice.delta.content)
                self._most -= len(choice.delta.content)
        if self._most < 0:
            raise _Enough

    async def flush(self) -> None:
        """Do nothing."""


def _shortened(text: str, largest: int) -> str:
    """Return a summary, or its beginning, whose section has no more tokens than that."""
    spare = largest - section_tokens("")
    while text and section_tokens(text) > largest:
        text = bounded(text, spare)
        spare = spare * 9 // 10  # each of its lines costs a little more than itself
    return text


@cache
def _request() -> CreateChatCompletionRequest:
    fields: dict[str, Any] = {"model": "zero", "messages": [{"role": "user", "content": ""}]}
    return msgspec.convert(fields, CreateChatCompletionRequest)
