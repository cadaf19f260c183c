"""Metrics for Prometheus, named after OpenTelemetry's conventions for HTTP and generative AI; what those have no word
for begins with ``zero_``.

Labels are from the configuration, the contract and short lists, never from what a client or an upstream writes. What
each is: docs/observability.md. Imported only where metrics are switched on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from time import perf_counter
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.config import Standing
from app.telemetry.facts import CallFacts, RequestFacts, RunFacts

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder in which several processes count together."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_ENGINE_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_SECONDS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_SHORT_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_TOKENS: Final = tuple(4**power for power in range(14))
_AGENT: Final = "gen_ai_agent_id"
_MODEL: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_CHAT: Final = "chat"
_NO_PROCESS: Final = re.compile(rb"^zero_config_info\{[^}\n]*\} 0\.0\n", re.MULTILINE)
"""A configuration that no process has in force any more."""


disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own omission
# When each series began: as many lines again, which hardly anybody asks for


class Level:
    """How full things are: what a sample of the gauges shows."""

    __slots__ = ("agent_queue", "requests", "runs", "session_queue", "streams", "websockets")

    def __init__(
        self, requests: int, runs: int, streams: int, websockets: int, session_queue: int, agent_queue: int
    ) -> None:
        self.requests = requests
        self.runs = runs
        self.streams = streams
        self.websockets = websockets
        self.session_queue = session_queue
        self.agent_queue = agent_queue


class Metrics:
    """Counts and measures. A ``Sink``.

    Args:
        level: Returns how full things are in this process.
        standing: Returns how its configuration stands.
    """

    def __init__(self, level: Callable[[], Level], standing: Callable[[], Standing]) -> None:
        self._level = level
        self._standing = standing
        self._revision = ""
        self._shared = SHARED in os.environ
        own = self.registry = CollectorRegistry()
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=_SECONDS,
            registry=own,
        )
        self._overhead = Histogram(
            "zero_request_overhead_seconds",
            "The gateway's own part of it: without waiting for engines, for a turn in a queue, or for the client.",
            ("http_route",),
            buckets=_SHORT_SECONDS,
            registry=own,
        )
        self._runs = Counter("zero_runs", "Runs that are over, by outcome.", (_AGENT, "outcome"), registry=own)
        self._run_seconds = Histogram(
            "gen_ai_server_request_duration_seconds",
            "How long runs took, queues included.",
            ("gen_ai_operation_name", _AGENT, "outcome"),
            buckets=_ENGINE_SECONDS,
            registry=own,
        )
        self._first = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a run's beginning to the first that an engine said.",
            ("gen_ai_operation_name", _AGENT),
            buckets=_FIRST_SECONDS,
            registry=own,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of runs that were answered.",
            (*_MODEL, _AGENT, "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=own,
        )
        self._calls = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "How long engines took to answer; error_type is empty where nothing went wrong.",
            (*_MODEL, "error_type"),
            buckets=_ENGINE_SECONDS,
            registry=own,
        )
        self._errors = Counter(
            "zero_upstream_errors",
            "Answers that a provider failed or refused to give, by the HTTP status that this means.",
            ("gen_ai_provider_name", "error_type"),
            registry=own,
        )
        self._lag = Histogram(
            "zero_event_loop_lag_seconds",
            "How much later than due the event loop gets to what it has to do.",
            buckets=_SHORT_SECONDS,
            registry=own,
        )
        self._active = self._gauge("http_server_active_requests", "HTTP requests under way.")
        self._runs_active = self._gauge("zero_runs_active", "Runs under way, those that wait included.")
        self._waiting = self._gauge("zero_runs_waiting", "Runs that wait for a turn in this process.", "queue")
        self._streams = self._gauge("zero_open_streams", "Streams to clients that are open.", "protocol")
        self._config = self._gauge("zero_config_info", "Processes that have this configuration in force.", "revision")
        self._reload = self._gauge(
            "zero_config_last_reload_successful",
            "Whether the configuration's files could be used when they were last read.",
            mode="livemin",
        )
        self._reloaded = self._gauge(
            "zero_config_last_reload_success_timestamp_seconds",
            "When the configuration's files were last found to be usable.",
            mode="livemin",
        )
        self._late = self._gauge(
            "zero_config_restart_needed", "Whether something was changed that needs a restart.", mode="livemax"
        )
        if not self._shared:
            ProcessCollector(registry=own)

    def _gauge(
        self, name: str, words: str, *labels: str, mode: Literal["livesum", "livemin", "livemax"] = "livesum"
    ) -> Gauge:
        return Gauge(name, words, labels, registry=self.registry, multiprocess_mode=mode)

    def request_over(self, request: RequestFacts) -> None:
        """See ``Sink``. A client that left before it was answered has the status 499, as nginx calls it."""
        seconds = request.seconds
        self._requests.labels(request.method, request.route, str(request.status or 499)).observe(seconds)
        overhead = request.overhead(seconds)
        if overhead is not None:
            self._overhead.labels(request.route).observe(overhead)

    def run_over(self, run: RunFacts) -> None:
        """See ``Sink``."""
        agent = run.job.target.agent.id
        self._runs.labels(agent, run.outcome).inc()
        self._run_seconds.labels(_CHAT, agent, run.outcome).observe(perf_counter() - run.began)
        if run.first_chunk is not None:
            self._first.labels(_CHAT, agent).observe(run.first_chunk - run.began)
        answer = run.answer
        if answer is not None and answer.usage is not None and not answer.replayed:
            model = answer.model
            labels = (_CHAT, model.provider, model.model) if model is not None else (_CHAT, "", "")
            self._tokens.labels(*labels, agent, "input").observe(answer.usage.prompt_tokens)
            self._tokens.labels(*labels, agent, "output").observe(answer.usage.completion_tokens)

    def call_over(self, call: CallFacts) -> None:
        """See ``Sink``."""
        model = call.model
        self._calls.labels(_CHAT, model.provider, model.model, call.error_type).observe(perf_counter() - call.began)
        if call.upstream_failed:
            self._errors.labels(model.provider, call.error_type).inc()

    def sample(self, lag: float) -> None:
        """Note how late the event loop is, in seconds, and how full things are."""
        self._lag.observe(max(lag, 0.0))
        self.measure()

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format: of all processes where several count together."""
        self.measure()
        if not self._shared:
            return generate_latest(self.registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)  # type: ignore[no-untyped-call]  # the library's own omission
        return _NO_PROCESS.sub(b"", generate_latest(every))

    def measure(self) -> None:
        """Note how full things are, and how the configuration stands."""
        level = self._level()
        self._active.set(level.requests)
        self._runs_active.set(level.runs)
        self._waiting.labels("session").set(level.session_queue)
        self._waiting.labels("agent").set(level.agent_queue)
        self._streams.labels("sse").set(level.streams)
        self._streams.labels("websocket").set(level.websockets)
        standing = self._standing()
        if standing.revision != self._revision:
            if self._shared and self._revision:  # what several processes share has no way to take a label out
                self._config.labels(self._revision).set(0)
            elif self._revision:
                self._config.remove(self._revision)
            self._revision = standing.revision
        self._config.labels(standing.revision).set(1)
        self._reload.set(not standing.mistake)
        self._reloaded.set(standing.read_at)
        self._late.set(bool(standing.waiting))
