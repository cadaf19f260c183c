"""The decoder of request bodies: what is wrong is named, and nothing whatever makes it fail in another way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.contract.decoding import BodyDecoder
from app.contract.models import CreateChatCompletionRequest
from app.errors import InvalidRequest
from tests.unit.contract.bodies import bodies

DECODER = BodyDecoder(CreateChatCompletionRequest)
SMALLEST = {"model": "zero", "messages": [{"role": "user", "content": "hi"}]}


def with_field(field: str) -> bytes:
    """Return the smallest body with one more field, given as JSON text."""
    return json.dumps(SMALLEST)[:-1].encode() + b", " + field.encode() + b"}"


def refusal_of(body: bytes) -> tuple[str | None, str | None, str]:
    """Return code, param and message of a body's refusal."""
    with pytest.raises(InvalidRequest) as caught:
        DECODER.decode(body)
    assert 400 == caught.value.status
    return caught.value.code, caught.value.param, caught.value.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model": "zero"}', "messages"),
        (b'{"model": "zero", "messages": [{"content": "a"}]}', "messages[0].role"),
        (b'{"model": "zero", "messages": [{"role": "user"}]}', "messages[0].content"),
        (with_field('"tools": [{"type": "function", "function": {}}]'), "tools[0].function.name"),
        (with_field('"response_format": {}'), "response_format.type"),
    ],
)
def test_missing(body: bytes, param: str) -> None:
    """A missing field is named by its path."""
    expected = ("missing_required_parameter", param, f"Missing required parameter: {param!r}.")
    assert expected == refusal_of(body)


@pytest.mark.parametrize(
    ("field", "param", "expected", "got"),
    [
        ('"model": 1', "model", "str", "int"),
        ('"model": null', "model", "str", "null"),
        ('"messages": "hi"', "messages", "array", "str"),
        ('"messages": ["hi"]', "messages[0]", "object", "str"),
        ('"messages": [{"role": "user", "content": 5}]', "messages[0].content", "str | array", "int"),
        ('"n": "1"', "n", "int | null", "str"),
        ('"n": 1.5', "n", "int | null", "float"),
        ('"n": true', "n", "int | null", "bool"),
        ('"temperature": "hot"', "temperature", "float | null", "str"),
        ('"stream": "yes"', "stream", "bool | null", "str"),
        ('"stop": [1]', "stop[0]", "str", "int"),
        ('"metadata": {"a": 1}', "metadata", "str", "int"),
        ('"stream_options": {"include_usage": 1}', "stream_options.include_usage", "bool | null", "int"),
    ],
)
def test_mistyped(field: str, param: str, expected: str, got: str) -> None:
    """A field of a wrong type is named, with the type it should have and the one it has."""
    message = f"Invalid type for {param!r}: expected {expected}, got {got}."
    assert ("invalid_type", param, message) == refusal_of(with_field(field))


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"null", b"1", b"1.5", b"true"])
def test_not_an_object(body: bytes) -> None:
    """JSON that isn't an object has no field to be named."""
    code, param, message = refusal_of(body)
    assert ("invalid_type", None) == (code, param)
    assert message.startswith("Invalid type: expected object, got ")


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ('"model": ""', "model"),
        ('"messages": []', "messages"),
        ('"messages": [{"role": "boss", "content": "a"}]', "messages[0].role"),
        ('"messages": [{"role": "user", "content": []}]', "messages[0].content"),
        ('"n": 0', "n"),
        ('"n": 129', "n"),
        ('"n": 129.0', "n"),
        ('"n": 1e300', "n"),
        ('"n": ' + "9" * 5000, "n"),
        ('"seed": 9223372036854775808', "seed"),
        ('"seed": 1e19', "seed"),
        ('"temperature": 2.1', "temperature"),
        ('"temperature": 1e999', "temperature"),
        ('"top_logprobs": 21', "top_logprobs"),
        ('"stop": []', "stop"),
        ('"reasoning_effort": "huge"', "reasoning_effort"),
        ('"tools": [{"type": "function", "function": {"name": "a b"}}]', "tools[0].function.name"),
        ('"response_format": {"type": "xml"}', "response_format.type"),
        ('"logit_bias": {"1": 101}', "logit_bias"),
    ],
)
def test_out_of_range(field: str, param: str) -> None:
    """A value that the contract doesn't allow is named, and the message says what is wrong with it."""
    code, named, message = refusal_of(with_field(field))
    assert ("invalid_value", param) == (code, named)
    assert message.startswith(f"Invalid value for {param!r}: ")


