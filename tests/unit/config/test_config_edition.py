"""Editing a file: tried, then replaced in one step. What a person sees of it is in tests/cli/test_config.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import ConfigError, edit


def test_variables_stay_variables(tmp_path: Path) -> None:
    """The file keeps ``${NAME}``; what it stands for is only looked at to check the result."""
    file = tmp_path / "zero.json"
    file.write_text("{ gateway: { auth: { token: '${TOKEN}' } } }")
    loaded = edit(file, [(("gateway", "port"), 18790)], {"TOKEN": "s3cret"})

    assert "{ gateway: { auth: { token: '${TOKEN}' }, port: 18790 } }" == file.read_text()
    assert ("s3cret", 18790) == (loaded.config.gateway.auth.token, loaded.config.gateway.port)


def test_several_changes_are_one(tmp_path: Path) -> None:
    """Where the last can't be made, the first isn't either."""
    file = tmp_path / "zero.json"
    file.write_text("{}")
    with pytest.raises(ConfigError, match="not a list"):
        edit(file, [(("gateway", "port"), 18790), (("gateway", 0), 1)], {})

    assert "{}" == file.read_text()


def test_what_can_not_be_written_is_told(tmp_path: Path) -> None:
    """A draft of another process that is in the way isn't overwritten, and the file stays."""
    file = tmp_path / "zero.json"
    file.write_text("{}")
    draft = file.with_name(f".zero.json.{__import__('os').getpid()}")
    draft.mkdir()
    with pytest.raises(ConfigError, match="can't be written: File exists"):
        edit(file, [(("gateway", "port"), 18790)], {})

    assert "{}" == file.read_text()


def test_a_file_that_is_no_json5_is_not_touched(tmp_path: Path) -> None:
    """The message says where it stops being so."""
    file = tmp_path / "zero.json"
    file.write_text("{ a: ")
    with pytest.raises(ConfigError, match="not JSON5"):
        edit(file, [(("gateway", "port"), 18790)], {})

    assert "{ a: " == file.read_text()
