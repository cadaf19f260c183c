"""``createChatCompletion``: the handler, streamed and not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig
from app.errors import GatewayError, InternalError
from app.http.body import read_json_body
from app.http.caller import caller_of
from app.http.chat_request import decode_request, job_of, large_job, target_of
from app.http.completion import written_completion
from app.http.departure import departure_of
from app.http.disconnect import ClientDisconnected, until_disconnect
from app.http.edge import add_headers, identify, note_revision, request_id_of
from app.http.event_stream import EventStream
from app.http.idempotency_key import idempotency_key
from app.http.keyed_answers import KeyedAnswers
from app.http.rate_limit_headers import rate_limit_headers
from app.http.request_headers import RequestHeaders
from app.http.response import send_response
from app.large.aside import LARGE, aside
from app.log import logger
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.run import Runs
from app.security.allowance import Allowances
from app.security.named_key import who
from app.sessions.idempotency import IdempotencyRecords

_log = logger("zero.http")


class ChatCompletions:
    """Answers chat completions with runs.

    Args:
        runs: Executes them.
        current: Returns the configuration in force.
        records: Keeps what was answered under which ``Idempotency-Key``.
        allowances: Knows what API keys may use.
    """

    def __init__(
        self, runs: Runs, current: Callable[[], LoadedConfig], records: IdempotencyRecords, allowances: Allowances
    ) -> None:
        self._runs = runs
        self._allowances = allowances
        self._current = current
        settings = current().config.gateway.http.endpoints.chat_completions
        self._keyed = KeyedAnswers(runs, records, settings.idempotency_seconds)

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, run it, answer.

        Raises:
            GatewayError: As long as nothing has been sent; the application renders it.
        """
        snapshot = self._current()
        note_revision(scope, snapshot.revision)
        settings = snapshot.config.gateway.http.endpoints.chat_completions
        headers = RequestHeaders(scope["headers"])
        try:
            body = await read_json_body(headers, receive, settings.max_body_bytes)
            caller = caller_of(scope)
            allowance = self._allowances.of(caller)
            if len(body) <= LARGE:
                request = decode_request(body)
                target = target_of(request, headers, snapshot, settings, caller)
                job = job_of(request, body, headers, target, allowance, who(caller))
            else:
                job = await aside(large_job, body, headers, snapshot, settings, caller, allowance)
                request, target = job.request, job.target
            if allowance is not None:
                add_headers(scope, partial(rate_limit_headers, allowance))
            key = idempotency_key(headers, caller)
            identify(scope, agent_id=target.agent.id, session_key=target.session_key, run_id=job.run_id)
            if key is not None:
                await self._keyed.answer(key, job, body, scope, receive, send, settings.keepalive_seconds)
            elif request.stream:
                del body, headers, request, target  # a stream may be open for long
                await self._stream(job, scope, receive, send, settings.keepalive_seconds)
            else:
                answer = await until_disconnect(receive, self._runs.execute(job), departure_of(scope))
                await send_response(send, 200, await written_completion(job, answer), headers=_origin(answer))
        except ClientDisconnected:
            _log.info("request %s: the client went away", request_id_of(scope))

    def stop_following(self) -> None:
        """Wait no more for runs of other processes."""
        self._keyed.stop_following()

    async def drained(self, seconds: float) -> None:
        """Wait until none of the runs that go on without a client is under way any more, or the time is up."""
        await self._keyed.drained(seconds)

    async def close(self) -> None:
        """Stop the runs that go on without a client."""
        await self._keyed.close()

    async def _stream(self, job: Job, scope: Scope, receive: Receive, send: Send, keepalive: float) -> None:
        stream = EventStream.to(job, send, keepalive)
        try:
            work = self._runs.execute(job, stream)
            await stream.complete(await until_disconnect(receive, work, departure_of(scope)))
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


def _origin(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers that say where an answer's parts come from, if not from this run's engine."""
    headers = [("x-zero-usage", "estimated")] if answer.estimated else []
    return [*headers, ("idempotent-replayed", "true")] if answer.replayed else headers
