"""Editing a file: tried, then replaced in one step. What a person sees of it is in tests/cli/test_config.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.config import Change, ConfigError, edit
from app.config.sole_editor import sole_editor


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
    """Something that can't be put aside is in the way: the file stays as it is."""
    file = tmp_path / "zero.json"
    file.write_text("{}")
    draft = file.with_name(f".zero.json.{os.getpid()}")
    draft.mkdir()
    with pytest.raises(ConfigError, match="can't be written: Is a directory"):
        edit(file, [(("gateway", "port"), 18790)], {})

    assert "{}" == file.read_text()


def test_a_killed_process_is_in_nobodys_way(tmp_path: Path) -> None:
    """Its draft is put aside: in a container the next process may have the same id, and the one after that as well."""
    file = tmp_path / "zero.json"
    file.write_text("{}")
    file.with_name(f".zero.json.{os.getpid()}").write_text("half")
    edit(file, [(("gateway", "port"), 18790)], {})

    assert "{ gateway: { port: 18790 } }" == file.read_text()
    assert [file] == list(tmp_path.iterdir())


def test_changes_may_depend_on_what_the_file_says(tmp_path: Path) -> None:
    """They are asked for when nobody else edits the file any more, and not before."""
    file = tmp_path / "zero.json"
    file.write_text("{}")

    def changes() -> list[Change]:
        with pytest.raises(ConfigError, match="another command has been changing files"), sole_editor(file, 0.0):
            raise AssertionError("two at once")
        return [(("gateway", "port"), 18790)]

    assert 18790 == edit(file, changes, {}).config.gateway.port


def test_a_file_that_is_no_json5_is_not_touched(tmp_path: Path) -> None:
    """The message says where it stops being so."""
    file = tmp_path / "zero.json"
    file.write_text("{ a: ")
    with pytest.raises(ConfigError, match="not JSON5"):
        edit(file, [(("gateway", "port"), 18790)], {})

    assert "{ a: " == file.read_text()
