"""The picture in docs/performance.md: bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.report import figure
from benchmarks.results import Results

PANELS: Final = (
    ("json_cpu_us", "CPU of a JSON request, µs (less is better)"),
    ("paced_cpu_us", "CPU of a chunk that comes every 20 ms, µs (less is better)"),
    ("burst_chunks_per_s", "Chunks in a second, streams of 100 at once (more is better)"),
    ("idle_mib", "Memory after work, MiB (less is better)"),
)
_WIDTH: Final = 860
_LABELS: Final = 250
_BARS: Final = 490
_ROW: Final = 22
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}"
    "rect{fill:#9aa5b1}rect.ours{fill:#0a7d4f}.ground{fill:#fff}"
)


def plot(results: Results) -> str:
    """Draw a run."""
    parts: list[str] = []
    top = 10
    for key, title in PANELS:
        rows = [
            (results.titles[name], value, name.startswith("zero"))
            for name in results.titles
            if (value := results.median(name, key)) is not None and value > 0
        ]
        if rows:
            parts += _panel(top, title, rows)
            top += (len(rows) + 2) * _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}">\n'
        f'<style>{_STYLE}</style>\n<rect class="ground" width="{_WIDTH}" height="{top}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(top: int, title: str, rows: Sequence[tuple[str, float, bool]]) -> list[str]:
    least, most = min(value for _, value, _ in rows), max(value for _, value, _ in rows)
    begin = math.log10(least) - 0.3
    scale = _BARS / max(math.log10(most) - begin, 0.1)
    parts = [f'<text class="title" x="10" y="{top + 15}">{escape(title)}, logarithmic</text>']
    for number, (label, value, ours) in enumerate(rows, 1):
        y = top + number * _ROW
        width = (math.log10(value) - begin) * scale
        kind = ' class="ours"' if ours else ""
        parts += [
            f'<text x="{_LABELS - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect{kind} x="{_LABELS}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{y + 15}">{figure(value)}</text>',
        ]
    return parts
