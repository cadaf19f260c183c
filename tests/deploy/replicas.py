"""Replicas as ``zero gateway`` on a database, nginx in front of them, and clients that miss nothing."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.cli.command import ZERO, environ
from tests.deploy.test_nginx import started
from tests.live_gateway import TOKEN, free_port

SECONDS: Final = 30.0
CLIENTS: Final = 16
WORDS: Final = "one two three four five six seven eight nine ten eleven twelve"


class Replica:
    """A ``zero gateway`` that can be restarted.

    Args:
        home: An empty folder.
        config: The configuration.
        arguments: Further arguments.
    """

    def __init__(self, home: Path, config: Mapping[str, Any], *arguments: str) -> None:
        home.mkdir()
        self.home = home
        self.config_file = home / "zero.json"
        self.config_file.write_text(json.dumps(config))
        self.port = free_port()
        self.log_file = home / "log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [str(ZERO), "gateway", "--config", str(self.config_file), "--port", str(self.port), *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environ(self.home), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + SECONDS
        while not self.ready():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log

    def ready(self) -> bool:
        """Tell whether it is ready, by a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            time.sleep(0.05)
            return False
        finally:
            connection.close()

    def terminate(self) -> None:
        """Have it begin to end."""
        assert self._process is not None
        self._process.terminate()

    def ended(self) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        return self._process.wait(SECONDS)

    def stop(self) -> None:
        """Have it end in good order, if it lives."""
        assert self._process is not None
        if self._process.poll() is None:
            self.terminate()
            self.ended()

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_file.read_text()


class Answer(NamedTuple):
    """What came of one request: its status (0 if it got none), by what it was answered, and what was wrong with it."""

    status: int
    revision: str
    agent: str
    text: str
    fault: str


class Load:
    """Clients that ask until the end of the block: JSON and streams in turn, every other client in a session.

    Each keeps its connection, as SDKs do.

    Args:
        port: Where they ask.
        model: What they ask for.
    """

    def __init__(self, port: int, model: str = "zero") -> None:
        self._port = port
        self._model = model
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(number,), daemon=True) for number in range(CLIENTS)
        ]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        deadline = time.monotonic() + SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        assert not any(thread.is_alive() for thread in self._threads), "somebody waits for ever"

    def more(self, number: int) -> None:
        """Wait until so many more are answered."""
        wanted, deadline = len(self.answers) + number, time.monotonic() + SECONDS
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, "nobody is answered any more"
            time.sleep(0.01)

    @property
    def faults(self) -> list[Answer]:
        """Those that were not answered as they should be."""
        return [one for one in self.answers if one.status != 200 or one.fault]

    def _ask_on(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        turn = 0
        while not self._enough.is_set():
            turn += 1
            try:
                self.answers.append(self._asked(connection, client, streamed=(client + turn) % 2 == 0))
            except (OSError, http.client.HTTPException) as error:
                self.answers.append(Answer(0, "", "", "", repr(error)))
                connection.close()
        connection.close()

    def _asked(self, connection: http.client.HTTPConnection, client: int, *, streamed: bool) -> Answer:
        body = {"model": self._model, "stream": streamed, "messages": [{"role": "user", "content": WORDS}]}
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        if client % 2:
            headers["x-zero-session-key"] = f"client-{client}"
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        agent, session = (response.headers.get(f"x-zero-{name}", "") for name in ("agent-id", "session-key"))
        by = response.headers.get("x-zero-config-revision", ""), agent
        data = response.read()
        if response.status != 200:
            return Answer(response.status, *by, "", data.decode())
        if not session.startswith(f"agent:{agent}:"):
            return Answer(200, *by, "", f"{agent} has answered in {session}")
        if not streamed:
            return Answer(200, *by, json.loads(data)["choices"][0]["message"]["content"], "")
        if not data.endswith(b"data: [DONE]\n\n"):
            return Answer(200, *by, "", f"the stream ends in {data[-200:]!r}")
        chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
        errors = [chunk for chunk in chunks if "error" in chunk]
        deltas = (choice["delta"] for chunk in chunks if "error" not in chunk for choice in chunk["choices"])
        return Answer(200, *by, "".join(delta.get("content") or "" for delta in deltas), str(errors or ""))


@contextmanager
def behind_nginx(
    folder: Path, configs: list[Mapping[str, Any]], *arguments: str
) -> Iterator[tuple[int, list[Replica]]]:
    """Start two replicas and nginx; give its port and them. None of them fails without a word."""
    replicas: list[Replica] = []
    with ExitStack() as stack:
        for number, config in enumerate(configs):
            replicas.append(Replica(folder / f"replica-{number}", config, *arguments))
            stack.callback(replicas[-1].stop)
        port = free_port()
        (folder / "nginx").mkdir()
        process = started(folder / "nginx", port, *replicas)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        yield port, replicas
    assert "Traceback" not in "".join(one.log for one in replicas)
