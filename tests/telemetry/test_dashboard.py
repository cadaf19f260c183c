"""examples/grafana-dashboard.json shows metrics and labels that there are, and every metric of the gateway's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from app.config import Standing
from app.telemetry.metrics import Level, Metrics

DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana-dashboard.json"
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
_WORD = re.compile(r"\b(?:http|gen_ai|zero|process)_[a-z0-9_]+")
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}


@pytest.fixture(scope="module")
def made() -> Metrics:
    """The metrics of a gateway where nothing has happened."""
    return Metrics(lambda: Level(0, 0, 0, 0, 0, 0), lambda: Standing(revision="r", read_at=0.0))


def series(metrics: Metrics) -> dict[str, set[str]]:
    """Return the names of all series, and their labels."""
    own = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    found = {f"{one._name}{suffix}": set(one._labelnames) for one in own for suffix in SUFFIXES[str(one._type)]}
    for family in metrics.registry.collect():
        if family.name.startswith("process_"):
            found[family.name + ("_total" if family.type == "counter" else "")] = set()
    return found


def expressions() -> list[str]:
    """Return every query of the dashboard."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_name_on_it_exists(made: Metrics) -> None:
    """Each word of a query that looks like a metric or one of its labels is one."""
    real = series(made)
    labels = set().union(*real.values())
    used = {word for expression in expressions() for word in _WORD.findall(expression)}

    assert set() == used - real.keys() - labels
    assert used & real.keys()


def test_each_query_groups_by_labels_that_its_metric_has(made: Metrics) -> None:
    """What a query groups by is a label of what it asks for, or one that Prometheus adds."""
    real = series(made)
    for expression in expressions():
        (metric,) = set(_WORD.findall(expression)) & real.keys()
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
        assert set() == grouped - real[metric] - {"le", "instance"}, expression


def test_nothing_is_missing_from_it_or_from_the_page(made: Metrics) -> None:
    """Every metric of the gateway's own is on the dashboard, and in the documentation."""
    own = {value._name for value in vars(made).values() if isinstance(value, MetricWrapperBase)}
    shown, page = " ".join(expressions()), PAGE.read_text()

    assert set() == {name for name in own if name not in shown}
    assert set() == {name for name in own if name not in page}
