"""Records as they are written: on one line each, whoever's words are in them."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest

from app.log import MAX_CHARACTERS, OneLine, escaped, indented, logger


def written(message: object, *args: object, fails: bool = False) -> str:
    """Return what a handler writes of a record that came by two filters."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("AT %(message)s"))
    handler.addFilter(OneLine())
    log = logger("zero.test_log")
    log.addHandler(handler)
    log.propagate = False
    try:
        if fails:
            raise ValueError("a\nAT forged\x1b[31m")
        log.warning(message, *args)
    except ValueError as error:
        log.warning(message, *args, exc_info=error)
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain wörld 😀 \\n", "plain wörld 😀 \\n"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m\x9b\x7f\0", "\\x1b[31m\\x9b\\x7f\\x00"),
        ("\x85\u2028\u2029\u202e\u2066\u200f", "\\x85\\u2028\\u2029\\u202e\\u2066\\u200f"),
        ("\ud800", "\\ud800"),
        ("x" * MAX_CHARACTERS, "x" * MAX_CHARACTERS),
        ("x" * (MAX_CHARACTERS + 1), f"{'x' * MAX_CHARACTERS}... ({MAX_CHARACTERS + 1} characters)"),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    """What steers terminals or ends lines is spelled out, everything else stays."""
    assert expected == escaped(text)


def test_a_message_and_its_values() -> None:
    """Both are on the line."""
    assert "AT a\\nAT b 1\n" == written("a\n%s %d", "AT b", 1)


def test_a_template_that_does_not_fit() -> None:
    """It is no reason to fail, and is escaped all the same."""
    assert "AT '%d\\n' ('x\\nAT y',)\n" == written("%d\n", "x\nAT y")


def test_a_traceback() -> None:
    """Its lines are indented, and so is what an exception says on lines of its own."""
    lines = written("failed", fails=True).splitlines()
    assert "AT failed" == lines[0]
    assert ["    ValueError: a", "    AT forged\\x1b[31m"] == lines[-2:]
    assert all(line.startswith("    ") for line in lines[1:])


def test_lines() -> None:
    """Of several lines each is indented."""
    assert "    a\n      b\n    " == indented("a\n  b\n")


def test_nobody_goes_past_it() -> None:
    """Whoever logs has its logger from here; commands may set levels of others."""
    app = Path(__file__).parents[2] / "app"
    past = {path for path in app.rglob("*.py") if re.search(r"getLogger\(", path.read_text())}
    assert {app / "log.py", app / "cli" / "gateway.py", app / "cli" / "local_turn.py"} == past


def test_one_filter_per_logger() -> None:
    """A logger that is asked for twice is the same."""
    assert logger("zero.test_log") is logger("zero.test_log")
    assert 1 == len(logger("zero.test_log").filters)
