"""``n`` choices from a service that gives one at a time: what is missing is asked for in further requests.

Found out rather than configured: which models honour ``n`` is documented nowhere, and changes. A service has ignored
``n`` when its answer ended in good order with choices missing, and refused it when it says so of the parameter ``n``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import UNSET

from app.contract.models import CompletionTokensDetails, CompletionUsage
from app.errors import InvalidRequest
from app.runs.event import Event
from app.runs.turn import Turn

AT_ONCE: Final = 4
"""Requests of one run that are under way at a time."""

Ask: TypeAlias = Callable[[Turn], AsyncIterator[Event]]

_Said: TypeAlias = Event | Exception | None
"""An event, why there will be none any more, or that all is said."""


async def every_choice(turn: Turn, ask: Ask, one_only: set[str]) -> AsyncIterator[Event]:
    """Answer a turn that wants several choices.

    Args:
        turn: The turn.
        ask: Sends one request and yields what it is answered.
        one_only: Models that gave one choice when they were asked for more. Grows.

    Raises:
        GatewayError: What any of the requests ended with; the others are given up then.
    """
    wanted = frozenset(range(turn.choices))
    begun: set[int] = set()
    ended: set[int] = set()
    usage: CompletionUsage | None = None
    if turn.model not in one_only:
        try:
            async with aclosing(cast("AsyncGenerator[Event, None]", ask(turn))) as events:
                async for event in events:
                    begun.update(choice.index for choice in event.choices)
                    ended.update(choice.index for choice in event.choices if choice.finish_reason is not None)
                    usage = event.usage or usage
                    yield event
        except InvalidRequest as error:
            if error.param != "n" or begun:
                raise
            one_only.add(turn.model)
        else:
            if begun != ended or not ended or ended >= wanted:
                return  # complete; or broken off, which isn't for us to mend
            one_only.add(turn.model)
            yield Event()  # the last one promised more at once, which is not so any longer: what was said may go out
    counts = [usage] if usage is not None else []
    async with aclosing(_together([_single(turn, index) for index in sorted(wanted - ended)], ask, counts)) as more:
        async for event in more:
            yield event
    if counts:
        yield Event(usage=_total(counts))


def _single(turn: Turn, index: int) -> tuple[int, Turn]:
    """Return the turn of a choice alone. The same seed would give every choice the same words: each gets its own."""
    parameters = {name: value for name, value in turn.parameters.items() if name != "n"}
    seed = msgspec.json.decode(msgspec.json.encode(parameters.get("seed")))
    if index and isinstance(seed, int):
        parameters["seed"] = seed + index
    request = msgspec.structs.replace(turn.request, n=UNSET)
    return index, msgspec.structs.replace(turn, request=request, parameters=parameters)


async def _together(
    turns: Iterable[tuple[int, Turn]], ask: Ask, counts: list[CompletionUsage]
) -> AsyncGenerator[Event, None]:
    """Yield the events of several requests as they come, each request's as those of its choice."""
    # Room for one: a reader who is slow holds all of them back.
    said: asyncio.Queue[_Said] = asyncio.Queue(1)
    places = asyncio.Semaphore(AT_ONCE)

    async def answer(index: int, turn: Turn) -> None:
        usage: CompletionUsage | None = None
        try:
            async with places, aclosing(cast("AsyncGenerator[Event, None]", ask(turn))) as events:
                async for event in events:
                    usage = event.usage or usage
                    if _as_choice(event, index):
                        await said.put(event)
            if usage is not None:
                counts.append(usage)
            await said.put(None)
        except Exception as error:
            await said.put(error)

    tasks = [asyncio.create_task(answer(index, turn), name=f"{turn.run_id}/{index}") for index, turn in turns]
    try:
        waiting = len(tasks)
        while waiting:
            event = await said.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                waiting -= 1
            else:
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _as_choice(event: Event, index: int) -> bool:
    """Make an event about choice 0 one about another, and return whether it says anything about it."""
    event.choices = [choice for choice in event.choices if choice.index == 0]
    for choice in event.choices:
        choice.index = index
    event.usage = None
    event.more = False  # another request's event may come in between
    if event.extra is not None:
        beside = event.extra.choices.get(0)
        event.extra.choices = {index: beside} if beside is not None else {}
        event.extra.usage = {}
    return bool(event.choices or event.extra is not None)


def _total(counts: list[CompletionUsage]) -> CompletionUsage:
    """Add up as the API does for ``n``: the prompt once, what was written for each choice."""
    first, *others = counts
    total: CompletionUsage = msgspec.structs.replace(first)
    details: dict[str, Any] = msgspec.to_builtins(first.completion_tokens_details or CompletionTokensDetails())
    for usage in others:
        total.completion_tokens += usage.completion_tokens
        for name, value in msgspec.to_builtins(usage.completion_tokens_details or CompletionTokensDetails()).items():
            details[name] = details.get(name, 0) + value
    total.completion_tokens_details = msgspec.convert(details, CompletionTokensDetails) if details else UNSET
    total.total_tokens = total.prompt_tokens + total.completion_tokens
    return total
