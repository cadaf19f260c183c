"""docs/observability.md, "Logs" and "Audit log": one line for each, with who and what, and nothing that was said."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from app.cli.log_lines import ConsoleLines, JsonLines, formatter
from app.config import ConfigError
from app.log import About, about
from tests.api_keys import entry, secret
from tests.doors.client import chat
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import error
from tests.fakes.upstream import FakeUpstream
from tests.security.served import ServedGateway
from tests.telemetry.watched import CHAT, spoken, watched

SECRET_WORDS = "the launch code is 0000"


class Lines(logging.Handler):
    """Keeps what is written."""

    def __init__(self, form: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(form)
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))


@pytest.fixture
def access() -> Iterator[tuple[Lines, Lines]]:
    """The access lines, as JSON and for people."""
    log = logging.getLogger("zero.access")
    both = Lines(JsonLines()), Lines(ConsoleLines())
    before = log.level
    log.setLevel(logging.INFO)
    for one in both:
        log.addHandler(one)
    yield both
    for one in both:
        log.removeHandler(one)
    log.setLevel(before)


def test_an_access_line(tmp_path: Path, upstream: FakeUpstream, access: tuple[Lines, Lines]) -> None:
    """It says request, run, session, who, status, times and tokens."""

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(CHAT, json=spoken(text=SECRET_WORDS, user="ann b", stream=True))

    reply = watched(tmp_path, upstream, {}, work)
    (line,) = map(json.loads, access[0].written)

    assert reply.headers["x-request-id"] == line["request_id"]
    assert reply.headers["x-zero-run-id"] == line["run_id"]
    assert reply.headers["x-zero-session-key"] == line["session"]
    assert ("operator", "main", "done", 200) == (line["who"], line["agent"], line["outcome"], line["status"])
    assert f"POST {CHAT}" == line["message"]
    assert 0 < line["overhead_ms"] < line["duration_ms"]
    assert 0 < line["first_chunk_ms"] < line["duration_ms"]
    assert 0 < min(line["input_tokens"], line["output_tokens"])
    (shown,) = access[1].written
    assert f"run_id={line['run_id']}" in shown
    assert SECRET_WORDS not in shown + access[0].written[0]


def test_whose_key_it_was(tmp_path: Path, upstream: FakeUpstream, access: tuple[Lines, Lines]) -> None:
    """Who isn't the operator has the name of the key that was shown, in the access line and in the audit log."""
    file = tmp_path / "audit.jsonl"

    async def work(client: httpx.AsyncClient) -> int:
        shown = {"authorization": f"Bearer {secret('shop')}"}
        return (await client.post(CHAT, json=spoken(), headers=shown)).status_code

    settings = {"logs": {"audit": str(file)}, "auth": {"keys": [entry("shop")]}}
    assert 200 == watched(tmp_path, upstream, settings, work)
    (line,) = (json.loads(one) for one in access[0].written)
    assert ["key:shop"] * 2 == [line["who"], json.loads(file.read_text())["who"]]


def test_an_audit_log_that_was_moved_away_is_made_anew(tmp_path: Path, upstream: FakeUpstream) -> None:
    """As logrotate does it, without a signal: what came before stays where it was moved to."""
    file, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"

    async def work(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json=spoken())
        file.rename(moved)
        await client.post(CHAT, json=spoken())

    watched(tmp_path, upstream, {"logs": {"audit": str(file)}}, work)
    assert (1, 1) == (len(moved.read_text().splitlines()), len(file.read_text().splitlines()))


def test_an_audit_log_that_can_not_be_written(tmp_path: Path, upstream: FakeUpstream) -> None:
    """The gateway doesn't start, and says which key of the configuration it is about."""

    async def work(client: httpx.AsyncClient) -> None:
        raise AssertionError("there is no gateway")

    with pytest.raises(ConfigError, match="audit log can't be written") as refused:
        watched(tmp_path, upstream, {"logs": {"audit": str(tmp_path / "nowhere" / "audit")}}, work)
    assert "gateway.logs.audit" in str(refused.value)


