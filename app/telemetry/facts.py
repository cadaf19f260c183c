"""What is noted of a request, a run and an engine's answer while they last, and who is told when they are over."""

from __future__ import annotations

from time import perf_counter
from typing import Final, Literal, Protocol

from app.config import ModelRef
from app.errors import GatewayError, RunAborted, RunTimedOut
from app.log import About
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.turn import Turn

Outcome = Literal["done", "refused", "failed", "aborted", "timed_out", "cancelled"]

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


class RequestFacts:
    """One HTTP request. Times are seconds of ``perf_counter``, durations seconds."""

    __slots__ = ("about", "began", "client_seconds", "first_byte", "method", "route", "run", "status", "streamed")

    def __init__(self, method: str, about: About | None) -> None:
        self.method = method if method in METHODS else "_OTHER"  # as OpenTelemetry has it: a client may write anything
        self.about = about
        self.began = perf_counter()
        self.client_seconds = 0.0
        """Spent on reading from the client and writing to it."""
        self.first_byte: float | None = None
        self.route = ""
        """The contract's path; empty if the request came to none."""
        self.status = 0
        """0 as long as nothing was answered."""
        self.streamed = False
        self.run: RunFacts | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return perf_counter() - self.began

    def overhead(self, seconds: float) -> float | None:
        """Return what the gateway itself took of all the time; ``None`` if it waited for another request's run."""
        if self.run is None:
            return None if self.about is not None and self.about.run else max(seconds - self.client_seconds, 0.0)
        return max(seconds - self.client_seconds - self.run.waited, 0.0)


class RunFacts:
    """One run."""

    __slots__ = ("answer", "began", "error_code", "first_chunk", "job", "outcome", "request_id", "waited")

    def __init__(self, job: Job, request_id: str) -> None:
        self.job = job
        self.request_id = request_id
        self.began = perf_counter()
        self.waited = 0.0
        """Seconds for which it waited in queues and for engines."""
        self.first_chunk: float | None = None
        """When an engine said something for the first time."""
        self.answer: Answer | None = None
        self.outcome: Outcome = "done"
        self.error_code = ""

    def failed(self, error: BaseException) -> None:
        """Note why there is no answer."""
        self.outcome = outcome_of(error)
        if isinstance(error, GatewayError):
            self.error_code = error.code or error.type


class CallFacts:
    """One engine's answer, or its failure."""

    __slots__ = ("agent_id", "answer", "began", "error_type", "first_chunk", "model", "turn", "upstream_failed")

    def __init__(self, turn: Turn, model: ModelRef) -> None:
        self.turn = turn
        self.agent_id = turn.agent.id
        self.model = model
        self.began = perf_counter()
        self.first_chunk: float | None = None
        self.answer: Answer | None = None
        self.error_type = ""
        """An HTTP status or an outcome, empty where nothing went wrong: nothing that an upstream could make up."""
        self.upstream_failed = False

    def failed(self, error: BaseException) -> None:
        """Note why it failed."""
        told = isinstance(error, GatewayError) and not isinstance(error, RunAborted | RunTimedOut)
        self.error_type = str(error.status) if told and isinstance(error, GatewayError) else outcome_of(error)
        self.upstream_failed = told


def outcome_of(error: BaseException) -> Outcome:
    """Return the word for a run that ended with an error."""
    match error:
        case RunAborted():
            return "aborted"
        case RunTimedOut():
            return "timed_out"
        case GatewayError():
            return "failed" if error.status >= 500 else "refused"
        case Exception():
            return "failed"
    return "cancelled"


class Sink(Protocol):
    """Is told what is over."""

    def request_over(self, request: RequestFacts) -> None:
        """Take a request's facts."""
        ...

    def run_over(self, run: RunFacts) -> None:
        """Take a run's facts."""
        ...

    def call_over(self, call: CallFacts) -> None:
        """Take the facts of an engine's answer."""
        ...
