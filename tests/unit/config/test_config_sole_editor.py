"""One editor at a time, whatever the folder is like."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import ConfigError
from app.config.sole_editor import sole_editor


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    """And has its turn then; nothing is left behind."""
    file = tmp_path / "zero.json"
    with sole_editor(file), pytest.raises(ConfigError, match=r"for 0 s\. Try again\."), sole_editor(file, 0.0):
        raise AssertionError("two at once")
    with sole_editor(file, 0.0):
        assert [] == list(tmp_path.iterdir())


def test_a_link_leads_to_the_same_lock(tmp_path: Path) -> None:
    """It is the file that is edited, under whichever name."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    file = tmp_path / "there" / "zero.json"
    file.write_text("{}")
    link = tmp_path / "here" / "zero.json"
    link.symlink_to(file)

    with sole_editor(link), pytest.raises(ConfigError, match="another command"), sole_editor(file, 0.0):
        raise AssertionError("two at once")


def test_a_folder_that_is_read_only_can_be_locked(tmp_path: Path) -> None:
    """Whether the file can be written is for others to find out."""
    tmp_path.chmod(0o500)
    with sole_editor(tmp_path / "zero.json", 0.0):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """There is nobody to wait for, and reading the file says what is wrong."""
    with sole_editor(tmp_path / "none" / "zero.json", 0.0):
        pass


def test_what_is_no_folder(tmp_path: Path) -> None:
    """It is told, and nothing is edited."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be opened"), sole_editor(tmp_path / "file" / "zero.json"):
        raise AssertionError("not reached")


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EBADF])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    """Some network ones have none: editing goes on without."""
    monkeypatch.setattr(fcntl, "flock", failing(reason))
    with sole_editor(tmp_path / "zero.json"):
        pass


def test_any_other_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one."""
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with pytest.raises(ConfigError, match="can't be locked: made up"), sole_editor(tmp_path / "zero.json"):
        raise AssertionError("not reached")


def failing(reason: int) -> Callable[[int, int], None]:
    """Return a ``flock`` that fails: there is no such file system here."""

    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(reason, "made up")

    return flock
