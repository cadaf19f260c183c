"""``python -m benchmarks``: run the suite and print what it found."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import plan, suite
from benchmarks.missing import Missing
from benchmarks.places import DOCUMENT, PLOT, folder
from benchmarks.plot import plot
from benchmarks.published import publish
from benchmarks.report import report
from benchmarks.targets import every_target


def main(words: list[str]) -> int:
    """Run with these arguments and return the exit code: 1 if nothing could be measured."""
    targets = every_target()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const=plan.QUICK, dest="plan", help="under 2 minutes")
    size.add_argument("--tiny", action="store_const", const=plan.TINY, dest="plan", help="only whether it works")
    parser.add_argument("--only", nargs="+", choices=[target.name for target in targets], help="these targets")
    parser.add_argument("--output", type=Path, default=folder("results"), help="where the results go")
    parser.add_argument("--publish", action="store_true", help="put the results into docs/performance.md")
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped, as after Ctrl-C
    try:
        results = suite.run(
            chosen.plan or plan.FULL,
            [target for target in targets if not chosen.only or target.name in chosen.only],
            lambda text: print(f"… {text}", file=sys.stderr, flush=True),
        )
    except Missing as problem:
        print(problem, file=sys.stderr)
        return 1
    written = report(results)
    place: Path = chosen.output
    (place / "report.md").write_text(written.markdown)
    (place / "results.json").write_bytes(written.json)
    (place / "report.svg").write_text(plot(results))
    if chosen.publish:
        publish(written.markdown, DOCUMENT)
        PLOT.write_text(plot(results))
    print(written.markdown)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
