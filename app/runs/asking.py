"""Having engines answer: an agent's models in their order, each with as much of the conversation as it has room for.

Owns fallbacks, what becomes of an engine's mistakes, and that a slow reader holds an engine back.
Source of the rules: design.md, "The run".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from app.config import AgentProfile, ModelRef, Session
from app.contract.models import CompletionUsage
from app.engines.engine import Engine, steps_of
from app.errors import EngineFailed, GatewayError, InvalidRequest
from app.log import logger
from app.runs.answer import Answer
from app.runs.compaction import Compaction
from app.runs.event import Event
from app.runs.job import Job
from app.runs.legacy_functions import may_call_functions, with_tools
from app.runs.observer import UNWATCHED, watching
from app.runs.sizing import Conversation, Sizing
from app.runs.token_count import added, counted
from app.runs.turn import Turn
from app.sessions.message import Message
from app.sessions.summary import SessionSummaries

_log = logger("zero.runs")

_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})

TOO_LONG = "context_length_exceeded"
"""The code by which a model's engine says that a conversation is more than it has room for."""

_FAIRNESS = 64
"""Events after which a run lets others go first, even if its engine never waits for anything."""


class Listener(Protocol):
    """A door that wants the answer while it grows."""

    async def on_event(self, event: Event) -> None:
        """Pass an event on. Returns when the next may come: this is where a slow reader holds the engine back."""
        ...

    async def flush(self) -> None:
        """Pass on what was kept back for an event announced by ``more``, which turned out to say nothing."""
        ...


class EngineSource(Protocol):
    """Where runs find engines."""

    def engine_for(self, provider: str) -> Engine:
        """Return the engine of a provider that the configuration knows."""
        ...


