"""The benchmark suite works: it installs what it needs, measures, and prints. What it measures here means nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.installed import compiled
from benchmarks.missing import Missing
from benchmarks.results import Results
from tests.documents import ROOT


def test_a_tiny_run_measures_the_upstream_and_the_gateway(tmp_path: Path) -> None:
    """Every measure of a round has a value above nothing, nothing is missing, and the report has both targets."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks",
        "--tiny",
        "--only",
        "upstream",
        "zero",
        "--output",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert 0 == done.returncode, done.stderr
    results = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
    assert {} == results.missing
    measured = {(sample.target, sample.measure) for sample in results.samples if sample.value > 0}
    names = ("start_s", "cold_mib", "json_cpu_us", "p50_at_1_ms", "p99_at_32_ms", "first_words_ms", "paced_cpu_us")
    assert {(target, name) for target in ("upstream", "zero") for name in (*names, "burst_cpu_us")} <= measured
    assert (tmp_path / "report.md").read_text() == done.stdout.removesuffix("\n")
    assert "| upstream itself |" in done.stdout
    assert "| ZERO Gateway |" in done.stdout
    assert (tmp_path / "report.svg").read_text().startswith("<svg")


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The mock upstream is a C program; who has no compiler reads which packages bring one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiled, "folder", lambda *_: tmp_path)
    with pytest.raises(Missing, match="apt-get install gcc libc6-dev"):
        compiled.compiled("upstream")
