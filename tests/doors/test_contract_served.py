"""design.md, "Endpoint and switch": the operations that are always on, and the request id that every answer has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doors.client import CHAT, ask, chat, post
from tests.live_gateway import LiveGateway

CONTRACT = Path(__file__).resolve().parents[2] / "openapi.yaml"


def test_the_yaml_is_the_file_byte_for_byte(gateway: LiveGateway) -> None:
    """Everybody may read the contract as it was written."""
    reply = ask(gateway, "GET", "/openapi.yaml", token=None)
    assert (reply.status, reply.header("content-type")) == (200, "application/yaml")
    assert reply.body == CONTRACT.read_bytes()


def test_the_json_says_the_same(gateway: LiveGateway) -> None:
    """Everybody may read the contract as JSON, and it means the same."""
    assert ask(gateway, "GET", "/openapi.json", token=None).json == yaml.safe_load(CONTRACT.read_bytes())


def test_the_page_is_the_reference_and_asks_nobody(gateway: LiveGateway) -> None:
    """Everybody may read the contract as a page, which runs nothing and loads nothing, here or elsewhere."""
    reply = ask(gateway, "GET", "/docs", token=None)
    assert (reply.status, reply.header("content-type")) == (200, "text/html; charset=utf-8")
    assert "default-src 'none';" in (reply.header("content-security-policy") or "")
    assert reply.body == (CONTRACT.parent / "app" / "contract" / "reference.html").read_bytes()


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize(
    ("path", "body"), [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})]
)  # fmt: skip
def test_probes_answer_without_a_secret(gateway: LiveGateway, path: str, body: object, token: str | None) -> None:
    """Health and readiness need no secret and don't mind a wrong one."""
    assert ask(gateway, "GET", path, token=token).json == body


class TestWithoutStore:
    """A gateway whose state directory can't be used."""

    @pytest.fixture
    def crippled(self, start_gateway: Callable[..., LiveGateway], tmp_path: Path) -> LiveGateway:
        """A gateway whose state directory is a file."""
        file = tmp_path / "state"
        file.write_text("not a directory")
        return start_gateway(environ={"ZERO_STATE_DIR": str(file)})

    def test_what_needs_no_store_works_and_the_rest_is_503(self, crippled: LiveGateway) -> None:
        """It lives, isn't ready, answers stateless chats, and refuses sessions: with 503 in OpenAI's shape."""
        assert ask(crippled, "GET", "/healthz").json == {"status": "ok"}
        reply = ask(crippled, "GET", "/readyz", token=None)
        assert reply.summary == (503, "session_store_unavailable", None)
        assert chat(crippled, "hello").text == "hello"
        session = chat(crippled, "hello", user="maria")
        assert session.summary == (503, "session_store_unavailable", None)
        assert session.error["type"] == "server_error"

    def test_it_recovers_when_the_directory_can_be_used(self, crippled: LiveGateway, tmp_path: Path) -> None:
        """Once the directory can be used, the gateway is ready without a restart."""
        assert ask(crippled, "GET", "/readyz").status == 503
        (tmp_path / "state").unlink()
        assert ask(crippled, "GET", "/readyz").json == {"status": "ready"}
        assert chat(crippled, "hello", user="maria").text == "hello"


REQUESTS: dict[str, Callable[[LiveGateway, Any], Any]] = {
    "completion": lambda g, h: chat(g, "hello", headers=h),
    "stream": lambda g, h: chat(g, "hello", headers=h, stream=True),
    "400": lambda g, h: post(g, b"{", headers=h),
    "401": lambda g, h: chat(g, "hello", headers=h, token=None),
    "404": lambda g, h: ask(g, "GET", "/nothing", headers=h),
    "404 of a handler": lambda g, h: chat(g, "hello", headers=h, model="zero:nobody"),
    "405": lambda g, h: ask(g, "GET", CHAT, headers=h),
    "415": lambda g, h: ask(g, "POST", CHAT, headers=h, body=b"{}"),
    "models": lambda g, h: ask(g, "GET", "/v1/models", headers=h),
    "model": lambda g, h: ask(g, "GET", "/v1/models/zero", headers=h),
    "health": lambda g, h: ask(g, "GET", "/healthz", headers=h),
    "contract": lambda g, h: ask(g, "GET", "/openapi.yaml", headers=h),
}


class TestRequestId:
    """``x-request-id``, by which a user's complaint and a line of the log find one another."""

    @pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
    def test_every_answer_has_one_of_its_own(
        self, gateway: LiveGateway, request_: Callable[[LiveGateway, Any], Any]
    ) -> None:
        """Every answer, failures included, carries an id, and two answers never the same."""
        first, second = request_(gateway, {}).header("x-request-id"), request_(gateway, {}).header("x-request-id")
        assert first.startswith("req_")
        assert second.startswith("req_")
        assert first != second

    @pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
    def test_a_sane_incoming_one_is_kept(
        self, gateway: LiveGateway, request_: Callable[[LiveGateway, Any], Any]
    ) -> None:
        """A client's own id is given back."""
        assert request_(gateway, {"X-Request-Id": "mine-4711"}).header("x-request-id") == "mine-4711"

    @pytest.mark.parametrize("value", ["a", "x" * 128, "!#$%&'*+-.^_`|~", '{"a":1}'])
    def test_sane_means_up_to_128_printable_characters(self, gateway: LiveGateway, value: str) -> None:
        """Anything printable without blanks, up to 128 characters, is kept."""
        assert ask(gateway, "GET", "/healthz", headers={"x-request-id": value}).header("x-request-id") == value

    @pytest.mark.parametrize("value", ["", " ", "x" * 129, "two words", "tab\there", "é", b"\xff\xfe", "x" * 9000])
    def test_an_insane_one_is_replaced(self, gateway: LiveGateway, value: str | bytes) -> None:
        """Anything else is replaced by a new one and is no error."""
        reply = ask(gateway, "GET", "/healthz", headers=[("x-request-id", value)])
        assert reply.status == 200
        assert str(reply.header("x-request-id")).startswith("req_")


def test_a_completion_says_agent_session_and_run(gateway: LiveGateway) -> None:
    """Answer and stream say which agent, session and run they are; the completion's id is the run's."""
    for stream in (False, True):
        reply = chat(gateway, "hello", user="maria", model="zero:beta", stream=stream)
        assert reply.header("x-zero-agent-id") == "beta"
        assert reply.header("x-zero-session-key") == "agent:beta:openai-user:maria"
        run = str(reply.header("x-zero-run-id"))
        assert run.startswith("run_")
        assert f"chatcmpl-{run.removeprefix('run_')}" in reply.body.decode()
