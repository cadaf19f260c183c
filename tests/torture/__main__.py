"""``make torture``: the table of faults, then the soak. Ends with 1 if something was lost, leaked or told wrongly."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.torture.soak import soak
from tests.torture.table import FAULTS, markdown, rows


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak is; 0 leaves it out")
    parser.add_argument("--no-faults", action="store_true", help="leave the faults out")
    asked = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="zero-torture-") as folder:
        if not asked.no_faults:
            found = list(rows(Path(folder), FAULTS))
            good &= all(passed for _, passed in found)
            sys.stdout.write("\n".join([*markdown([row for row, _ in found]), "", ""]))
            sys.stdout.flush()
        if asked.minutes:
            place = Path(folder) / "soak"
            place.mkdir()
            outcome = soak(place, asked.minutes * 60)
            verdict = [f"FAULT: {fault}" for fault in outcome.faults] or ["nothing lost, nothing leaked"]
            sys.stdout.write("\n".join(["", *outcome.report, *verdict, ""]))
            good &= not outcome.faults
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
