"""``createChatCompletion``: the handler, streamed and not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time

from litestar.types import Receive, Scope, Send
from msgspec import UNSET

from app.config import LoadedConfig
from app.contract.models import ChatCompletionStreamOptions, CreateChatCompletionResponse
from app.errors import GatewayError, InternalError
from app.http.body import read_json_body
from app.http.chat_request import decode_request, job_of, target_of
from app.http.completion import encode_completion
from app.http.disconnect import ClientDisconnected, until_disconnect
from app.http.edge import identify, request_id_of
from app.http.event_stream import EventStream
from app.http.request_headers import RequestHeaders
from app.http.response import send_response
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.run import Runs

_log = logging.getLogger("zero.http")


class ChatCompletions:
    """Answers chat completions with runs.

    Args:
        runs: Executes them.
        current: Returns the configuration in force.
    """

    def __init__(self, runs: Runs, current: Callable[[], LoadedConfig]) -> None:
        self._runs = runs
        self._current = current

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, run it, answer.

        Raises:
            GatewayError: As long as nothing has been sent; the application renders it.
        """
        snapshot = self._current()
        settings = snapshot.config.gateway.http.endpoints.chat_completions
        headers = RequestHeaders(scope["headers"])
        try:
            body = await read_json_body(headers, receive, settings.max_body_bytes)
            request = decode_request(body)
            target = target_of(request, headers, snapshot, settings)
            job = job_of(request, body, headers, target)
            identify(scope, agent_id=target.agent.id, session_key=target.session_key, run_id=job.run_id)
            if request.stream:
                await self._stream(job, scope, receive, send, settings.keepalive_seconds)
            else:
                answer = await until_disconnect(receive, self._runs.execute(job))
                origin = (("x-zero-usage", "estimated"),) if answer.estimated else ()
                await send_response(send, 200, _completion(job, answer), headers=origin)
        except ClientDisconnected:
            _log.info("request %s: the client went away", request_id_of(scope))

    async def _stream(self, job: Job, scope: Scope, receive: Receive, send: Send, keepalive: float) -> None:
        options = job.request.stream_options
        stream = EventStream(
            send,
            id=_completion_id(job),
            created=int(time()),
            model=job.request.model,
            include_usage=isinstance(options, ChatCompletionStreamOptions) and options.include_usage is True,
            keepalive=keepalive,
        )
        try:
            answer = await until_disconnect(receive, self._runs.execute(job, stream))
            assert answer.usage is not None, "a run counts or estimates"
            beside = answer.extra.usage if answer.extra is not None else None
            await stream.finish(answer.usage, estimated=answer.estimated, extra=beside)
        except GatewayError as error:
            if not stream.started:
                raise
            await stream.fail(error)
        except ClientDisconnected:
            raise
        except Exception as error:
            if not stream.started:
                raise
            request_id = request_id_of(scope)
            _log.error("request %s failed in mid-stream", request_id, exc_info=error)
            await stream.fail(InternalError(request_id))
        finally:
            await stream.close()


def _completion(job: Job, answer: Answer) -> bytes:
    assert answer.usage is not None, "a run counts or estimates"
    return encode_completion(
        CreateChatCompletionResponse(
            id=_completion_id(job),
            created=int(time()),
            model=job.request.model,
            choices=answer.choices(),
            usage=answer.usage,
            service_tier=answer.service_tier if answer.service_tier is not None else UNSET,
            system_fingerprint=answer.system_fingerprint if answer.system_fingerprint is not None else UNSET,
        ),
        answer.extra,
    )


def _completion_id(job: Job) -> str:
    return f"chatcmpl-{job.run_id.removeprefix('run_')}"
