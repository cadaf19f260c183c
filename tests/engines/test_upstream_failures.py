"""An upstream's failure reaches the client as what it is, in OpenAI's error shape, and never as a success."""

from __future__ import annotations

from email.utils import formatdate
from time import time
from typing import Final, NamedTuple

import pytest

from tests.engines.caller import DONE as END
from tests.engines.caller import Caller, Whole
from tests.fakes.script import (
    DONE,
    Close,
    Json,
    Pause,
    Repeat,
    Reset,
    Script,
    Send,
    Step,
    chunk,
    error,
    event,
    stream,
    whole,
    words,
)
from tests.fakes.upstream import FakeUpstream

SAID: Final = "Something is wrong over here."
FINISH: Final = event(chunk({}, finish_reason="stop"))
PAGE: Final = b"<html><body>Bad gateway of 10.1.2.3</body></html>"


class Failure(NamedTuple):
    """What the client sees."""

    status: int
    type: str
    code: str | None
    param: str | None = None
    says: str = ""
    retry_after: str | None = None


def refused(code: str = "invalid_value", param: str | None = None, says: str = SAID) -> Failure:
    """Return a failure that is the request's own fault."""
    return Failure(400, "invalid_request_error", code, param, says)


def failed(code: str = "upstream_error", status: int = 502, says: str = "fake", **more: str) -> Failure:
    """Return a failure of the upstream's."""
    return Failure(status, "server_error", code, says=says, **more)


NONSENSE: Final = failed("upstream_invalid_response", says="The upstream")
LOST: Final = failed("upstream_connection_lost")
TRUNCATED: Final = failed("upstream_truncated", says="The model")
LOCKED: Final = failed("upstream_authentication_failed", says="models.providers.fake.apiKey")


def limited(retry_after: str, code: str = "rate_limit_exceeded") -> Failure:
    """Return the failure that a busy upstream means."""
    return Failure(429, "rate_limit_error", code, says=SAID, retry_after=retry_after)


def said(**fields: Json) -> Json:
    """Return an error object."""
    return {"message": SAID, "type": "upstream's_own", "param": None, "code": None, **fields}