def test_a_request_that_comes_to_nothing(tmp_path: Path, upstream: FakeUpstream, access: tuple[Lines, Lines]) -> None:
    """It has its line too, without the path that a stranger made up and without anybody's name."""

    async def work(client: httpx.AsyncClient) -> None:
        await client.get(f"/{SECRET_WORDS}", headers={"authorization": "Bearer wrong"})

    watched(tmp_path, upstream, {}, work)
    (line,) = map(json.loads, access[0].written)

    assert ("GET (no such path)", 404, None) == (line["message"], line["status"], line.get("who"))


def test_no_access_lines_where_they_are_off(
    tmp_path: Path, upstream: FakeUpstream, access: tuple[Lines, Lines]
) -> None:
    """``gateway.logs.access`` switches them off."""

    async def work(client: httpx.AsyncClient) -> None:
        await client.get("/healthz")

    watched(tmp_path, upstream, {"logs": {"access": False}}, work)

    assert [] == access[0].written


def test_the_audit_log(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A line for each run says who, agent, session, tokens and outcome; its file is the owner's only."""
    file = tmp_path / "audit.jsonl"

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        upstream.play(error(429, {"message": SECRET_WORDS}), model="prompted")
        first = await client.post(CHAT, json=spoken(text=SECRET_WORDS, user="ann"))
        return [first, await client.post(CHAT, json=spoken("zero:prompted"))]

    done, failed = watched(tmp_path, upstream, {"logs": {"audit": str(file)}}, work)
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]

    assert [done.headers["x-zero-run-id"], failed.headers["x-zero-run-id"]] == [line["run_id"] for line in lines]
    assert [done.headers["x-request-id"], failed.headers["x-request-id"]] == [line["request_id"] for line in lines]
    assert ["agent:main:openai-user:ann", failed.headers["x-zero-session-key"]] == [line["session"] for line in lines]
    assert [("operator", "main", "done", "fake/main"), ("operator", "prompted", "refused", None)] == [
        (line["who"], line["agent"], line["outcome"], line["model"]) for line in lines
    ]
    assert done.json()["usage"]["prompt_tokens"] == lines[0]["input_tokens"]
    assert done.json()["usage"]["completion_tokens"] == lines[0]["output_tokens"]
    assert SECRET_WORDS not in file.read_text()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_a_record_s_own_words_stay_in_its_line() -> None:
    """Whatever a session is called, the line stays one line, in both forms."""
    token = about.set(About("req_1", session="agent:main:a\nb c\x1b[31m"))
    try:
        record = logging.LogRecord("zero", logging.INFO, "", 0, "hello", None, None)
        shown, line = ConsoleLines().format(record), JsonLines().format(record)
    finally:
        about.reset(token)

    assert shown.endswith('hello  request_id=req_1 session="agent:main:a\\\\nb c\\\\x1b[31m"')
    assert "\n" not in line
    assert "agent:main:a\nb c\x1b[31m" == json.loads(line)["session"]


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("words", ["plain", 'a "b" \\ c', "a\nb\x1b[31m", "w\u00f6rt\u202e\x9b", "half \ud800"])
def test_a_line_without_a_record(form: Literal["console", "json"], words: str) -> None:
    """It says the same as the record would, with the same care for what a stranger named."""
    made, created = formatter(form), 1790000000.0479
    told = About("req_1", "run_1", words, "operator")
    fields: dict[str, Any] = {"status": 200, "duration_ms": 1.25, "outcome": "done"}
    record = logging.LogRecord("zero.access", logging.INFO, "", 0, "POST %s", ("/v1/x",), None)
    record.created, record.fields = created, fields
    token = about.set(told)
    try:
        expected = made.format(record)
    finally:
        about.reset(token)
    line = made.line(created, logging.INFO, "zero.access", "POST /v1/x", {**told.fields(), **fields})

    assert expected == line
    assert line.isascii()
    assert line.isprintable()


def test_every_request_has_its_line_in_the_end(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Lines that were to be written soon are written when the gateway ends (SIGTERM)."""
    with ServedGateway(tmp_path, upstream_configuration(upstream, gateway={"logs": {"format": "json"}})) as gateway:
        statuses = [
            chat(gateway, "x", headers=[("x-request-id", f"r{number}".encode())]).status for number in range(20)
        ]
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    written = [line["request_id"] for line in lines if line["logger"] == "zero.access" and "status" in line]

    assert [200] * 20 == statuses
    assert [f"r{number}" for number in range(20)] == [one for one in written if one.startswith("r") and "_" not in one]
