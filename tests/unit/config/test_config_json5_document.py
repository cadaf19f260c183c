"""Reading one JSON5 file: what is accepted, and the words for what isn't."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.config.error import ConfigError
from app.config.json5_document import MAX_DEPTH, read_document


def written(folder: Path, content: str | bytes) -> Path:
    """Write a configuration file."""
    file = folder / "zero.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_json5_is_read(tmp_path: Path) -> None:
    """Comments, bare keys, single quotes, trailing commas, hexadecimal and a byte order mark are JSON5."""
    file = written(tmp_path, "\ufeff// hi\n{a: 'x', \"b\": [1, .5, 0x10, +1, null, true,], /* c */ 'd e': {},}")
    assert read_document(file) == {"a": "x", "b": [1, 0.5, 16, 1, None, True], "d e": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "{a: 1,\n b: }",
            ':2:5: not JSON5: unexpected "}". Look there, or just before it, for a missing comma, quote or bracket.',
        ),
        (
            "{é: 'ü', b: 1 c}",
            ':1:15: not JSON5: unexpected "c". Look there, or just before it, for a missing comma, quote or bracket.',
        ),
        (
            "{a: 'x\n'}",
            ':1:7: not JSON5: unexpected "\\n". Look there, or just before it, for a missing comma, quote or bracket.',
        ),
        (
            "{a: [",
            (
                ":1:6: not JSON5: unexpected end of input. "
                "Look there, or just before it, for a missing comma, quote or bracket."
            ),
        ),
        ("", ": is empty. Write an object: {}."),
        ("[1]", ": the document is not an object. Put braces around it: { ... }."),
        ("null", ": the document is not an object. Put braces around it: { ... }."),
        ("{a: {b: 1, 'b': 2}}", ": a.b: the key is written twice in one object. Remove one of the two."),
        ("{l: [{k: 1, k: 1}]}", ": l[0].k: the key is written twice in one object. Remove one of the two."),
        ("{a: Infinity}", ": a: the number is infinite, not a number, or too large. Write an ordinary number."),
        ("{a: -Infinity}", ": a: the number is infinite, not a number, or too large. Write an ordinary number."),
        ("{a: [NaN]}", ": a[0]: the number is infinite, not a number, or too large. Write an ordinary number."),
        ("{a: 1e999}", ": a: the number is infinite, not a number, or too large. Write an ordinary number."),
        (f"{{a: {2**64}}}", ": a: the number is infinite, not a number, or too large. Write an ordinary number."),
        ("{a: 1" + "0" * 5000 + "}", ": holds a number that is too large. Numbers have at most 64 bits."),
        ('{a: "\\ud800"}', ": a: the string has half a surrogate pair. Write the character itself."),
        ('{"\\ud800": 1}', ": a key has half a surrogate pair. Write the character itself."),
        (b"{a: 'ok',\n b: '\xc3\xa9\xff'}", ":2:7: byte 0xff is not UTF-8. Save the file as UTF-8."),
        (
            "{a: " + "[" * (MAX_DEPTH) + "]" * (MAX_DEPTH) + "}",
            ": a[0][0]: nested deeper than 32 levels. Flatten it.",
        ),
        ("{a: " + "[" * 900 + "]" * 900 + "}", ": nested deeper than 32 levels. Flatten it."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    """An unusable document is refused with file, line and column or path, problem and remedy."""
    file = written(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert f"{file}{message}" == str(caught.value)
    assert file == caught.value.file


def test_the_deepest_allowed_nesting_is_read(tmp_path: Path) -> None:
    """A document at the limit is fine."""
    file = written(tmp_path, "{a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}")
    assert list(read_document(file)) == ["a"]


def test_the_largest_integer_is_kept_exactly(tmp_path: Path) -> None:
    """An integer of 64 bits does not lose digits."""
    assert read_document(written(tmp_path, f"{{a: {2**64 - 1}}}")) == {"a": 2**64 - 1}


def test_an_error_has_line_and_column_as_numbers(tmp_path: Path) -> None:
    """Callers can point at a syntax error without parsing the message."""
    with pytest.raises(ConfigError) as caught:
        read_document(written(tmp_path, "{\n  a 1}"))
    assert (caught.value.line, caught.value.column) == (2, 5)


def test_paths_start_where_the_document_will_stand(tmp_path: Path) -> None:
    """A document that is included deeper down names its faults from the root."""
    with pytest.raises(ConfigError) as caught:
        read_document(written(tmp_path, "{a: NaN}"), ("agents", "list", 2))
    assert caught.value.path == "agents.list[2].a"


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    """A directory in the file's place gives the system's reason."""
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: cannot be read: Is a directory. Make it a file that the gateway's user may read."
    )


@settings(
    max_examples=150, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.one_of(st.text(max_size=30), st.text("{}[]:,'\"ab1.e+-\\ux0 \n/*$", max_size=30), st.binary(max_size=20)))
@example("{a: '\\u12'}")
@example("{a: 0x}")
@example("   ")
def test_any_content_is_a_document_or_a_clear_error(tmp_path: Path, content: str | bytes) -> None:
    """Nothing but ConfigError comes out of a file, whatever is in it."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    file = written(tmp_path, data)
    document, message = None, ""
    try:
        document = read_document(file)
    except ConfigError as error:
        message = str(error)
    assert isinstance(document, dict) or message.startswith(f"{file}:")
