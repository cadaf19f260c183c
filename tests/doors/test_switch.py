"""design.md, "Endpoint and switch": what is there, what isn't, and which methods it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.doors.client import CHAT, ask, chat, parsed, raw
from tests.live_gateway import TOKEN, LiveGateway, configuration

SWITCH = "gateway.http.endpoints.chatCompletions.enabled"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
API_PATHS = (CHAT, "/v1/models", "/v1/models/zero", "/v1/models/zero/beta", "/v1/anything", "/v1", "/v1/embeddings")
PUBLIC_PATHS = ("/healthz", "/readyz", "/openapi.json", "/openapi.yaml", "/docs")
CLOCKS = ("date", "openai-processing-ms")
OTHER_SPELLINGS = ("/v1/chat/completions/", "//v1/chat/completions", "/v1//chat//completions", "/v1/chat%2Fcompletions")


@pytest.fixture(scope="module")
def switched_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway whose configuration doesn't mention the endpoint, and so has it off."""
    config = configuration()
    del config["gateway"]["http"]
    with LiveGateway(tmp_path_factory.mktemp("off"), config) as live:
        yield live


class TestOff:
    """While the endpoint is off, which it is unless somebody has switched it on."""

    @pytest.mark.parametrize("path", [*API_PATHS, *OTHER_SPELLINGS, "//v1//nothing", "/v1/models/zero%2Fbeta"])
    @pytest.mark.parametrize("method", METHODS)
    def test_everything_of_the_api_is_404_and_names_the_key(
        self, switched_off: LiveGateway, method: str, path: str
    ) -> None:
        """Every method on every path under /v1 is 404 in OpenAI's shape, and the message says what turns it on."""
        reply = ask(switched_off, method, path)
        assert reply.summary == (404, "unknown_url", None)
        assert reply.error["type"] == "invalid_request_error"
        assert SWITCH in reply.error["message"]

    @pytest.mark.parametrize("path", API_PATHS)
    def test_a_head_request_gets_the_same_without_a_body(self, switched_off: LiveGateway, path: str) -> None:
        """HEAD is 404 as well, with no body."""
        reply = ask(switched_off, "HEAD", path)
        assert (reply.status, reply.body) == (404, b"")

    @pytest.mark.parametrize("path", API_PATHS)
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_it_does_not_tell_whether_a_token_is_right(self, switched_off: LiveGateway, method: str, path: str) -> None:
        """With the right, a wrong and no token, the answer is byte for byte the same."""
        answers = {
            (reply.status, tuple((name, value) for name, value in reply.headers if name not in CLOCKS), reply.body)
            for token in (TOKEN, "wrong", None)
            for reply in [ask(switched_off, method, path, token=token, headers={"x-request-id": "same"})]
        }
        assert len(answers) == 1

    def test_a_valid_chat_is_refused_and_runs_nothing(self, switched_off: LiveGateway) -> None:
        """A complete, authenticated chat request is 404 and names no agent, session or run."""
        reply = chat(switched_off, "hello")
        assert reply.summary == (404, "unknown_url", None)
        assert not [name for name, _ in reply.headers if name.startswith("x-zero-")]

    def test_a_body_that_never_comes_is_not_waited_for(self, switched_off: LiveGateway) -> None:
        """The refusal comes before the body is read."""
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"
        assert parsed(raw(switched_off, head.encode())).status == 404

    @pytest.mark.parametrize("path", PUBLIC_PATHS)
    def test_public_operations_still_answer(self, switched_off: LiveGateway, path: str) -> None:
        """Health, readiness and the contract are always on and need no token."""
        assert ask(switched_off, "GET", path, token=None).status == 200

    def test_other_paths_do_not_speak_of_the_switch(self, switched_off: LiveGateway) -> None:
        """A path that only looks like the API's is simply unknown."""
        reply = ask(switched_off, "GET", "/v1x/models")
        assert reply.summary == (404, "unknown_url", None)
        assert SWITCH not in reply.error["message"]


