"""The tree of files in README.md is the repository's."""

from __future__ import annotations

from pathlib import Path

from tests.documents import ROOT, fenced

[TREE] = (block.text for block in fenced(ROOT / "README.md", "text"))


def named() -> list[Path]:
    """Return the files and folders that the tree names."""
    found, inside = [], ROOT
    for line in TREE.splitlines():
        name = line.split()[0]
        found.append((inside if line.startswith("  ") else ROOT) / name)
        if name.endswith("/") and not line.startswith("  "):
            inside = ROOT / name
    return found


def test_everything_in_it_is_there() -> None:
    """A file or folder that moved has to move in the tree, too."""
    assert [] == [place for place in named() if not place.exists()]


def test_every_room_is_in_it() -> None:
    """A new folder of the application, or of the repository, has to be in the tree."""
    folders = {place for place in named() if place.is_dir()}
    rooms = {place for place in (ROOT / "app").iterdir() if (place / "__init__.py").is_file()}
    assert set() == rooms - folders
