"""design.md, "Answer" (errors): a body that can't be served is refused with its place named, and never a 5xx."""

from __future__ import annotations

import gzip

import pytest

from tests.doors.client import JSON, MESSAGE, VALID_TEXT, chat, head, parsed, post, raw, user
from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.usefixtures("nothing_failed")


class TestNotJson:
    """Bodies that aren't JSON at all."""

    @pytest.mark.parametrize(
        "body",
        [b"", b" ", b"{", b"}", b"nope", b"{'model': 'zero'}", b'{"model": "zero",}',
         VALID_TEXT + b" trailing", VALID_TEXT * 2,
         b'{"model": NaN}', b'{"model": "zero", "temperature": 1e}', b"\xff\xfe", b'{"model": "\xff"}',
         b'\xef\xbb\xbf{"model": "zero"}', '{"model": "zero"}'.encode("utf-16"), b'{"model": "\x01"}',
         b'{"model": "\\ud800"}', b'{"model": "\\x"}', b"\x00", b'{"a":' * 100_000,
         gzip.compress(b'{"model": "zero"}', mtime=0)],
        ids=lambda body: str(body[:30]),
    )  # fmt: skip
    def test_they_are_400_invalid_json(self, gateway: LiveGateway, body: bytes) -> None:
        """What can't be read as JSON is 400 ``invalid_json``, however deep or broken."""
        reply = post(gateway, body)
        assert reply.summary == (400, "invalid_json", None)
        assert reply.error["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"model":"zero","messages":' + b"[" * 100_000, b"[" * 99 + b"]"]
    )
    def test_what_is_of_the_wrong_type_at_once_is_400(self, gateway: LiveGateway, body: bytes) -> None:
        """Where the beginning can't be right, the error may say so without looking at the end."""
        reply = post(gateway, body)
        assert reply.status == 400
        assert reply.error["code"] in ("invalid_json", "invalid_type")

    @pytest.mark.parametrize(
        "body",
        [
            f'{{"model": "zero", "messages": [{MESSAGE}], "x": DEEP}}',
            f'{{"model": "zero", "messages": [{MESSAGE}], "stream_options": {{"x": DEEP}}}}',
            f'{{"model": "zero", "messages": [{MESSAGE}], "n": 1.0, "x": DEEP}}',
            '{"model": "zero", "messages": [{"role": "user", "content": "x", "x": DEEP}]}',
            '{"model": "zero", "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "x": DEEP}]}]}',
            VALID_TEXT.decode()[:-1]
            + ', "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": DEEP}}}]}',
        ],
    )
    def test_nesting_has_a_limit_in_every_field(self, gateway: LiveGateway, body: str) -> None:
        """Up to 190 levels a value is carried along, known field or not; from 201 on the body is 400."""
        for depth, status in ((190, 200), (201, 400), (960, 400), (968, 400), (1000, 400), (5000, 400), (100_000, 400)):
            deep = "[" * (depth - 1) + "{}" + "]" * (depth - 1)
            reply = post(gateway, body.replace("DEEP", deep).encode())
            assert reply.status == status
            # The deepest has more values than a body may have, too, and that is found out first.
            code = "too_many_values" if depth == 100_000 else "invalid_json"
            assert status == 200 or reply.summary == (400, code, None)

    def test_brackets_in_texts_are_no_nesting(self, gateway: LiveGateway) -> None:
        """A text of nothing but brackets, or very many messages, are not deep."""
        assert chat(gateway, "[{" * 5000).text == "[{" * 5000
        assert chat(gateway, [user("x")] * 1000).text == "x"

    def test_no_body_is_said_to_be_missing(self, gateway: LiveGateway) -> None:
        """Without body and length, the message says that a JSON object is expected."""
        reply = parsed(raw(gateway, head(JSON)))
        assert reply.summary == (400, "invalid_json", None)
        assert "JSON object" in reply.error["message"]


class TestWrongShape:
    """JSON, but not what the contract says. ``param`` says where."""

    @pytest.mark.parametrize("body", ["[]", "null", "true", "1", '"text"', "[{}]"])
    def test_the_body_must_be_an_object(self, gateway: LiveGateway, body: str) -> None:
        """Another JSON value is 400 ``invalid_type`` without ``param``: there is no field to name."""
        assert post(gateway, body.encode()).summary == (400, "invalid_type", None)

    @pytest.mark.parametrize(
        ("fields", "code", "param"),
        [
            ('"model": "zero"', "missing_required_parameter", "messages"),
            (f'"messages": [{MESSAGE}]', "missing_required_parameter", "model"),
            ('"model": "zero", "messages": "hi"', "invalid_type", "messages"),
            ('"model": "zero", "messages": {}', "invalid_type", "messages"),
            ('"model": "zero", "messages": null', "invalid_type", "messages"),
            ('"model": "zero", "messages": ["hi"]', "invalid_type", "messages[0]"),
            ('"model": "zero", "messages": [[]]', "invalid_type", "messages[0]"),
            ('"model": "zero", "messages": [{"content": "x"}]', "missing_required_parameter", "messages[0].role"),
            ('"model": "zero", "messages": [{"role": "user"}]', "missing_required_parameter", "messages[0].content"),
            (
                f'"model": "zero", "messages": [{MESSAGE}, {{"role": "wizard", "content": "x"}}]',
                "invalid_value",
                "messages[1].role",
            ),
            ('"model": "zero", "messages": [{"role": 1, "content": "x"}]', "invalid_value", "messages[0].role"),
            ('"model": "zero", "messages": [{"role": "user", "content": 7}]', "invalid_type", "messages[0].content"),
            (
                '"model": "zero", "messages": [{"role": "user", "content": [{"type": "text"}]}]',
                "missing_required_parameter",
                "messages[0].content[0].text",
            ),
            (
                '"model": "zero", "messages": [{"role": "user", "content": [{"type": "smell", "text": "x"}]}]',
                "invalid_value",
                "messages[0].content[0].type",
            ),
            (
                '"model": "zero", "messages": [{"role": "tool", "content": "x"}]',
                "missing_required_parameter",
                "messages[0].tool_call_id",
            ),
            (f'"model": ["zero"], "messages": [{MESSAGE}]', "invalid_type", "model"),
        ],
    )
    def test_the_place_is_named(self, gateway: LiveGateway, fields: str, code: str, param: str) -> None:
        """The error names the field by its path, as OpenAI does."""
        assert post(gateway, b"{%s}" % fields.encode()).summary == (400, code, param)

    @pytest.mark.parametrize(
        "messages",
        [[], [{"role": "system", "content": "x"}], [{"role": "developer", "content": "x"}],
         [{"role": "assistant", "content": "x"}],
         [{"role": "system", "content": "x"}, {"role": "assistant", "content": "y"}]],
    )  # fmt: skip
    @pytest.mark.parametrize("stream", [False, True])
    def test_without_a_turn_there_is_nothing_to_answer(
        self, gateway: LiveGateway, messages: list[dict[str, str]], stream: bool
    ) -> None:
        """No messages, or none from the user or a tool: 400 with ``param: messages``."""
        assert chat(gateway, messages, stream=stream).summary == (400, "invalid_value", "messages")

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("n", "0", "invalid_value"), ("n", "-1", "invalid_value"), ("n", "129", "invalid_value"),
            ("n", "1.5", "invalid_type"), ("n", '"1"', "invalid_type"), ("n", "true", "invalid_type"),
            ("temperature", "9", "invalid_value"), ("temperature", "-0.1", "invalid_value"),
            ("temperature", '"hot"', "invalid_type"), ("temperature", "1e400", None),
            ("top_p", "1.1", "invalid_value"), ("top_p", "-1", "invalid_value"),
            ("presence_penalty", "2.1", "invalid_value"), ("frequency_penalty", "-2.1", "invalid_value"),
            ("top_logprobs", "21", "invalid_value"), ("stream", '"true"', "invalid_type"),
            ("stream", "1", "invalid_type"), ("user", "7", "invalid_type"), ("user", '["a"]', "invalid_type"),
            ("stream_options", "true", "invalid_type"), ("tools", "{}", "invalid_type"),
            ("metadata", "[]", "invalid_type"), ("seed", "1" + "0" * 400, None), ("max_tokens", "1e999", None),
            ("max_tokens", '"5"', "invalid_type"), ("response_format", '"json"', "invalid_type"),
            ("logit_bias", '{"1": "x"}', "invalid_type"), ("reasoning_effort", '"enormous"', "invalid_value"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("stream", ["false", "true"])
    def test_a_parameter_out_of_its_bounds_is_named(
        self, gateway: LiveGateway, field: str, value: str, code: str | None, stream: str
    ) -> None:
        """Wrong types and values of parameters are 400, and ``param`` begins with the parameter's name."""
        streamed = "" if field == "stream" else f'"stream": {stream}, '
        body = f'{{"model": "zero", "messages": [{MESSAGE}], {streamed}"{field}": {value}}}'
        reply = post(gateway, body.encode())
        assert reply.status == 400
        if code is not None:
            assert reply.error["code"] == code
            assert str(reply.error["param"]).startswith(field)

    @pytest.mark.parametrize(
        "extra",
        ['"unknown": {"deep": [1, null]}', '"max_tokens": null', '"temperature": 1', '"temperature": 1.0', '"n": 1.0',
         '"temperature": 1e-320', '"seed": 9223372036854775807', '"user": "\\u0000"', '"": ""', '"__proto__": {}',
         '"top_k": 5, "keep_alive": "5m", "options": {"num_ctx": 1}'],
    )  # fmt: skip
    def test_what_the_contract_allows_is_not_refused(self, gateway: LiveGateway, extra: str) -> None:
        """Unknown fields, nulls where the schema has them, and whole numbers written as floats are all right."""
        body = f'{{"model": "zero", "messages": [{MESSAGE}], {extra}}}'
        assert post(gateway, body.encode()).text == "x"

    @pytest.mark.parametrize(
        "text", ["\x00", "a\x00b", "\x1b[2J", "\u2028", "\ufeff", "\ud83d\ude00", "\u202e", "\uffff"]
    )
    def test_odd_characters_pass(self, gateway: LiveGateway, text: str) -> None:
        """Any Unicode text is text, and comes back as it was sent."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        assert chat(gateway, text).text == text

    def test_a_repeated_key_is_not_read_twice(self, gateway: LiveGateway) -> None:
        """Of a key that stands twice, one value counts: what is checked is what is run."""
        body = f'{{"model": "zero", "messages": [{MESSAGE}], "messages": [{{"role": "user", "content": "y"}}]}}'
        assert post(gateway, body.encode()).text == "y"
        body = f'{{"model": "zero", "messages": [{MESSAGE}], "messages": []}}'
        assert post(gateway, body.encode()).summary == (400, "invalid_value", "messages")