BEFORE: Final[dict[str, tuple[Script, Failure]]] = {
    "400": (error(400, said(param="top_k", code="unsupported_value")), refused("unsupported_value", "top_k")),
    "400 with a code that is a number": (error(400, said(code=400, param=["a"])), refused()),
    "400 of llama.cpp": (
        error(400, {"code": 400, "message": SAID, "type": "exceed_context_size_error"}),
        refused("context_length_exceeded", "messages"),
    ),
    "400 without error object": (whole(400, {"message": SAID}), refused()),
    "400 of text": (whole(400, {"error": SAID}), refused()),
    "400 HTML": (whole(400, PAGE, content_type="text/html"), refused(says="'fake' refused the request")),
    "413": (error(413, said()), refused()),
    "422": (whole(422, {"detail": [{"loc": ["body"]}]}), refused(says="'fake' refused the request")),
    "401": (error(401, said(message="Incorrect API key provided: upst*6")), LOCKED),
    "403": (error(403, said()), LOCKED),
    "404": (error(404, said(code="model_not_found", param="model")), failed("model_not_found", says=SAID)),
    "404 HTML": (whole(404, PAGE, content_type="text/html"), failed(says="failed with status 404")),
    "408": (error(408, said()), failed(status=504, says=SAID)),
    "409": (error(409, said()), failed(says=SAID)),
    "429": (error(429, said(), headers={"retry-after": "7"}), limited("7")),
    "429 with a fraction": (error(429, said(), headers={"retry-after": "0.2"}), limited("1")),
    "429 long": (error(429, said(), headers={"retry-after": "300"}), limited("300")),
    "429 without Retry-After": (error(429, said(code="insufficient_quota")), limited("1", "insufficient_quota")),
    "429 with nonsense": (error(429, said(), headers={"retry-after": "soon"}), limited("1")),
    "500": (error(500, said()), failed(says=SAID)),
    "500 with param and code": (error(500, said(param="x", code="boom")), failed("boom", says=SAID)),
    "500 HTML": (whole(500, PAGE, content_type="text/html"), failed(says="failed with status 500")),
    "500 without end": (
        [Send(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n"), Repeat(b"1\r\nx\r\n")],
        failed(says="failed with status 500"),
    ),
    "502": (whole(502, b"", content_type="text/plain"), failed(says="failed with status 502")),
    "503": (error(503, said(), headers={"retry-after": "3"}), failed(status=503, says=SAID, retry_after="3")),
    "504": (error(504, said()), failed(status=504, says=SAID)),
    "529": (error(529, said()), failed(status=503, says=SAID)),
    "201": (whole(201, {"id": "x"}), failed(says="failed with status 201")),
    "redirect": (whole(307, b"", headers={"location": "http://127.0.0.1:1/"}), failed(says="check its baseUrl")),
    "200 HTML": (
        whole(200, PAGE, content_type="text/html"),
        failed("upstream_invalid_response", says="check its baseUrl"),
    ),
    "200 with an error object": (whole(200, {"error": said(code="boom")}), failed("boom", says=SAID)),
    "200 with a text for an error": (whole(200, {"error": SAID}), failed(says=SAID)),
    "200 with something else": (whole(200, {"choices": "none"}), NONSENSE),
    "200 with a list": (whole(200, []), NONSENSE),
    "200 with half an object": (whole(200, b'{"choices": ['), NONSENSE),
    "200 empty": (whole(200, b""), NONSENSE),
    "200 without choices": (whole(200, {"object": "chat.completion"}), TRUNCATED),
    "200 without end": (
        [Send(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n"), Repeat(b" " * 4096)],
        failed("upstream_answer_too_large", says="larger than"),
    ),
    "error event": (stream(event({"error": said(code="boom")}), DONE), failed("boom", says=SAID)),
    "error event with a status": (stream(event({"error": said(code=429)}), DONE), limited("1")),
    "error event of the request": (stream(event({"error": said(code=400)}), DONE), refused()),
    "error event with a name": (stream(b"event: error\n" + event({"error": said()})), failed(says=SAID)),
    "error event of text": (stream(event({"error": SAID})), failed(says=SAID)),
    "nothing but an end": (stream(), TRUNCATED),
    "nothing but [DONE]": (stream(DONE), TRUNCATED),
    "nothing but a role": (stream(event(chunk({"role": "assistant"})) + DONE), TRUNCATED),
    "nothing but usage": (stream(event({"choices": [], "usage": {"total_tokens": 3}}), DONE), TRUNCATED),
    "garbage": (stream(b"data: {garbage\n\n", *words("Hi")), NONSENSE),
    "a number": (stream(b"data: 42\n\n", *words("Hi")), NONSENSE),
    "choices that are none": (stream(event({"choices": [1]})), NONSENSE),
    "an infinite index": (stream(b'data: {"choices": [{"index": 1e999}]}\n\n'), NONSENSE),
    "an infinite usage": (stream(b'data: {"usage": {"prompt_tokens": 1e999}}\n\n'), NONSENSE),
    "half a character": (stream(event(chunk({"content": "é"})).replace(b"\xa9", b"")), NONSENSE),
    "nested beyond reason": (stream(b'data: {"choices":' + b"[" * 100_000 + b"\n\n"), NONSENSE),
    "a line without end": (stream(Repeat(b"x" * 4096)), NONSENSE),
    "an event without end": (stream(Repeat(b"data: " + b"x" * 4096 + b"\n")), NONSENSE),
    "a choice too many": (stream(event(chunk({"content": "Hi"}, index=1))), failed(says="choice 1")),
    "not HTTP": ([Send(b"220 mail.example ESMTP\r\n"), Close()], LOST),
    "closed without a word": ([Close()], LOST),
    "reset without a word": ([Reset()], LOST),
    "closed within the head": ([Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Close()], LOST),
    "closed behind the head": ([*stream()[:1], Close()], LOST),
}

# Each comes once the client has read the first words.
AMID: Final[dict[str, tuple[list[bytes | Step], Failure]]] = {
    "clean end": ([], TRUNCATED),
    "[DONE] too early": ([DONE], TRUNCATED),
    "closed": ([Close()], LOST),
    "reset": ([Reset()], LOST),
    "error event": ([event({"error": said(code="boom")}), FINISH, DONE], failed("boom", says=SAID)),
    "error event with a status": ([event({"error": said(code=503)})], failed(status=503, says=SAID)),
    "busy": ([event({"error": said(code=429)})], limited("1")),
    "chunk with an error": ([event({**chunk({}, finish_reason="error"), "error": said()})], failed(says=SAID)),
    "a finish that is a failure": ([event(chunk({}, finish_reason="abort")), DONE], failed(says="'abort'")),
    "garbage": ([b"data: <html>\n\n", FINISH, DONE], NONSENSE),
    "half a character": ([event(chunk({"content": "é"})).replace(b"\xa9", b""), FINISH, DONE], NONSENSE),
    "a line without end": ([Repeat(b"x" * 4096)], NONSENSE),
    "a choice too many": ([event(chunk({"content": "Hi"}, index=3)), FINISH, DONE], failed(says="choice 3")),
}


def check(answer: Whole, expected: Failure) -> None:
    """Compare an error answered over HTTP."""
    check_object(answer.error, expected)
    assert expected.status == answer.status
    assert expected.retry_after == answer.headers["retry-after"]
    # A run had begun: an SDK's automatic retry would do its work again. What is the request's fault isn't retried.
    assert (None if expected.status == 400 else "false") == answer.headers["x-should-retry"]
    assert answer.headers["x-zero-run-id"]


def check_object(fields: Json, expected: Failure) -> None:
    """Compare an error object; nothing of the upstream's insides may be in it."""
    assert (expected.type, expected.code, expected.param) == (fields["type"], fields["code"], fields["param"])
    assert expected.says in fields["message"]
    assert not any(secret in fields["message"] for secret in ("html", "10.1.2.3", "upst*6", "127.0.0.1"))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("script", "expected"), BEFORE.values(), ids=BEFORE)
def test_before_the_first_word(
    upstream: FakeUpstream, quiet: Caller, script: Script, expected: Failure, streamed: bool
) -> None:
    """As long as nothing was said, a failure is an HTTP error, streamed or not, and the upstream is asked once."""
    upstream.play(script)
    check(quiet.ask(stream=streamed), expected)
    assert 1 == len(upstream.exchanges)


@pytest.mark.parametrize(("steps", "expected"), AMID.values(), ids=AMID)
class TestAmid:
    """A failure after the first words is told as such."""

    def test_streamed(
        self, upstream: FakeUpstream, quiet: Caller, steps: list[bytes | Step], expected: Failure
    ) -> None:
        """A stream ends with the error as an event and [DONE], without a finish reason and without usage."""
        upstream.play(stream(event(chunk({"content": "Once upon"})), Pause(), *steps))
        with quiet.open(stream_options={"include_usage": True}) as stream_:
            first = stream_.frame()
            assert "Once upon" == first["choices"][0]["delta"]["content"]
            upstream.last.release()
            answer = stream_.rest(first)
        check_object(answer.error, expected)
        assert (None, "Once upon") == (answer.finish(), answer.text())

    def test_whole(self, upstream: FakeUpstream, quiet: Caller, steps: list[bytes | Step], expected: Failure) -> None:
        """An answer in one piece is an HTTP error; what was said before is not passed off as an answer."""
        upstream.play(stream(event(chunk({"content": "Once upon"})), Pause(), *steps))
        with quiet.send() as connection:
            upstream.wait().release()
            with connection.getresponse() as response:
                answer = Whole.of(response)
        check(answer, expected)


class TestChoices:
    """``n`` is honoured or it is an error. What becomes of an upstream that ignores it: test_upstream_choices."""

    def test_unfinished(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """An upstream that leaves a choice open has failed."""
        upstream.play(stream(event(chunk({"content": "b"}, index=1)), *words("a")))
        check(quiet.ask(n=2), TRUNCATED._replace(says="1 of 2 choices"))


def test_nobody_listens(quiet: Caller) -> None:
    """A provider that can't be reached is a 502 which names it, and not its address."""
    expected = failed("upstream_unreachable", says="'lost' can't be reached")
    check(quiet.ask("lost"), expected)
    check(quiet.ask("lost", stream=True), expected)


def test_retry_after_as_a_date(upstream: FakeUpstream, quiet: Caller) -> None:
    """Retry-After may be a date; the client gets seconds."""
    upstream.play(error(503, said(), headers={"retry-after": formatdate(time() + 100, usegmt=True)}))
    assert 90 <= int(quiet.ask().headers["retry-after"]) <= 100


def test_works_on_after_failures(upstream: FakeUpstream, quiet: Caller) -> None:
    """A failure leaves nothing behind that the next request would meet."""
    upstream.play([Reset()], error(500, said()), stream(*words("Hi")))
    assert [502, 502, 200] == [quiet.ask().status for _ in range(3)]


def test_error_frame_is_followed_by_done_only(upstream: FakeUpstream, quiet: Caller) -> None:
    """What stands behind the error frame is [DONE] and the end of the response."""
    upstream.play(stream(event(chunk({"content": "Hi"})), Pause(), event({"error": said()}), *words("more")))
    with quiet.open() as stream_:
        assert ["choices"] == [key for key in stream_.frame() if key in ("choices", "error")]
        upstream.last.release()
        assert ["error"] == list(stream_.frame())
        assert stream_.frame() == END
        with pytest.raises(EOFError):
            stream_.frame()
