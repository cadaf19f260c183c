"""docs/observability.md, "Metrics": there for whom, what is counted, and that strangers' words are no labels."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, Histogram

from app.config import Standing
from app.telemetry.metrics import Level, Metrics
from tests.fakes.script import error
from tests.fakes.upstream import FakeUpstream
from tests.telemetry.watched import CHAT, samples, spoken, value, watched

ON = {"metrics": {"enabled": True}, "logs": {"access": False}}
ROUTE = {"http_route": CHAT, "http_request_method": "POST"}


def test_a_scrape_after_some_work(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Requests, runs, tokens, first chunks, own overhead, upstream errors and levels are all there, as numbers."""

    async def work(client: httpx.AsyncClient) -> str:
        upstream.play(error(500, {"message": "sorry"}), model="prompted")
        assert 200 == (await client.post(CHAT, json=spoken())).status_code
        assert 200 == (await client.post(CHAT, json=spoken(stream=True, user="a"))).status_code
        assert 502 == (await client.post(CHAT, json=spoken("zero:prompted"))).status_code
        return (await client.get("/metrics")).text

    text = watched(tmp_path, upstream, ON, work)

    assert 2 == value(text, "http_server_request_duration_seconds_count", http_response_status_code="200", **ROUTE)
    assert 1 == value(text, "http_server_request_duration_seconds_count", http_response_status_code="502", **ROUTE)
    assert 2 == value(text, "zero_runs_total", gen_ai_agent_id="main", outcome="done")
    assert 1 == value(text, "zero_runs_total", gen_ai_agent_id="prompted", outcome="failed")
    assert 2 == value(text, "gen_ai_server_time_to_first_token_seconds_count", gen_ai_agent_id="main")
    tokens = {"gen_ai_agent_id": "main", "gen_ai_provider_name": "fake", "gen_ai_request_model": "main"}
    assert 2 == value(text, "gen_ai_client_token_usage_count", gen_ai_token_type="output", **tokens)
    assert 0 < value(text, "gen_ai_client_token_usage_sum", gen_ai_token_type="input", **tokens)
    assert 3 == value(text, "zero_request_overhead_seconds_count", http_route=CHAT)
    spent = value(text, "http_server_request_duration_seconds_sum", **ROUTE)
    assert 0 < value(text, "zero_request_overhead_seconds_sum", http_route=CHAT) < spent
    assert 1 == value(text, "zero_upstream_errors_total", gen_ai_provider_name="fake", error_type="502")
    assert 1 == value(text, "http_server_active_requests")
    assert 0 == value(text, "zero_runs_active") + value(text, "zero_runs_waiting") + value(text, "zero_open_streams")


def test_strangers_words_are_no_labels(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Neither paths nor methods, models, users, request ids nor an upstream's error codes are in a label."""
    marked = "m4rked"

    async def work(client: httpx.AsyncClient) -> str:
        upstream.play(error(400, {"message": marked, "code": marked}))
        await client.get(f"/{marked}")
        await client.get(f"/v1/models/{marked}")
        await client.request(marked.upper(), CHAT)
        await client.post(CHAT, json=spoken(marked, user=marked), headers={"x-request-id": marked})
        await client.post(CHAT, json=spoken(f"zero:{marked}"))
        return (await client.get("/metrics")).text

    text = watched(tmp_path, upstream, ON, work)

    assert marked not in text.lower()
    assert {"GET", "POST", "_OTHER"} == {one.labels["http_request_method"] for one in samples(text)
        if one.name == "http_server_request_duration_seconds_count"}  # fmt: skip


def test_who_may_scrape(tmp_path: Path, upstream: FakeUpstream) -> None:
    """The operator may; nobody may without the secret, unless the configuration says so; off is 404 for everybody."""

    async def statuses(client: httpx.AsyncClient) -> tuple[int, int, int]:
        known = await client.get("/metrics")
        client.headers.pop("authorization")
        unknown = await client.get("/metrics")
        return known.status_code, unknown.status_code, (await client.post("/metrics")).status_code

    assert (200, 401, 405) == watched(tmp_path, upstream, ON, statuses)
    assert (200, 200, 405) == watched(tmp_path, upstream, {"metrics": {"enabled": True, "public": True}}, statuses)
    assert (404, 404, 404) == watched(tmp_path, upstream, {}, statuses)


def test_the_format(tmp_path: Path, upstream: FakeUpstream) -> None:
    """It is Prometheus' text format 0.0.4, and the answer says so."""

    async def kind(client: httpx.AsyncClient) -> str:
        return (await client.get("/metrics")).headers["content-type"]

    assert "text/plain; version=0.0.4; charset=utf-8" == watched(tmp_path, upstream, ON, kind)


def test_the_buckets() -> None:
    """Each value is counted where Prometheus' own client counts it, at a bucket's edge and beyond the last, too."""
    plain = CollectorRegistry()
    expected = Histogram(
        "zero_event_loop_lag_seconds",
        "How much later than due the event loop gets to what it has to do.",
        buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        registry=plain,
    )
    metrics = Metrics(lambda: Level(0, 0, 0, 0, 0, 0), lambda: Standing(revision="r", read_at=0.0))
    for seconds in (0.0, 0.0001, 0.0002, 0.00025, 0.3, 2.5, 2.6, 1e9):
        expected.observe(seconds)
        metrics.sample(seconds)
    ours = [one for family in metrics.registry.collect() for one in family.samples if "lag" in one.name]

    assert [one for family in plain.collect() for one in family.samples] == ours
