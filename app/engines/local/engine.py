"""The local model as an engine: the child process answers like any upstream, after what it can't do is refused.

What llama.cpp with this model does with each parameter was measured; docs/engines.md has the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, cast

from app.config import CircuitBreaker, Provider, Retry, Timeouts
from app.contract.models import (
    ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestUserMessage,
    CreateChatCompletionRequest,
    CustomToolChatCompletions,
    WebSearchOptions,
)
from app.engines.local.call import CallReader, JsonReader
from app.engines.local.child import SLOTS
from app.engines.local.supervisor import LocalModel, LocalModelError
from app.engines.local.task import Task, task_of
from app.engines.upstream.engine import Endpoint, UpstreamEngine
from app.errors import EngineFailed, InvalidRequest, UnsupportedParameter
from app.runs.event import Event
from app.runs.turn import Turn

if TYPE_CHECKING:
    import aiohttp

# A run may wait for a place and then write for minutes; a child that doesn't answer is the supervisor's.
_SETTINGS: Final = Provider(
    base_url="",
    always_stream=True,
    timeouts=Timeouts(first_byte_seconds=0, idle_seconds=0),
    retry=Retry(attempts=0),
    circuit_breaker=CircuitBreaker(enabled=False),
)


class LocalEngine:
    """Answers with SmolLM2-135M-Instruct on this machine.

    Args:
        session: The HTTP client shared by all engines.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self.model = LocalModel()
        self._warming: asyncio.Task[None] | None = None
        self._upstream = UpstreamEngine("local", self._endpoint, session, _SETTINGS)

    def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``."""
        _check(turn.request)
        return self._answer(turn, task_of(turn))

    def warm_up(self) -> None:
        """Begin loading the model, so that the first turn needn't wait for it. A failure shows at that turn."""
        if self._warming is None:
            self._warming = asyncio.create_task(self._warm(), name="local-model-warm-up")

    async def close(self) -> None:
        """Stop the child process."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait({self._warming})
        await self.model.close()

    async def _warm(self) -> None:
        with suppress(LocalModelError):
            await self.model.endpoint()

    async def _answer(self, turn: Turn, task: Task) -> AsyncIterator[Event]:
        """Ask the model, and put its answer into OpenAI's words."""
        readers: dict[int, CallReader | JsonReader] = {}
        completion = 0
        async with aclosing(cast("AsyncGenerator[Event, None]", self._upstream.run(task.turn))) as events:
            while (event := await _next(events, task.param)) is not None:
                completion = _count(event, completion)
                if not turn.request.top_logprobs:
                    _drop_alternatives(event)
                if task.calls or task.document:
                    for chunk in event.choices:
                        reader = readers.get(chunk.index)
                        if reader is None:
                            reader = readers[chunk.index] = _reader(turn, task, chunk.index)
                        for before in reader.read(chunk):
                            yield before
                yield event

    async def _endpoint(self) -> Endpoint:
        try:
            endpoint = await self.model.endpoint()
        except LocalModelError as error:
            raise EngineFailed(str(error), status=503, code="local_model_unavailable") from error
        # llama.cpp promises to keep a connection alive after a stream and drops it, so no run may inherit one.
        return Endpoint(endpoint.base_url, {"authorization": f"Bearer {endpoint.api_key}", "connection": "close"})


def _reader(turn: Turn, task: Task, index: int) -> CallReader | JsonReader:
    return CallReader(f"call_{turn.run_id[-24:]}_{index}", task.name) if task.calls else JsonReader()


async def _next(events: AsyncGenerator[Event, None], param: str | None) -> Event | None:
    """Return the next event. llama.cpp names no parameter when it can't do with a schema: that is done here."""
    try:
        return await anext(events, None)
    except InvalidRequest as error:
        if param is None or error.param is not None or not any(word in error.message for word in ("schema", "grammar")):
            raise
        raise UnsupportedParameter(f"The local model can't keep to the schema: {error.message}", param=param) from error


def _count(event: Event, completion: int) -> int:
    """Add up what llama.cpp counts for each choice apart. Returns the tokens written until now."""
    if event.usage is not None:
        completion += event.usage.completion_tokens
        event.usage.completion_tokens = completion
        event.usage.total_tokens = event.usage.prompt_tokens + completion
    return completion


def _drop_alternatives(event: Event) -> None:
    """Leave out the less likely tokens, which nobody asked for."""
    for choice in event.choices:
        for token in (choice.logprobs.content or ()) if choice.logprobs else ():
            token.top_logprobs = []


def _check(request: CreateChatCompletionRequest) -> None:
    """Refuse what this model can't do, rather than do half of it.

    Raises:
        UnsupportedParameter: If the request brings custom tools, images, audio or files, wants sound back, a search,
            moderation, or more choices than the model has slots.
    """
    for position, tool in enumerate(request.tools or ()):
        if isinstance(tool, CustomToolChatCompletions):
            raise _unsupported(f"tools[{position}]", "it knows function tools only")
    if (request.n or 1) > SLOTS:
        raise _unsupported("n", f"it gives {SLOTS} choices at most")
    if request.modalities and "audio" in request.modalities:
        raise _unsupported("modalities", "it answers with text only")
    if request.audio:
        raise _unsupported("audio", "it answers with text only")
    if isinstance(request.web_search_options, WebSearchOptions):  # empty ones still ask for a search
        raise _unsupported("web_search_options", "it searches nothing")
    if request.moderation:
        raise _unsupported("moderation", "it judges nothing")
    _check_parts(request)


def _check_parts(request: CreateChatCompletionRequest) -> None:
    for position, message in enumerate(request.messages):
        if isinstance(message, ChatCompletionRequestUserMessage | ChatCompletionRequestAssistantMessage) and isinstance(
            message.content, list
        ):
            for at, part in enumerate(message.content):
                if not isinstance(part, ChatCompletionRequestMessageContentPartText):
                    raise _unsupported(f"messages[{position}].content[{at}]", "it reads text only")


def _unsupported(param: str, why: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"The local model doesn't support {param}: {why}.", param=param)
