"""What a turn in a session costs the gateway, and that turn 1,000 costs what turn 10 does.

The engine does nothing, so that what is measured is the gateway's own work. Each turn's request is sent once more
without a session: what that costs is the price of the bytes received, whoever sends them, and what the turn costs
beyond it is the price of the session. The same with a service behind the gateway that answers at once has the price
of the bytes sent on in it. The client is a bare socket with keep-alive. Sessions of several lengths are prepared, and
measured in turns, a few requests at a time, so that a machine that is busy with something else is so for all of them.
CPU is the gateway process's, from /proc; of PostgreSQL's own work nothing is in it. Prints tables; writes the same as
JSON to build/benchmarks/stateful_turns.json.
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
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

ROOT: Final = Path(__file__).parent.parent
STARTS: Final = (10, 250, 500, 980)
TURNS: Final = 20
BLOCK: Final = 5
"""Turns of one session before the next one's turn comes."""
WINDOW: Final = 4096
TOKEN: Final = "benchmark"  # noqa: S105 - of a gateway that nobody else reaches
HABITS: Final = ("last message only", "everything resent")
AGENTS: Final = {"window": f"{WINDOW} tokens", "unbounded": "unknown", "upstream": "unknown, with a service"}
WORDS: Final = "What do you know about the weather in Lisbon on a day like this one, and what should I wear?"
ENGINE: Final = f"""
from app.contract.models import CompletionUsage
from app.runs.event import Event, finish_event, text_event

class Instant:
    async def run(self, turn):
        yield text_event({WORDS!r}, more=True)
        yield finish_event("stop", more=True)
        yield Event(usage=CompletionUsage(prompt_tokens=20, completion_tokens=20, total_tokens=40))

    async def close(self):
        pass
"""
COMPLETION: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "any",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40},
    }
).encode()


