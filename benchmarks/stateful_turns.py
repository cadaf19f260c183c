"""What a turn in a session costs the gateway, and that turn 1,000 costs what turn 10 does.

The echo engine answers at once, so that the whole time of a request is the gateway's own; the client is a bare socket
with keep-alive. Sessions of several lengths are prepared, and measured in turns, a few requests at a time, so that a
machine that is busy with something else is so for all of them. CPU is the server process's, from /proc; of PostgreSQL's
own work nothing is in it. Prints a table; writes the same as JSON to build/benchmarks/stateful_turns.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

ROOT: Final = Path(__file__).parent.parent
STARTS: Final = (10, 250, 500, 950)
TURNS: Final = 50
BLOCK: Final = 10
"""Turns of one session before the next one's turn comes."""
WINDOW: Final = 4096
TOKEN: Final = "benchmark"  # noqa: S105 - of a gateway that nobody else reaches
HABITS: Final = ("last message only", "everything resent")
AGENTS: Final = {"window": f"{WINDOW} tokens", "unbounded": "unknown"}
WORDS: Final = "What do you know about the weather in Lisbon on a day like this one, and what should I wear?"


class Gateway:
    """A gateway in a process of its own.

    Args:
        folder: For its configuration and state.
        store: What ``session.store`` is to say.
    """

    def __init__(self, folder: Path, store: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        config = folder / "zero.json"
        config.write_text(json.dumps(configuration(store)))
        environ = {**os.environ, "ZERO_CONFIG_PATH": str(config), "ZERO_STATE_DIR": str(folder)}
        command = [sys.executable, "-m", "uvicorn", "app:gateway", "--port", str(self.port)]
        others = ["--log-level", "error", "--no-access-log", "--timeout-keep-alive", "600"]
        self._process = subprocess.Popen([*command, *others], env=environ, cwd=ROOT)  # noqa: S603 - our own command

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self._process.kill()
        raise SystemExit("the gateway doesn't listen within 30 s")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used, all threads together."""
        threads = Path(f"/proc/{self._process.pid}/task")
        try:
            # In nanoseconds; where the kernel keeps no such statistics, in its ticks of some 10 ms.
            return sum(int((one / "schedstat").read_text().split()[0]) for one in threads.iterdir()) / 1e9
        except FileNotFoundError:
            fields = (threads.parent / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Talk:
    """A client in a conversation.

    Args:
        port: Where the gateway listens.
        agent: The agent's id.
        key: The session's key; empty for none.
    """

    def __init__(self, port: int, agent: str, key: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._agent = agent
        self._key = key
        self._said: list[dict[str, str]] = []
        self._turn = 0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def turn(self, *, everything: bool = False) -> float:
        """Say something and read the answer; return the seconds between."""
        self._turn += 1
        message = {"role": "user", "content": f"{self._turn}. {WORDS}"}
        messages = [*self._said, message] if everything else [message]
        body = json.dumps({"model": f"zero:{self._agent}", "messages": messages}).encode()
        key = f"x-zero-session-key: {self._key}\r\n" if self._key else ""
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {TOKEN}\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._connection.sendall(head.encode() + body)
        answer = self._answer()
        took = time.perf_counter() - began
        self._said += [message, {"role": "assistant", "content": answer["choices"][0]["message"]["content"]}]
        return took

    def _answer(self) -> Any:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        while len(body) < length:
            body += self._more()
        if not lines[0].startswith("http/1.1 200"):
            raise SystemExit(f"{lines[0]}: {body.decode()}")
        return json.loads(body)

    def _more(self) -> bytes:
        some = self._connection.recv(1 << 16)
        if not some:
            raise SystemExit("the gateway has hung up")
        return some


class Figure(NamedTuple):
    """What turns of a kind cost: a median, and CPU per turn, in milliseconds."""

    p50: float
    cpu: float


def configuration(store: str) -> dict[str, Any]:
    """Return what the gateway is to be: an agent whose model's window is known, and one whose isn't."""
    agents: list[dict[str, Any]] = [{"id": name, "model": "echo/echo"} for name in AGENTS]
    agents[0]["contextTokens"] = WINDOW
    return {
        "gateway": {"auth": {"token": TOKEN}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
        "session": {"store": store},
        "agents": {"list": agents},
    }


def measured(gateway: Gateway, agent: str, habit: str, rounds: int, starts: tuple[int, ...]) -> dict[int, Figure]:
    """Return what a turn costs in sessions that have ``starts`` turns already; 0 is a request without a session."""
    times: dict[int, list[float]] = {start: [] for start in (0, *starts)}
    cpu = dict.fromkeys(times, 0.0)
    for number in range(rounds):
        with ExitStack() as stack:
            talks = {
                start: Talk(gateway.port, agent, f"{habit[:4]}-{number}-{start}" if start else "") for start in times
            }
            for start, talk in talks.items():
                stack.callback(talk.close)
                for _ in range(start - 1):
                    talk.turn()
            for _ in range(0, TURNS, BLOCK):
                for start, talk in talks.items():
                    before = gateway.cpu()
                    times[start] += [talk.turn(everything=bool(start) and habit == HABITS[1]) for _ in range(BLOCK)]
                    cpu[start] += gateway.cpu() - before
    return {
        start: Figure(statistics.median(times[start]) * 1e3, cpu[start] / len(times[start]) * 1e3) for start in times
    }


@contextmanager
def stores(wanted: str) -> Iterator[dict[str, str]]:
    """Yield the stores to measure, by name: what ``session.store`` says."""
    with ExitStack() as stack:
        found = {"sqlite": "sqlite"} if wanted != "postgresql" else {}
        if wanted != "sqlite":
            from tests.sessions.postgresql_server import PostgresqlServer

            found["postgresql"] = stack.enter_context(PostgresqlServer()).database()
        yield found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--starts", type=int, nargs="+", default=STARTS, help="turns that a session has before")
    asked = options.parse_args()
    starts: tuple[int, ...] = tuple(asked.starts)
    columns = [f"turns {start}-{start + TURNS}" for start in starts]
    lines = [
        f"| store | client sends | model's window | stateless | {' | '.join(columns)} | last / first |",
        "| --- " * (len(columns) + 5) + "|",
    ]
    rows: list[dict[str, Any]] = []
    with stores(asked.store) as found:
        for store, setting in found.items():
            with tempfile.TemporaryDirectory() as folder, Gateway(Path(folder), setting) as gateway:
                for agent, window in AGENTS.items():
                    for habit in HABITS:
                        figures = measured(gateway, agent, habit, asked.rounds, starts)
                        first, last = figures[starts[0]], figures[starts[-1]]
                        ratio = Figure(last.p50 / first.p50, last.cpu / first.cpu)
                        cells = [f"{figure.p50:.2f} / {figure.cpu:.2f}" for figure in figures.values()]
                        parts = [store, habit, window, *cells, f"{ratio.p50:.2f} / {ratio.cpu:.2f}"]
                        lines.append(f"| {' | '.join(parts)} |")
                        rows.append(
                            {
                                "store": store,
                                "habit": habit,
                                "window": window,
                                "turns": {str(start): figure._asdict() for start, figure in figures.items()},
                                "ratio": ratio._asdict(),
                            }
                        )
    print("Time of a turn (median) / CPU per turn, in ms.\n")
    print("\n".join(lines))
    place = ROOT / "build" / "benchmarks" / "stateful_turns.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
    place.write_text(json.dumps({"machine": machine, "rounds": asked.rounds, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