@pytest.mark.parametrize("value", [False, True])
def test_the_switch_is_the_key_of_the_specification(start_gateway: Callable[..., LiveGateway], value: bool) -> None:
    """``enabled: true`` opens the endpoint, ``enabled: false`` closes it."""
    live = start_gateway(configuration(gateway={"http": {"endpoints": {"chatCompletions": {"enabled": value}}}}))
    assert chat(live, "hello").status == (200 if value else 404)


class TestOn:
    """While the endpoint is on."""

    @pytest.mark.parametrize("method", [method for method in METHODS if method != "POST"])
    @pytest.mark.parametrize("path", [CHAT, *OTHER_SPELLINGS])
    def test_other_methods_are_405_with_allow_post(self, gateway: LiveGateway, method: str, path: str) -> None:
        """The endpoint takes POST only and says so in ``Allow``."""
        reply = ask(gateway, method, path)
        assert reply.summary == (405, "method_not_supported", None)
        assert reply.header("allow") == "POST"
        assert reply.error["type"] == "invalid_request_error"
        assert "POST" in reply.error["message"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
    @pytest.mark.parametrize("path", ["/v1/models", "/v1/models/zero", "/v1/models/zero/beta", *PUBLIC_PATHS])
    def test_paths_to_read_are_405_with_allow_get(self, gateway: LiveGateway, method: str, path: str) -> None:
        """What can only be read takes GET only and says so in ``Allow``."""
        reply = ask(gateway, method, path)
        assert reply.summary == (405, "method_not_supported", None)
        assert reply.header("allow") == "GET"

    @pytest.mark.parametrize(("path", "allowed"), [(CHAT, "POST"), ("/v1/models/zero", "GET"), ("/healthz", "GET")])
    def test_head_is_405_without_a_body(self, gateway: LiveGateway, path: str, allowed: str) -> None:
        """HEAD is no operation of the contract."""
        reply = ask(gateway, "HEAD", path)
        assert (reply.status, reply.header("allow"), reply.body) == (405, allowed, b"")

    @pytest.mark.parametrize("token", [TOKEN, "wrong", None])
    def test_a_wrong_method_says_the_same_to_everybody(self, gateway: LiveGateway, token: str | None) -> None:
        """405 depends on the contract alone, which is public, and not on the token."""
        assert ask(gateway, "GET", CHAT, token=token).status == 405

    @pytest.mark.parametrize(
        "path",
        ["/", "/v1", "/v1/", "/v1/nothing", "/v1/chat", "/v1/chat/completions/more", "/V1/chat/completions",
         "/v1/Chat/Completions", "/chat/completions", "/v2/chat/completions", "/schema", "/docs/more", "/openapi",
         "/v1/chat/../chat/completions", "/.%2e/v1/models", "/%00", "/%ff", "/v1/chat%252Fcompletions",
         "/v1/chat/completions;x", "/v1/chat/completions%20"],
    )  # fmt: skip
    def test_unknown_paths_are_404(self, gateway: LiveGateway, path: str) -> None:
        """What the contract doesn't list is 404 in OpenAI's shape, and nothing is guessed."""
        assert ask(gateway, "POST", path).summary == (404, "unknown_url", None)

    @pytest.mark.parametrize("path", [*OTHER_SPELLINGS, "/v1/chat/%63ompletions", CHAT + "?api-version=1", CHAT + "?"])
    def test_other_spellings_of_the_path_are_the_endpoint(self, gateway: LiveGateway, path: str) -> None:
        """Extra slashes, percent-encoding and a query are the same endpoint, behind the same guard."""
        body = b'{"model": "zero", "messages": [{"role": "user", "content": "hello"}]}'
        typed = {"Content-Type": "application/json"}
        assert ask(gateway, "POST", path, headers=typed, body=body).text == "hello"
        assert ask(gateway, "POST", path, headers=typed, body=body, token=None).summary == (
            401,
            "invalid_api_key",
            None,
        )

    def test_a_full_url_as_target_is_the_endpoint(self, gateway: LiveGateway) -> None:
        """The absolute form of a request target, as proxies send it, is understood."""
        target = f"http://127.0.0.1:{gateway.port}/healthz"
        received = raw(gateway, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert parsed(received).status == 200
