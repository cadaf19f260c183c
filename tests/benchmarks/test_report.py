"""What the benchmark suite tells: medians, ratios, verdicts, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.goals import GOALS, Goal
from benchmarks.plot import plot
from benchmarks.published import BEGIN, END, publish
from benchmarks.report import figure, report
from benchmarks.results import Machine, Results


def results() -> Results:
    """Return a run of three rounds with two targets."""
    run = Results(Machine("Linux", "a processor", "3.11", "Two cores.", 0.0), "full", "2026-01-01")
    run.titles = {"zero": "ZERO Gateway", "litellm": "LiteLLM proxy"}
    for round_, (ours, theirs) in enumerate([(100.0, 5000.0), (300.0, 9000.0), (110.0, 6600.0)]):
        run.add("zero", {"json_cpu_us": ours}, round_)
        run.add("litellm", {"json_cpu_us": theirs}, round_)
    return run


def goal(text: str) -> Goal:
    """Return the goal with this text."""
    return next(one for one in GOALS if one.text == text)


def test_the_median_of_the_rounds_counts() -> None:
    """One bad round changes nothing, and what wasn't measured has no value."""
    assert 110.0 == results().median("zero", "json_cpu_us")
    assert results().median("zero", "p50_at_1_ms") is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Processor time of a JSON request", ("PASS", "110 µs")),
        ("LiteLLM takes so many times ours for it", ("PASS", "60.0 x")),
        ("Portkey", ("not measured", "")),
    ],
)
def test_goals_are_judged_by_the_medians(text: str, verdict: tuple[str, str]) -> None:
    """A bound on a figure, a bound on a ratio, and one without its figure."""
    assert verdict == goal(text).verdict(results())


def test_a_goal_can_be_missed() -> None:
    """A figure beyond its bound is no failure of the run; the word says it."""
    run = results()
    run.add("zero", {"help_s": 0.2})
    assert ("MISS", "0.20 s") == goal("zero --help").verdict(run)


def test_the_report_has_ratios_and_what_is_missing() -> None:
    """The ratio is of the medians; a target without values has its reason, on one line."""
    run = results()
    run.missing["portkey"] = "no Node.js\nhere | there"
    markdown = report(run).markdown
    assert "| LiteLLM proxy | 60.0 x |" in markdown
    assert "| portkey | no Node.js here / there |" in markdown


def test_figures_have_three_digits_that_matter() -> None:
    """Whether they are large or small."""
    assert ["1,235", "12.3", "0.12", ""] == [figure(value) for value in (1234.6, 12.34, 0.123, None)]


def test_the_picture_has_a_bar_for_each_target() -> None:
    """Ours in another colour, names escaped."""
    run = results()
    run.titles["zero"] = "ZERO & Gateway"
    picture = plot(run)
    assert picture.count('<rect class="ours"') == 1
    assert "ZERO &amp; Gateway" in picture


def test_a_published_run_replaces_the_last_one(tmp_path: Path) -> None:
    """What stands around it stays, and a document without a place for it is refused."""
    document = tmp_path / "performance.md"
    document.write_text(f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n")
    publish("new\n", document)
    assert f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n" == document.read_text()
    document.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        publish("new", document)