@pytest.mark.parametrize(
    ("field", "name", "expected"),
    [
        ('"n": 2.0', "n", 2),
        ('"n": 2e0', "n", 2),
        ('"max_tokens": 1e2', "max_tokens", 100),
        ('"seed": -0.0', "seed", 0),
        ('"seed": -9007199254740992.0', "seed", -9007199254740992),
        ('"n": 2.0, "temperature": 1.5', "temperature", 1.5),
        ('"n": 2.0, "temperature": 1', "temperature", 1.0),
        ('"n": 2, "temperature": 1.0', "temperature", 1.0),
        ('"logit_bias": {"5": 3.0}', "logit_bias", {"5": 3}),
    ],
)
def test_whole_floats_are_integers(field: str, name: str, expected: object) -> None:
    """1.0 is an integer to JSON Schema, so it is one here, wherever one is asked for."""
    found = getattr(DECODER.decode(with_field(field)), name)
    assert (expected, type(expected)) == (found, type(found))


def test_error_behind_a_whole_float() -> None:
    """Taking 2.0 for an integer doesn't hide what else is wrong."""
    assert ("invalid_type", "user") == refusal_of(with_field('"n": 2.0, "user": 5'))[:2]
    assert ("invalid_value", "temperature") == refusal_of(with_field('"n": 2.0, "temperature": 3'))[:2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'model': 'zero'}",
        b'{"model": "zero",}',
        b"\xff",
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": "a\nb"}',
        b'{"model": NaN}',
        b"\xef\xbb\xbf{}",
        json.dumps(SMALLEST).encode("utf-16"),
        json.dumps(SMALLEST).encode() * 2,
    ],
)
def test_not_json(body: bytes) -> None:
    """What isn't JSON in UTF-8 is invalid_json, and no field is to blame."""
    code, param, message = refusal_of(body)
    assert ("invalid_json", None) == (code, param)
    assert message.startswith("The request body could not be read as JSON: ")


MESSAGE = '"messages": [{{"role": "user", "content": "hi", "vendor": {}}}]'


@pytest.mark.parametrize(
    "place", ['"vendor": {}', '"vendor": [{{"a": {}}}]', '"metadata": {{}}, "vendor": {}', MESSAGE]
)
@pytest.mark.parametrize("value", [b'"\xff"', b'"\xc3("', b'{"\xff": 1}', b'"\xed\xa0\x80"', b'"\\ud800"'])
def test_unknown_fields_are_utf8(place: str, value: bytes) -> None:
    """Fields that the contract doesn't know travel on, so they have to be UTF-8 as well."""
    body = with_field(place.format("@")).replace(b"@", value)
    assert ("invalid_json", None) == refusal_of(body)[:2]


@pytest.mark.parametrize("place", ['"vendor": {}', MESSAGE])
@pytest.mark.parametrize("value", ["1e999", "-1e999", "9" * 5000])
@pytest.mark.parametrize("before", ["", '"n": 1.0, '])
def test_unknown_fields_are_readable(place: str, value: str, before: str) -> None:
    """Numbers that nobody can read are refused even in fields that the contract doesn't know."""
    assert "invalid_value" == refusal_of(with_field(before + place.format(value)))[0]


