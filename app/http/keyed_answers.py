"""The answers to requests with an ``Idempotency-Key``: of a run that others may join, live or stored, streamed or not.

Owns what goes over HTTP; which run a key stands for is ``keyed_runs``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from litestar.types import Receive, Send

from app.errors import AnswerNotKept, GatewayError
from app.http.answer_log import AnswerLog, LogReader
from app.http.completion import written_completion
from app.http.departure import departure_of
from app.http.disconnect import until_disconnect
from app.http.edge import identify
from app.http.error_response import error_body
from app.http.event_stream import DONE, HEADERS, KEEPALIVE, REPLAYED, EventStream, frame
from app.http.idempotency_key import digest_of
from app.http.keyed_runs import KeyedRun, KeyedRuns, Perform
from app.http.response import send_last, send_response
from app.large.aside import LARGE, aside_if
from app.runs.job import Job
from app.runs.run import Runs
from app.sessions.idempotency import Claimant, IdempotencyRecords, KeptAnswer

_REPLAYED: Final = ("idempotent-replayed", "true")
_ESTIMATED: Final = ("x-zero-usage", "estimated")


class KeyedAnswers:
    """Answers requests that have a key.

    Args:
        runs: Executes them.
        records: Keeps the answers.
        seconds: For how long.
    """

    def __init__(self, runs: Runs, records: IdempotencyRecords, seconds: float) -> None:
        self._runs = runs
        self._keyed = KeyedRuns(records, seconds, runs.arrivals)

    async def answer(
        self, key: str, job: Job, body: bytes, scope: Any, receive: Receive, send: Send, keepalive: float
    ) -> None:
        """Answer a request. When its client goes away, the run goes on.

        Raises:
            GatewayError: As long as nothing has been sent.
            ClientDisconnected: If the client has gone.
        """
        perform = self._streamed if job.request.stream else self._whole
        answering = self._answer(key, job, body, scope, send, keepalive, perform)
        await until_disconnect(receive, answering, departure_of(scope))

    def stop_following(self) -> None:
        """Wait no more for what other processes run."""
        self._keyed.stop_following()

    async def drained(self, seconds: float) -> None:
        """Wait until none of the runs here is under way any more, or the time is up."""
        await self._keyed.drained(seconds)

    async def close(self) -> None:
        """Stop what is under way."""
        await self._keyed.close()

    async def _answer(
        self, key: str, job: Job, body: bytes, scope: Any, send: Send, keepalive: float, perform: Perform
    ) -> None:
        asked = await aside_if(len(body) > LARGE, digest_of, job, body)
        run, joined = await self._keyed.take(key, job, asked, perform)
        if run.record is not None:
            await _send_kept(scope, send, run.record.answer, streamed=bool(job.request.stream))
            return
        _identify(scope, run.claimant)
        if not job.request.stream:
            answer = await run.outcome()
            _identify(scope, answer)
            await _send_whole(send, answer, joined or run.repeats)
            return
        if not run.log.whole:
            raise AnswerNotKept
        with run.log.reader() as reader:
            await _Relay(send, reader, keepalive, lambda: joined or run.repeats).pass_on(run)

    async def _whole(self, job: Job, _log: AnswerLog) -> KeptAnswer:
        answer = await self._runs.execute(job)
        return _kept(job, await written_completion(job, answer), estimated=answer.estimated)

    async def _streamed(self, job: Job, log: AnswerLog) -> KeptAnswer:
        stream = EventStream.to(job, log.send, keepalive=0)
        try:
            await stream.complete(await self._runs.execute(job, stream))
        except Exception:
            await stream.flush()  # what was wrong is each client's end of the stream, and not the log's
            raise
        finally:
            await stream.close()
        return _kept(job, log.content(), estimated=False)


class _Relay:
    """Passes a log on to a client, with keepalives of its own."""

    def __init__(self, send: Send, reader: LogReader, keepalive: float, repeats: Callable[[], bool]) -> None:
        self._send = send
        self._reader = reader
        self._keepalive = keepalive or None
        self._repeats = repeats
        self._started = False

    async def pass_on(self, run: KeyedRun) -> None:
        """Write everything there is and will be.

        Raises:
            GatewayError: If the run failed before anything was written.
        """
        while (data := await self._next()) != b"":
            await self._write(data)
        try:
            await run.outcome()
        except GatewayError as error:
            if not self._started:
                raise
            await self._write(frame(error_body(error)) + DONE)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._keepalive):
                return await self._reader.next()
        except TimeoutError:
            return KEEPALIVE

    async def _write(self, data: bytes) -> None:
        if not self._started:
            self._started = True
            headers = [*HEADERS, REPLAYED] if self._repeats() else list(HEADERS)
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


def _identify(scope: Any, run: Claimant | KeptAnswer) -> None:
    identify(scope, agent_id=run.agent_id, session_key=run.session_key, run_id=run.run_id)


def _kept(job: Job, body: bytes | None, *, estimated: bool) -> KeptAnswer:
    target = job.target
    return KeptAnswer(job.run_id, target.agent.id, target.session_key, estimated, body)


async def _send_whole(send: Send, answer: KeptAnswer, repeated: bool) -> None:
    assert answer.body is not None, "a run that has just ended has its answer"
    headers = [*([_ESTIMATED] if answer.estimated else []), *([_REPLAYED] if repeated else [])]
    await send_response(send, 200, answer.body, headers=headers)


async def _send_kept(scope: Any, send: Send, answer: KeptAnswer, *, streamed: bool) -> None:
    _identify(scope, answer)
    if not streamed:
        await _send_whole(send, answer, repeated=True)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, REPLAYED]})
    await send_last(send, answer.body or b"")
