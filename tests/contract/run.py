"""One schemathesis run against a gateway that is up, and what came of it.

Knows schemathesis's command line and its reports. The reports, not the text, are what is read: in the text schemathesis
shows one failure per check and operation, and has hidden three behind the first that way.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "contracts" / "schemathesis.toml"
CONTRACT = ROOT / "openapi.yaml"
CHAT = "/v1/chat/completions"
SECONDS = 300.0
"""After this a run is given up."""


class Failure(NamedTuple):
    """One check that failed, with the cases it failed for left out."""

    check: str
    code: str
    operation: str
    message: str


class Answer(NamedTuple):
    """One kind of answer. ``media_type`` is empty when the response had none."""

    method: str
    path: str
    status: int
    media_type: str


class Verdict(NamedTuple):
    """What a run found.

    Args:
        exit_code: Schemathesis's own: 0 only when nothing failed, erred or gave reason for a warning.
        cases: Requests made up and judged.
        failures: Every failed check, without repetitions.
        troubles: What kept schemathesis from testing (errors), or from testing well (warnings).
        answers: How often each kind of answer came.
        seconds: How long schemathesis took.
        text: What it printed.
    """

    exit_code: int
    cases: int
    failures: frozenset[Failure]
    troubles: tuple[str, ...]
    answers: Counter[Answer]
    seconds: float
    text: str

    @property
    def clean(self) -> bool:
        """Whether nothing at all was found wrong."""
        return self.exit_code == 0 and not self.failures and not self.troubles

    @property
    def failed_checks(self) -> frozenset[str]:
        """The names of the checks that failed."""
        return frozenset(failure.check for failure in self.failures)

    def count(self, status: int, *, path: str = CHAT, media_type: str = "application/json") -> int:
        """Count the answers of a kind, whatever the method."""
        return sum(
            times
            for answer, times in self.answers.items()
            if (answer.path, answer.status, answer.media_type) == (path, status, media_type)
        )

    def __str__(self) -> str:
        """Say it for a person, failures in full."""
        lines = [f"{self.cases} cases, {len(self.failures)} failures, {self.seconds:.0f} s, exit code {self.exit_code}"]
        lines += [f"{f.code} {f.check}, {f.operation}: {f.message}" for f in sorted(self.failures)]
        lines += self.troubles
        return "\n".join(lines if self.clean else [*lines, self.text])


def run(
    url: str,
    token: str,
    folder: Path,
    *,
    max_examples: int,
    seed: int = 1,
    phases: Sequence[str] = (),
    operations: Iterable[str] = (),
) -> Verdict:
    """Run schemathesis as a user would.

    Args:
        url: The gateway.
        token: Its secret.
        folder: Where the reports may go.
        max_examples: Cases per operation, in the phases that make up any number of them.
        seed: What the made-up cases follow from.
        phases: Those to run; all when empty.
        operations: Ids of the operations to test; all when empty.

    Raises:
        RuntimeError: Schemathesis didn't get as far as writing a report.
    """
    report, events = folder / "report.json", folder / "events.ndjson"
    for old in (report, events):
        old.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(CONFIG),
        "--no-color",
        "run",
        str(CONTRACT),
    ]
    command += ["--url", url, "--max-examples", str(max_examples), "--seed", str(seed)]
    command += ["--report", "json,ndjson", "--report-json-path", str(report), "--report-ndjson-path", str(events)]
    if phases:
        command += ["--phases", ",".join(phases)]
    for operation in operations:
        command += ["--include-operation-id", operation]
    done = subprocess.run(
        command,
        cwd=ROOT,  # from here the configuration's hooks are importable
        env={**os.environ, "TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if not report.is_file() or not events.is_file():
        raise RuntimeError(f"schemathesis ended with {done.returncode} and without a report:\n{done.stdout}")
    summary = msgspec.json.decode(report.read_bytes(), type=_Report)
    failures, answers = _read(events)
    return Verdict(
        exit_code=done.returncode,
        cases=summary.test_cases.generated,
        failures=failures,
        troubles=(
            *(f"error: {error.title}" for error in summary.errors),
            *(f"warning: {name}: {about}" for name, about in summary.warnings.items() if about),
        ),
        answers=answers,
        seconds=summary.running_time,
        text=done.stdout,
    )


class _Cases(msgspec.Struct):
    generated: int


class _Error(msgspec.Struct):
    title: str


class _Report(msgspec.Struct):
    """The JSON report."""

    test_cases: _Cases
    running_time: float
    errors: list[_Error]
    warnings: dict[str, list[msgspec.Raw]]


class _Request(msgspec.Struct):
    method: str
    uri: str


class _Response(msgspec.Struct):
    status_code: int
    headers: dict[str, list[str]]


class _Interaction(msgspec.Struct):
    request: _Request
    response: _Response | None = None


class _Failed(msgspec.Struct):
    code: str
    message: str
    operation: str | None = None


class _FailureInfo(msgspec.Struct):
    failure: _Failed


class _Check(msgspec.Struct):
    name: str
    failure_info: _FailureInfo | None = None


class _Recorder(msgspec.Struct):
    interactions: dict[str, _Interaction] = {}
    checks: dict[str, list[_Check]] = {}


class _Scenario(msgspec.Struct):
    recorder: _Recorder


class _Line(msgspec.Struct):
    """One line of the report of events; those about anything but a finished scenario come out empty."""

    scenario: _Scenario | None = msgspec.field(default=None, name="ScenarioFinished")


def _read(events: Path) -> tuple[frozenset[Failure], Counter[Answer]]:
    failures: set[Failure] = set()
    answers: Counter[Answer] = Counter()
    decoder = msgspec.json.Decoder(_Line)
    with events.open("rb") as lines:
        for line in lines:
            scenario = decoder.decode(line).scenario
            if scenario is None:
                continue
            answers.update(_answer(it.request, it.response) for it in scenario.recorder.interactions.values())
            failures.update(
                Failure(check.name, failed.code, failed.operation or "", failed.message)
                for checks in scenario.recorder.checks.values()
                for check in checks
                if check.failure_info and (failed := check.failure_info.failure)
            )
    return frozenset(failures), answers


def _answer(request: _Request, response: _Response | None) -> Answer:
    path = urlsplit(request.uri).path
    if response is None:
        return Answer(request.method, path, 0, "")
    content_type = response.headers.get("content-type", [""])[0]
    return Answer(request.method, path, response.status_code, content_type.partition(";")[0])