class Service:
    """An OpenAI-compatible service that reads what it is sent without looking at it, and answers the same each time."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(COMPLETION)}\r\n\r\n"
        answer, data, buffer = head.encode() + COMPLETION, b"", bytearray(1 << 20)
        while True:
            while b"\r\n\r\n" not in data:
                if not (some := connection.recv(1 << 16)):
                    return
                data += some
            asked, _, rest = data.partition(b"\r\n\r\n")
            left = int(asked.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(rest)
            while left > 0:
                left -= connection.recv_into(buffer, left)
            data = b""
            connection.sendall(answer)


class Gateway:
    """A gateway in a process of its own.

    Args:
        folder: For its configuration and state.
        store: What ``session.store`` is to say.
        service: The port of the service behind it.
    """

    def __init__(self, folder: Path, store: str, service: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        config = folder / "zero.json"
        config.write_text(json.dumps(configuration(store, service)))
        plugins = with_engine(folder / "plugins")
        environ = {
            **os.environ,
            "ZERO_CONFIG_PATH": str(config),
            "ZERO_STATE_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join((str(plugins), str(ROOT))),
        }
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
        key: The session's key.
    """

    def __init__(self, port: int, agent: str, key: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._agent = agent
        self._key = key
        self._said: list[dict[str, str]] = []
        self._turn = 0
        self.body = b""
        """What was sent last."""

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def turn(self, *, everything: bool = False) -> float:
        """Say something and read the answer; return the seconds between."""
        self._turn += 1
        message = {"role": "user", "content": f"{self._turn}. {WORDS}"}
        messages = [*self._said, message] if everything else [message]
        self.body = json.dumps({"model": f"zero:{self._agent}", "messages": messages}).encode()
        took, answer = self._exchange(self.body, self._key)
        self._said += [message, {"role": "assistant", "content": answer["choices"][0]["message"]["content"]}]
        return took

    def without_session(self, body: bytes) -> float:
        """Send what a turn has sent once more, without a session; return the seconds that takes."""
        return self._exchange(body, "")[0]

    def _exchange(self, body: bytes, key: str) -> tuple[float, Any]:
        session = f"x-zero-session-key: {key}\r\n" if key else ""
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {TOKEN}\r\n{session}Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._connection.sendall(head.encode() + body)
        answer = self._answer()
        return time.perf_counter() - began, answer

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
    """What requests of a kind cost: CPU of each, and a median, in milliseconds."""

    cpu: float
    p50: float

    def beyond(self, other: Figure) -> Figure:
        """Return how much more it is than another."""
        return Figure(self.cpu - other.cpu, self.p50 - other.p50)


class Row(NamedTuple):
    """What turns of sessions of several lengths cost.

    Attributes:
        turn: In the session.
        stateless: The same requests without it.
        kilobytes: How long they are.
        parse: What msgspec takes to parse one, in ms: the least that anybody could do with it.
    """

    turn: dict[int, Figure]
    stateless: dict[int, Figure]
    kilobytes: dict[int, float]
    parse: dict[int, float]

    @property
    def session(self) -> dict[int, Figure]:
        """What the session costs: turns beyond the same requests without it."""
        return beyond(self.turn, self.stateless)


def beyond(ones: dict[int, Figure], others: dict[int, Figure]) -> dict[int, Figure]:
    """Return how much more ones are than others."""
    return {start: ones[start].beyond(others[start]) for start in ones}


def configuration(store: str, service: int) -> dict[str, Any]:
    """Return what the gateway is to be: agents whose model's window is known, isn't, and isn't with a service."""
    models = {"window": "instant/any", "unbounded": "instant/any", "upstream": "service/any"}
    agents: list[dict[str, Any]] = [{"id": name, "model": model} for name, model in models.items()]
    agents[0]["contextTokens"] = WINDOW
    return {
        "gateway": {"auth": {"token": TOKEN}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
        "session": {"store": store},
        "models": {"providers": {"service": {"baseUrl": f"http://127.0.0.1:{service}/v1", "apiKey": "any"}}},
        "agents": {"list": agents},
    }


def with_engine(folder: Path) -> Path:
    """Put a package into a folder that registers an engine which does nothing; return the folder."""
    about = folder / "instant-1.dist-info"
    about.mkdir(parents=True)
    (folder / "instant.py").write_text(ENGINE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: instant\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[zero.engines]\ninstant = instant:Instant\n")
    return folder


def measured(gateway: Gateway, agent: str, habit: str, rounds: int, starts: tuple[int, ...]) -> Row:
    """Return what a turn costs in sessions that have ``starts`` turns already."""
    everything = habit == HABITS[1]
    times: dict[int, list[float]] = {start: [] for start in starts}
    others: dict[int, list[float]] = {start: [] for start in starts}
    cpu, others_cpu = dict.fromkeys(starts, 0.0), dict.fromkeys(starts, 0.0)
    lengths: dict[int, list[int]] = {start: [] for start in starts}
    parse: dict[int, list[float]] = {start: [] for start in starts}
    for number in range(rounds):
        with ExitStack() as stack:
            talks = {start: Talk(gateway.port, agent, f"{habit[:4]}-{number}-{start}") for start in starts}
            for start, talk in talks.items():
                stack.callback(talk.close)
                for turn in range(1, start):
                    talk.turn(everything=everything and turn >= start - 2)
            for _ in range(0, TURNS, BLOCK):
                for start, talk in talks.items():
                    bodies = []
                    before = gateway.cpu()
                    for _ in range(BLOCK):
                        times[start].append(talk.turn(everything=everything))
                        bodies.append(talk.body)
                    between = gateway.cpu()
                    others[start] += [talk.without_session(body) for body in bodies]
                    cpu[start] += between - before
                    others_cpu[start] += gateway.cpu() - between
                    lengths[start] += map(len, bodies)
                    parse[start] += map(parsed, bodies)

    def figures(times: dict[int, list[float]], cpu: dict[int, float]) -> dict[int, Figure]:
        return {
            start: Figure(cpu[start] / len(times[start]) * 1e3, statistics.median(times[start]) * 1e3)
            for start in starts
        }

    return Row(
        figures(times, cpu),
        figures(others, others_cpu),
        {start: statistics.mean(lengths[start]) / 1024 for start in starts},
        {start: statistics.median(parse[start]) * 1e3 for start in starts},
    )


def parsed(body: bytes) -> float:
    """Return the seconds that msgspec takes to parse a body."""
    began = time.perf_counter()
    msgspec.json.decode(body)
    return time.perf_counter() - began


@contextmanager
def stores(wanted: str) -> Iterator[dict[str, str]]:
    """Yield the stores to measure, by name: what ``session.store`` says."""
    with ExitStack() as stack:
        found = {"sqlite": "sqlite"} if wanted != "postgresql" else {}
        if wanted != "sqlite":
            from tests.sessions.postgresql_server import PostgresqlServer

            found["postgresql"] = stack.enter_context(PostgresqlServer()).database()
        yield found


def line(cells: list[str], figures: dict[int, Figure]) -> str:
    """Return a table's line, with how many times the first the last is."""
    values = [f"{figure.cpu:.2f} / {figure.p50:.2f}" for figure in figures.values()]
    first, *_, last = figures.values()
    # How many times next to nothing something is says nothing.
    times = f"{last.cpu / first.cpu:.2f} / {last.p50 / first.p50:.2f}" if min(first) > 0.1 else ""
    return f"| {' | '.join([*cells, *values, times])} |"


def tables(store: str, rows: dict[tuple[str, str], Row], starts: tuple[int, ...]) -> Iterator[str]:
    """Yield the lines of what was measured with a store."""
    columns = [*(f"turns {start}-{start + TURNS}" for start in starts), "last / first"]
    yield f"\n{store}: CPU / median of the time, in ms.\n"
    yield f"| client sends | model's window | what | {' | '.join(columns)} |"
    yield "| --- " * (len(columns) + 3) + "|"
    for (habit, agent), row in rows.items():
        if agent != "upstream":
            yield line([habit, AGENTS[agent], "a turn"], row.turn)
            yield line(["", "", "the same request without a session"], row.stateless)
            yield line(["", "", "the session's part"], row.session)
    yield f"\n{store}: bytes, and what they cost.\n"
    yield f"| | {' | '.join(columns[:-1])} |"
    yield "| --- " * len(columns) + "|"
    whole = rows[HABITS[1], "unbounded"]
    sizes, first, last = whole.kilobytes, starts[0], starts[-1]
    yield f"| KiB that a client sends who resends everything | {' | '.join(f'{size:.1f}' for size in sizes.values())} |"
    yield f"| to parse them with msgspec alone, ms | {' | '.join(f'{one:.2f}' for one in whole.parse.values())} |"
    sent = {
        "without a session": beyond(rows[HABITS[1], "upstream"].stateless, whole.stateless),
        **{
            f"in a session, client sends {habit}": beyond(rows[habit, "upstream"].turn, rows[habit, "unbounded"].turn)
            for habit in HABITS
        },
    }
    for where, figures in sent.items():
        values = " | ".join(f"{figure.cpu:.2f} / {figure.p50:.2f}" for figure in figures.values())
        yield f"| to send them on to a service, {where} | {values} |"
    kilobytes = sizes[last] - sizes[first]
    prices = {
        "received": whole.stateless,
        **{f"sent on {where}": figures for where, figures in sent.items()},
    }
    yield ""
    for what, figures in prices.items():
        yield f"A KiB {what}: {(figures[last].cpu - figures[first].cpu) / kilobytes * 1e3:.1f} µs of CPU."


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--starts", type=int, nargs="+", default=STARTS, help="turns that a session has before")
    asked = options.parse_args()
    starts: tuple[int, ...] = tuple(asked.starts)
    service = Service()
    results: dict[str, Any] = {}
    with stores(asked.store) as found:
        for store, setting in found.items():
            with tempfile.TemporaryDirectory() as folder, Gateway(Path(folder), setting, service.port) as gateway:
                rows = {
                    (habit, agent): measured(gateway, agent, habit, asked.rounds, starts)
                    for habit in HABITS
                    for agent in AGENTS
                }
            print("\n".join(tables(store, rows, starts)), flush=True)
            results[store] = [
                {"habit": habit, "window": AGENTS[agent], **written(row)} for (habit, agent), row in rows.items()
            ]
    place = ROOT / "build" / "benchmarks" / "stateful_turns.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
    place.write_text(json.dumps({"machine": machine, "rounds": asked.rounds, "stores": results}, indent=2))


def written(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it."""
    kinds = {"turn": row.turn, "stateless": row.stateless, "session": row.session}
    return {
        **{kind: {str(at): figure._asdict() for at, figure in figures.items()} for kind, figures in kinds.items()},
        "kilobytes": row.kilobytes,
        "parse": row.parse,
    }


if __name__ == "__main__":
    main()
