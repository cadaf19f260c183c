"""A reader's machine: a home folder, a checkout, the commands that the documents speak of, and a gateway.

Owns the folder and the processes. Knows nothing of what is in a snippet, but for the words that a reader replaces: the
port, ``YOUR_TOKEN`` and ``SEU_TOKEN``.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from tests.cli.command import ZERO
from tests.documents import ROOT
from tests.live_gateway import TOKEN, configuration, free_port
from tests.snippets import terminal

SECONDS: Final = 60.0
PORT: Final = "18789"
_BIN: Final = ZERO.parent
_AGENTS: Final = ("main", "beta", "echo", "code", "support", "sales", "reviewer")
_CHECKOUT: Final = ("Makefile", "pyproject.toml", "app", "examples", "contracts", "openapi.yaml", "deploy")
# Programs that aren't ours and needn't be there: a store of passwords, and a reader of JSON.
_PASS: Final = '#!/bin/sh\n[ "$1" = show ] && echo a-secret-of-this-store\n'
_JQ: Final = """\
#!{python}
import json, sys
assert ["-r", ".text"] == sys.argv[1:]
print(json.load(sys.stdin)["text"])
"""

_NO_PYTHON: Final = "#!/bin/sh\necho 'Nothing but `make run` is run here: say in a comment why not.' >&2; exit 1\n"


class Printed(NamedTuple):
    """What a command has done."""

    code: int
    out: str
    err: str


def agents() -> dict[str, Any]:
    """Return the configuration of a gateway that has every agent of the documents, each of which echoes."""
    return configuration(agents={"list": [{"id": name, "model": "echo/echo"} for name in _AGENTS]})


class Stage:
    """Use it as a context manager; what was started in it ends with it.

    Args:
        folder: An empty one.
        config: The configuration in the home folder; without one there is none.
    """

    def __init__(self, folder: Path, config: dict[str, Any] | None) -> None:
        self.folder = folder
        self.port = str(free_port())
        self._servers = folder / "servers"
        self._prepare_commands()
        self._prepare_checkout()
        self._variables = {
            "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "ZERO_GATEWAY_PORT": self.port,
            "UVICORN_PORT": self.port,
            "STAGE_PORT": self.port,
            "STAGE_SERVERS": str(self._servers),
            "PYTHONPATH": str(ROOT),
        }
        if config is not None:
            self._variables["ZERO_GATEWAY_TOKEN"] = TOKEN
            self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration in the home folder."""
        (self.folder / ".zero").mkdir(exist_ok=True)
        (self.folder / ".zero" / "zero.json").write_text(json.dumps(config))

    def run(self, text: str) -> Printed:
        """Type commands, each of which must succeed, with nobody at the keyboard."""
        return self._printed(["bash", "-euo", "pipefail", "-c", self.filled_in(text)])

    def run_program(self, text: str) -> Printed:
        """Run a Python program."""
        return self._printed([sys.executable, "-c", self.filled_in(text)])

    def filled_in(self, text: str) -> str:
        """Put a reader's own words into a snippet."""
        for word, mine in ((PORT, self.port), ("YOUR_TOKEN", TOKEN), ("SEU_TOKEN", TOKEN)):
            text = text.replace(word, mine)
        return text

    def stop(self) -> None:
        """End what serves."""
        pids = [int(line) for line in self._servers.read_text().splitlines()] if self._servers.exists() else []
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        # They are nobody's children any more: only /proc says when they have gone.
        while [pid for pid in pids if _lives(pid)]:
            assert time.monotonic() < deadline, f"{pids} don't end"
            time.sleep(0.02)
        self._servers.unlink(missing_ok=True)

    def _printed(self, command: list[str]) -> Printed:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Printed(done.returncode, done.stdout, done.stderr)

    def _prepare_commands(self) -> None:
        for folder in (self.folder / "bin", self.folder / ".venv" / "bin"):
            folder.mkdir(parents=True)
            for name in ("zero", "uvicorn"):
                words = (sys.executable, terminal.__file__, str(_BIN / name))
                _write_program(folder / name, f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        _write_program(self.folder / "bin" / "pass", _PASS)
        _write_program(self.folder / "bin" / "jq", _JQ.format(python=sys.executable))
        (self.folder / ".config" / "fish" / "completions").mkdir(parents=True)
        # An error's status is a failure of the command.
        (self.folder / ".curlrc").write_text("fail-with-body\n")

    def _prepare_checkout(self) -> None:
        for name in _CHECKOUT:
            (self.folder / name).symlink_to(ROOT / name)
        # make finds its environment made, and can't fetch or start anything else with it.
        (self.folder / ".venv" / ".installed").touch()
        _write_program(self.folder / ".venv" / "bin" / "python", _NO_PYTHON)
        git = shutil.which("git")
        assert git, "git is not installed: a command of docs/cli.md begins with it"
        (self.folder / "notes.txt").write_text("one\n")
        for words in (("init", "--quiet"), ("add", "notes.txt")):
            subprocess.run([git, *words], cwd=self.folder, check=True, timeout=SECONDS)
        (self.folder / "notes.txt").write_text("two\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _lives(pid: int) -> bool:
    """Tell whether a process does something still; what it is called has gone before it has."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _write_program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
