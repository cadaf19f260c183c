"""Running a code generator, whose every remark counts as a fault of the document.

Knows nothing of a particular generator: each says which lines it prints when all is well.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACT: Final = ROOT / "openapi.yaml"
FOLDER: Final = ROOT / "build" / "sdks"
SECONDS: Final = 300.0
"""After this a program is given up."""

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


class GeneratorError(RuntimeError):
    """A generator or a type checker failed, or had something to say about the document."""


class Client(NamedTuple):
    """A client that was generated.

    Args:
        language: What it is written in.
        folder: The package, ready to be installed.
        checked: How its types were checked.
    """

    language: str
    folder: Path
    checked: str

    def __str__(self) -> str:
        """Say it in a line, with the size of the sources."""
        found = (file for suffix in ("py", "ts") for file in self.folder.rglob(f"*.{suffix}"))
        sources = [file for file in found if "dist" not in file.parts]
        size = sum(file.stat().st_size for file in sources) / 1000
        place = self.folder.relative_to(ROOT) if self.folder.is_relative_to(ROOT) else self.folder
        return f"{self.language}: {place}, {len(sources)} files, {size:.0f} kB, {self.checked}"


def run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        environ: Further environment variables.

    Returns:
        What it printed, stderr included, without colours.

    Raises:
        GeneratorError: It ended with a status other than 0.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    printed = _COLOURS.sub("", done.stdout)
    if done.returncode:
        raise GeneratorError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}:\n{printed}")
    return printed


def refuse_remarks(printed: str, ordinary: Sequence[str], tolerated: Mapping[str, str]) -> None:
    """Take every line that a generator doesn't print when all is well for a warning about the document.

    Args:
        printed: Its output.
        ordinary: Patterns of the lines that mean nothing.
        tolerated: Patterns of the warnings that we live with, each with the reason.

    Raises:
        GeneratorError: There were other lines, which the message has.
    """
    if remarks := list(_others(printed, [*ordinary, *tolerated])):
        raise GeneratorError("the generator warned about the document:\n" + "\n".join(remarks))


def _others(printed: str, patterns: Sequence[str]) -> Iterator[str]:
    for line in printed.splitlines():
        if line.strip() and not any(re.fullmatch(pattern, line.strip()) for pattern in patterns):
            yield line