class Asking:
    """Asks engines.

    Args:
        engines: Where they are.
        settings: Returns the configuration's ``session`` in force.
        summaries: Returns where summaries of sessions are kept.
    """

    def __init__(
        self, engines: EngineSource, settings: Callable[[], Session], summaries: Callable[[], SessionSummaries]
    ) -> None:
        self._engines = engines
        self._settings = settings
        self._sizing = Sizing()
        self._compaction = Compaction(summaries, settings, self._drive, self._sizing.size)

    async def answer(
        self, job: Job, conversation: Conversation, listener: Listener | None
    ) -> tuple[Answer, tuple[Message, ...]]:
        """Have the agent's models answer, one after the other until one does.

        Returns:
            The answer, but for its last events, and what the model that gave it was told.

        Raises:
            InvalidRequest: If an engine refuses the request.
            EngineFailed: If the last model's engine failed, or one that had begun to answer.
        """
        agent = job.target.agent
        models = (agent.model, *agent.fallbacks)
        spent: CompletionUsage | None = None
        for model, fallback in zip(models, (*models[1:], None), strict=True):
            answer = Answer.to(job.request, job.run_id)
            answer.spent = spent
            try:
                told = await self._ask(job, model, conversation, answer, listener)
                answer.complete()
            except EngineFailed as error:
                if fallback is None or answer.begun:
                    _log.warning("run %s: %s failed: %s (%r)", job.run_id, model, error, error.__cause__)
                    raise
                _log.warning("run %s: %s failed (%s); trying %s", job.run_id, model, error, fallback)
                spent = answer.spent if answer.usage is None else added(answer.usage, answer.spent)
            else:
                answer.model = model
                return answer, told
        raise AssertionError("the last model returns or raises")

    async def counted(
        self, answer: Answer, conversation: Conversation, told: Sequence[Message]
    ) -> tuple[CompletionUsage, bool]:
        """Return an answer's usage, as far as its engine didn't count estimated from what it was told.

        Returns:
            The usage, and whether some of it is an estimate.
        """
        return await counted(answer.usage, partial(self._sizing.words_in, conversation, told), answer.texts)

    async def _ask(
        self, job: Job, model: ModelRef, conversation: Conversation, answer: Answer, listener: Listener | None
    ) -> tuple[Message, ...]:
        """Have a model answer what it has room for; return that."""
        agent, pinned = job.target.agent, self._settings().pinned_turns
        parameters = _parameters(agent, job.parameters)
        window = agent.windows.get(model)
        told = cut = await self._sizing.fitted(conversation, window, parameters, pinned)
        calling = may_call_functions(conversation.history) or may_call_functions(conversation.new)
        if conversation.past is not None and window is not None and not conversation.is_all_in(cut):
            room = await self._sizing.room(window, parameters)
            told = await self._compaction.fitted(job, model, conversation, room, answer) or cut
        while True:
            try:
                turn = self._turn(job, model, told, growing=listener is not None, calling=calling)
                await self._drive(turn, model, answer, listener)
                return told
            except InvalidRequest as error:
                # No estimate is the model's own count, and of some models nobody has said what they have room for.
                if error.code != TOO_LONG or answer.begun or not conversation.history:
                    raise
                less = await self._sizing.halved(conversation, cut, pinned)
                if less is None:
                    raise
                _log.info("run %s: %d messages are too long for %s; trying %d", job.run_id, len(told), model, len(less))
                told = cut = less

    async def _drive(self, turn: Turn, model: ModelRef, answer: Answer, listener: Listener | None) -> None:
        blame, watch = _Blame(turn, model), watching.get()
        call = watch.asks(turn, model) if watch is not None else UNWATCHED
        with blame:
            steps = steps_of(self._engines.engine_for(model.provider), turn)
        try:
            seen = 0
            while True:
                call.listens()
                try:
                    step: Event | list[Event] | None = await steps.__anext__()
                except StopAsyncIteration:
                    step = None
                except GatewayError:
                    raise
                except Exception as error:
                    raise blame.failure_of(error) from error
                call.heard()
                if step is None:
                    break
                seen += await self._take(step if isinstance(step, list) else [step], blame, answer, listener)
                del step  # the last words needn't be kept while nothing is said
                if seen >= _FAIRNESS:
                    seen = 0
                    await asyncio.sleep(0)
            call.done(answer)
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            try:
                await steps.aclose()
            except Exception:  # takes no answer back, and must not take the place of what went wrong before it
                _log.exception("run %s: the engine of %s raised while it was closed", turn.run_id, model)

    @staticmethod
    async def _take(events: list[Event], blame: _Blame, answer: Answer, listener: Listener | None) -> int:
        """Take events in and pass them on; return how many there were."""
        for event in events:
            try:
                out = answer.feed(event)
            except GatewayError:
                raise
            except Exception as error:
                raise blame.failure_of(error) from error
            # What the listener raises is the door's own and travels up as it is.
            if listener is None:
                continue
            if out is not None:
                await listener.on_event(out)
            elif not event.more:
                await listener.flush()
        return len(events)

    @staticmethod
    def _turn(job: Job, model: ModelRef, conversation: tuple[Message, ...], *, growing: bool, calling: bool) -> Turn:
        agent = job.target.agent
        turn = Turn(
            run_id=job.run_id,
            agent=agent,
            model=model.model,
            messages=conversation,
            request=job.request,
            parameters=_parameters(agent, job.parameters),
            growing=growing,
        )
        return with_tools(turn, calling=calling)


def _parameters(agent: AgentProfile, sent: Mapping[str, msgspec.Raw]) -> Mapping[str, Any]:
    if not agent.params:
        return sent
    # What a client sends as null counts as not sent, as it does with OpenAI.
    said = {name: value for name, value in sent.items() if bytes(value) != b"null"}
    defaults = dict(agent.params)
    if said.keys() & _LIMITS:
        for name in _LIMITS:
            defaults.pop(name, None)  # two names of one limit: the client's counts
    return {**defaults, **said}


class _Blame:
    """Around what an engine does: what it shouldn't raise becomes its failure, and the log gets the rest."""

    __slots__ = ("_model", "_turn")

    def __init__(self, turn: Turn, model: ModelRef) -> None:
        self._turn = turn
        self._model = model

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GatewayError):
            raise self.failure_of(error) from error

    def failure_of(self, error: Exception) -> EngineFailed:
        """Return what becomes of an engine's mistake."""
        _log.error("run %s: the engine of %s raised", self._turn.run_id, self._model, exc_info=error)
        return EngineFailed("The engine behind the agent failed unexpectedly.", code="engine_error")
