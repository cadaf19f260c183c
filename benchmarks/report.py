"""The results as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.goals import GOALS
from benchmarks.results import Results

COLUMNS: Final = (
    ("json_cpu_us", "CPU µs / JSON request"),
    ("json_per_s", "JSON requests/s"),
    ("p50_at_1_ms", "p50 ms, 1 conn."),
    ("p99_at_1_ms", "p99 ms, 1 conn."),
    ("p50_at_32_ms", "p50 ms, 32 conn."),
    ("p99_at_32_ms", "p99 ms, 32 conn."),
)
STREAM_COLUMNS: Final = (
    ("burst_chunks_per_s", "burst chunks/s"),
    ("burst_cpu_us", "CPU µs / burst chunk"),
    ("paced_cpu_us", "CPU µs / paced chunk"),
    ("paced_busy_cpu_us", "… 100 streams"),
    ("first_words_ms", "first words ms"),
    ("whole_stream_ms", "100 chunks ms"),
)
PROCESS_COLUMNS: Final = (
    ("start_s", "start s"),
    ("cold_mib", "PSS MiB cold"),
    ("idle_mib", "after work"),
    ("held_mib", "with streams"),
    ("stream_kib", "KiB / stream"),
    ("crowd_mib", "with the crowd"),
    ("crowd_stream_kib", "KiB / stream of it"),
    ("crowd_cpu_us", "CPU µs / its chunks"),
)
RATIOS: Final = (
    ("json_cpu_us", "JSON request"),
    ("burst_cpu_us", "burst chunk"),
    ("paced_cpu_us", "paced chunk"),
    ("idle_mib", "memory"),
    ("start_s", "start"),
)
ALONE: Final = (
    ("turns_per_s", "Stateful turns in a second, 32 connections, 64 sessions"),
    ("turn_cpu_us", "CPU of one, µs"),
    ("stateless_ms", "A stateless request by the same client, ms"),
    ("turn_10_ms", "Turn 10 of a long session, ms"),
    ("turn_last_ms", "Its last turn, ms"),
    ("turn_last", "… which is turn"),
    ("turn_10_cpu_us", "CPU of turn 10, µs"),
    ("turn_last_cpu_us", "CPU of the last turn, µs"),
    ("one_worker_cpu_us", "CPU of a JSON request, one worker with PostgreSQL, µs"),
    ("two_workers_cpu_us", "… two workers, µs"),
    ("two_workers_factor", "Capacity of two workers over that of one"),
    ("idle_cpu_us_per_s", "CPU of the idle gateway in a second, µs"),
    ("silent_cpu_us_per_s", "CPU of a silent stream in a second, µs"),
    ("crowd_chunks_per_s", "Chunks in a second through the crowd"),
    ("help_s", "zero --help, s"),
    ("probe_idle_ms", "Longest answer of /healthz, idle, ms"),
    ("probe_text_1_mb_ms", "… while a text of 1 MB is sent, ms"),
    ("probe_text_5_mb_ms", "… 5 MB, ms"),
    ("probe_text_19_mb_ms", "… 19 MB, ms"),
    ("probe_messages_1_mb_ms", "… while short messages of 1 MB together are sent, ms"),
    ("probe_messages_5_mb_ms", "… 5 MB, ms"),
    ("probe_messages_19_mb_ms", "… 19 MB, ms"),
)


class Report(msgspec.Struct, frozen=True):
    """A run, told twice."""

    markdown: str
    json: bytes


def report(results: Results) -> Report:
    """Tell a run."""
    lines = [
        _circumstances(results),
        "",
        "Medians of the rounds. CPU is the processor time of all of a target's processes.",
        "",
        *_table(results, COLUMNS),
        "",
        *_table(results, STREAM_COLUMNS),
        "",
        *_table(results, PROCESS_COLUMNS),
        "",
        "Times ZERO Gateway's:",
        "",
        *_ratios(results),
        "",
        *_goals(results),
        "",
        *_alone(results),
        "",
        *_spread(results),
        *_missing(results),
        "",
        "Versions: " + ", ".join(f"{results.titles.get(name, name)} {v}" for name, v in results.versions.items()) + ".",
    ]
    return Report("\n".join(lines) + "\n", msgspec.json.format(msgspec.json.encode(results), indent=1))


def _circumstances(results: Results) -> str:
    machine = results.machine
    return (
        f"Plan `{results.plan}`, {results.date}, {results.seconds / 60:.1f} minutes. {machine.cores} "
        f"{machine.processor}, {machine.system}, Python {machine.python}. "
        f"Load average when it began: {machine.load:.1f}."
    )


def figure(value: float | None) -> str:
    """Write a figure with three digits that matter."""
    if value is None:
        return ""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _table(results: Results, columns: Sequence[tuple[str, str]]) -> list[str]:
    kept = [(key, title) for key, title in columns if any(results.median(name, key) for name in results.titles)]
    rows = [
        [title, *(figure(results.median(name, key)) for key, _ in kept)]
        for name, title in results.titles.items()
        if any(results.median(name, key) is not None for key, _ in kept)
    ]
    return _rows(["target", *(title for _, title in kept)], rows)


def _ratios(results: Results) -> list[str]:
    rows = []
    for name, title in results.titles.items():
        cells = []
        for key, _ in RATIOS:
            theirs, ours = results.median(name, key), results.median("zero", key)
            cells.append(f"{figure(theirs / ours)} x" if theirs is not None and ours else "")
        if any(cells) and name != "zero":
            rows.append([title, *cells])
    return _rows(["target", *(title for _, title in RATIOS)], rows)


def _goals(results: Results) -> list[str]:
    rows = []
    for goal in GOALS:
        verdict, reached = goal.verdict(results)
        rows.append([goal.text, goal.wanted, reached, verdict])
    return _rows(["To reach", "wanted", "reached", ""], rows)


def _alone(results: Results) -> list[str]:
    rows = [
        [title, figure(results.median("zero", key))] for key, title in ALONE if results.median("zero", key) is not None
    ]
    return _rows(["ZERO Gateway alone", ""], rows) if rows else []


def _spread(results: Results) -> list[str]:
    """Tell how far the rounds were apart, which says how much a figure is to be believed."""
    worst: dict[str, float] = {}
    for name in results.titles:
        for key in ("json_cpu_us", "paced_cpu_us", "json_per_s"):
            values = results.values(name, key)
            if len(values) > 1:
                worst[key] = max(worst.get(key, 1.0), max(values) / min(values))
    if not worst:
        return []
    told = ", ".join(
        f"{title} {worst[key]:.2f} x"
        for key, title in (*COLUMNS[:2], ("paced_cpu_us", "CPU µs / paced chunk"))
        if key in worst
    )
    return [f"Furthest apart between rounds of one target: {told}.", ""]


def _missing(results: Results) -> list[str]:
    rows = [[name, reason.replace("\n", " ").replace("|", "/")] for name, reason in results.missing.items()]
    return _rows(["Not measured", "why"], rows) if rows else ["Nothing is missing."]