@pytest.mark.parametrize("value", ["12345678901234567890123", "-1e308", "0.1", "1.0"])
def test_unknown_numbers(value: str) -> None:
    """Numbers that are merely large are none of our business."""
    assert "zero" == DECODER.decode(with_field(MESSAGE.format(value))).model


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("depth", [300, 1_000, 100_000])
@pytest.mark.parametrize("field", ["vendor", "messages", "n", "metadata", "model"])
@pytest.mark.parametrize("before", ["", '"n": 1.0, '])
def test_deep_nesting(brackets: tuple[str, str], depth: int, field: str, before: str) -> None:
    """However deep a body is nested, in a field that the contract knows or not, it is refused and nothing breaks."""
    nested = brackets[0] * depth + "1" + brackets[1] * depth
    code = refusal_of(with_field(f'{before}"{field}": {nested}'))[0]
    assert code in {"invalid_json", "too_many_values"} or field != "vendor"


@pytest.mark.parametrize("depth", [1, 50, 150])
def test_reasonable_nesting(depth: int) -> None:
    """A field that the contract doesn't know may be nested as deep as anybody needs."""
    assert "zero" == DECODER.decode(with_field(f'"vendor": {"[" * depth}{"]" * depth}')).model


def test_many_brackets_are_not_deep() -> None:
    """It is the depth that is limited and not the number."""
    assert "zero" == DECODER.decode(with_field(f'"vendor": [{"[], " * 1000}{{}}], "user": "{"[{" * 500}"')).model


def test_duplicate_keys() -> None:
    """Of a field that comes twice the last one counts, as with every JSON parser in use."""
    assert "b" == DECODER.decode(with_field('"user": "a", "user": "b"')).user


@pytest.mark.parametrize("name", bodies())
def test_valid_bodies(name: str) -> None:
    """Everything that the contract describes is decoded."""
    body = bodies()[name]
    assert body["model"] == DECODER.decode(json.dumps(body).encode()).model


def survives(body: bytes) -> None:
    """Decode a body; it may be refused, and nothing else may happen. What is accepted is JSON in every place."""
    try:
        DECODER.decode(body)
    except InvalidRequest as error:
        # The refusal can be sent: it is text without surrogates.
        f"{error.message}{error.param}".encode()
        return
    json.loads(body.decode())


@given(st.binary())
@example(b"\x00")
@example(b'{"\xff": 1}')
def test_arbitrary_bytes(body: bytes) -> None:
    """No bytes make it raise anything but the refusal."""
    survives(body)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted(CreateChatCompletionRequest.__struct_fields__)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_arbitrary_fields(fields: dict[str, object]) -> None:
    """No value of any field does either."""
    survives(json.dumps({**SMALLEST, **fields}).encode())


@given(st.data())
def test_damaged_bodies(data: st.DataObject) -> None:
    """Nor does a valid body with some bytes cut out or put in."""
    body = json.dumps(bodies()[data.draw(st.sampled_from(sorted(bodies())))]).encode()[:2000]
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 5)))
    survives(body[:start] + data.draw(st.binary(max_size=3)) + body[end:])


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "messages": [{"role": "user", "content": "a", "zz": 1e999}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "zz": [{"a": 1e999}]}',
    ],
)
def test_a_fault_in_an_unknown_field_names_no_wrong_place(body: bytes) -> None:
    """msgspec leaves the names out there, and half a path would point the client to something else."""
    with pytest.raises(InvalidRequest) as refusal:
        BodyDecoder(CreateChatCompletionRequest).decode(body)

    assert (None, "Invalid value: Number out of range.") == (refusal.value.param, refusal.value.message)


@pytest.mark.parametrize("blanks", [0, 200_000])
@pytest.mark.parametrize("body", [b"1.0", b"1", b'"x"', b"null"])
def test_what_is_no_object_is_said_to_be_none(body: bytes, blanks: int) -> None:
    """Whatever else it is, and however large."""
    assert ("invalid_type", None) == refusal_of(body + b" " * blanks)[:2]


@pytest.mark.parametrize(("length", "refused"), [(512, False), (513, True), (300_000, True)])
def test_a_model_has_512_characters_at_most(length: int, refused: bool) -> None:
    """Each chunk of an answer repeats it."""
    body = json.dumps({**SMALLEST, "model": "m" * length}).encode()
    if refused:
        assert ("invalid_value", "model") == refusal_of(body)[:2]
    else:
        assert length == len(DECODER.decode(body).model)
