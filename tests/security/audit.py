"""``make audit``: are there known weaknesses in what is installed, and may all of it be used?

Asks pip-audit and pip-licenses, and fails where either can't tell: an advisory service that knows none of the packages
is no good news. The licences that may be there are in ``pyproject.toml``, ``tool.zero.audit``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

OURS: Final = "zero-gateway"
SHOWN: Final = 8


def main() -> int:
    """Print what there is to say; return 1 if something is wrong."""
    rules = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["zero"]["audit"]
    code, said, complaint = _ask("pip_audit", "--format=json", "--progress-spinner=off")
    problems = [f"weakness: {each}" for each in weaknesses(said, complaint, code)]
    code, said, complaint = _ask("piplicenses", "--format=json", "--from=mixed")
    problems += [f"licence: {each}" for each in strangers(said or complaint, rules)]
    print("\n".join(problems) or "audit: no known weakness, and every licence is on the list")
    return 1 if problems else 0


def weaknesses(said: str, complaint: str, code: int) -> Iterator[str]:
    """Yield what pip-audit found, or why it can't know.

    Args:
        said: Its report, as JSON.
        complaint: What it wrote on stderr.
        code: Its exit code.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(said)["dependencies"]
    except (ValueError, KeyError):
        last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        yield f"pip-audit ended with {code} and without a report: {last[0][:300]}. It needs PyPI: go online"
        return
    others = [each for each in packages if each["name"] != OURS]
    skipped = [each["name"] for each in others if "skip_reason" in each]
    if skipped or not others:
        names = ", ".join(skipped[:SHOWN]) + (", ..." if len(skipped) > SHOWN else "")
        yield (
            f"{len(skipped)} of {len(others)} packages could not be looked up ({names}): nothing is known of them. "
            "An index that mirrors PyPI often has no advisories; audit where PyPI itself can be reached"
        )
    for each in others:
        for found in each.get("vulns", ()):
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            yield f"{each['name']} {each['version']}: {found['id']}, mended in {fixed}"


def strangers(said: str, rules: dict[str, Any]) -> Iterator[str]:
    """Yield the packages whose licences are not on the list.

    Args:
        said: The report of pip-licenses, as JSON.
        rules: ``licences``; in ``unstated`` packages that state none, with what was found out about each; and in
            ``programs`` those that are only run, with their licences.
    """
    try:
        packages: list[dict[str, str]] = json.loads(said)
    except ValueError:
        yield f"pip-licenses gave no report: {said.strip()[:300]}"
        return
    for each in packages:
        licence = each["License"].strip().partition("\n")[0]
        known = rules["programs"].get(each["Name"]) == licence or (
            each["Name"] in rules["unstated"] if licence == "UNKNOWN" else licence in rules["licences"]
        )
        if not known and each["Name"] != OURS:
            yield f"{each['Name']} {each['Version']} is under {licence!r}, which is not on the list"


def _ask(module: str, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


if __name__ == "__main__":
    raise SystemExit(main())
