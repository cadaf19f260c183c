"""Data flows one way, and imports with it: no layer reaches back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"

MAY_IMPORT: dict[str, set[str]] = {
    # room: the rooms it may know
    "errors": set(),
    # Whoever has something to say in the log may know this one.
    "log": set(),
    "log_stream": set(),
    "unique_id": set(),
    "large": set(),
    "time_limit": set(),
    # What an agent may put into `params` is what the contract lets a request say.
    "config": {"contract.models"},
    "contract": {"errors", "large"},
    "security": {"config", "errors"},
    "sessions": {"errors", "large"},
    "routing": {"config", "errors", "unique_id"},
    # A turn is what a run hands to an engine, an event what it gets back: the protocol between the two lies in runs.
    "runs": {
        "config",
        "contract",
        "engines.engine",
        "errors",
        "large",
        "routing",
        "sessions",
        "time_limit",
        "unique_id",
    },
    "engines": {"config", "contract", "errors", "large", "runs.event", "runs.turn", "sessions.message", "time_limit"},
    "http": {"config", "contract", "errors", "large", "routing", "runs", "security", "sessions", "unique_id"},
    "ws": {"config", "contract", "errors", "large", "routing", "runs", "security", "sessions"},
    # It watches requests and runs, and nobody but the application knows of it.
    "telemetry": {"config", "errors", "http.edge", "log_stream", "runs"},
    "machinery": {"config", "engines", "runs", "sessions"},
    "application": {
        "config",
        "contract",
        "engines",
        "errors",
        "http",
        "machinery",
        "runs",
        "security",
        "sessions",
        "telemetry",
        "ws",
    },
    # The client speaks to a gateway and knows nothing of how one works.
    "client": {"config", "contract"},
    # A command speaks to a gateway through the client, or runs in its own process what a gateway would.
    "cli": {
        "application",
        "cli",
        "client",
        "config",
        "contract.frames",
        "contract.message_form",
        "engines",
        "errors",
        "http.uvicorn_connection",
        "log_stream",
        "machinery",
        "routing",
        "runs",
        "security",
        "sessions",
        "ws",
    },
}
"""The rooms of the house, from the foundation up. ``app/__init__`` makes the application and may know everything."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of the application as its room and its file."""
    for path in sorted(APP.rglob("*.py")):
        parts = path.relative_to(APP).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def imported(path: Path) -> set[str]:
    """Return what a module imports from the application, as dotted names without ``app.``, wherever in its text."""
    package = path.relative_to(APP.parent).parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return {name.removeprefix("app.") for name in names if name.startswith("app.")}


def test_every_room_is_in_the_plan() -> None:
    """A new room states what it may know."""
    assert set(MAY_IMPORT) == {room for room, _ in modules()}


@pytest.mark.parametrize(("room", "path"), [pytest.param(*m, id=str(m[1].relative_to(APP))) for m in modules()])
def test_a_room_knows_only_what_it_may(room: str, path: Path) -> None:
    """Each import leads to the room itself or to one that the plan names."""
    allowed = MAY_IMPORT[room] | {room, "log"}
    strangers = {name for name in imported(path) if not any(f"{name}.".startswith(f"{one}.") for one in allowed)}

    assert set() == strangers


def test_the_only_circle_is_the_protocol_between_runs_and_engines() -> None:
    """No two rooms reach each other, however far around, but those two, through the modules that the plan names."""
    reach: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for room, path in modules():
        reach[room] |= {name.partition(".")[0] for name in imported(path)} - {room}
    for _ in reach:
        reach = {room: known.union(*(reach.get(one, set()) for one in known)) for room, known in reach.items()}
    circles = {frozenset((one, other)) for one in reach for other in reach[one] if one in reach.get(other, set())}

    assert {frozenset({"runs", "engines"})} == circles - {frozenset({room}) for room in ("runs", "engines")}
