"""The run: every target in every round, then what is measured of ours alone. What fails is reported and left out."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import cores
from benchmarks.load import WrongAnswers, wrk
from benchmarks.measures import answers, bursts, commands, large_bodies, memory, pace, requests, turns, workers
from benchmarks.missing import Missing
from benchmarks.plan import Plan
from benchmarks.results import Machine, Results
from benchmarks.standing import Standing, mock_upstream, standing
from benchmarks.targets.nginx import Nginx
from benchmarks.targets.target import Target
from benchmarks.targets.zero import Zero

_FAILURES = (Missing, WrongAnswers, AssertionError, OSError, subprocess.SubprocessError, ValueError)


def run(plan: Plan, targets: Sequence[Target], say: Callable[[str], None]) -> Results:
    """Measure.

    Args:
        plan: How much.
        targets: What; one that can't be had is reported as missing.
        say: Told what goes on.

    Raises:
        Missing: If the mock upstream or the load generator can't be had: nothing can be measured then.
    """
    began = time.monotonic()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    try:
        results = Results(_machine(), plan.name, datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"))
        with ExitStack() as stack:
            upstream = stack.enter_context(mock_upstream())
            results.versions["wrk"] = _wrk_version()
            stack.enter_context(cores.on(cores.loading()))
            present = _installed(targets, results, say)
            for round_ in range(plan.rounds):
                # Each round begins with another one, so that nobody always follows the same neighbour.
                for target in present[round_ % len(present) :] + present[: round_ % len(present)]:
                    say(f"round {round_ + 1} of {plan.rounds}: {target.title}")
                    _visit(target, upstream, plan, results, round_)
            if plan.extras:
                _extras(upstream, plan, results, say)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    results.seconds = time.monotonic() - began
    return results


def _installed(targets: Sequence[Target], results: Results, say: Callable[[str], None]) -> list[Target]:
    present = []
    for target in targets:
        say(f"installing {target.title}")
        results.titles[target.name] = target.title
        try:
            results.versions[target.name] = target.install()
        except _FAILURES as problem:
            results.missing[target.name] = str(problem)
        else:
            present.append(target)
    return present


def _visit(target: Target, upstream: int, plan: Plan, results: Results, round_: int) -> None:
    """Measure one target in one round."""
    try:
        with standing(target, upstream) as it:
            results.add(target.name, {"start_s": it.server.start_seconds, "cold_mib": it.server.memory_mib}, round_)
            answers.check(it)
            results.add(target.name, requests.measure(it, plan), round_)
            results.add(target.name, bursts.measure(it, plan), round_)
            if target.streams:
                results.add(target.name, pace.measure(it, plan), round_)
            if round_ == 0:
                results.add(target.name, memory.measure(it, plan), round_)
    except _FAILURES as problem:
        results.missing[f"{target.name}, round {round_ + 1}"] = f"{type(problem).__name__}: {problem}"[:400]


def _extras(upstream: int, plan: Plan, results: Results, say: Callable[[str], None]) -> None:
    def crowd(it: Standing) -> dict[str, float]:
        return memory.crowd(it, plan)

    def quiet(it: Standing) -> dict[str, float]:
        return memory.silence(it, plan)

    def sessions(it: Standing) -> dict[str, float]:
        return turns.measure(it, plan)

    measures: list[tuple[str, Target, Callable[[Standing], dict[str, float]]]] = [
        (f"{plan.crowd} open streams", Nginx(), crowd),
        (f"{plan.crowd} open streams", Zero(), crowd),
        ("silent streams", Zero(), quiet),
        ("turns of sessions", Zero(), sessions),
        ("large bodies", Zero(), large_bodies.measure),
    ]
    for what, target, measure in measures:
        if target.name in results.missing:
            continue
        say(f"{what}: {target.title}")
        try:
            with standing(target, upstream) as it:
                results.add(target.name, measure(it))
        except _FAILURES as problem:
            results.missing[f"{target.name}, {what}"] = f"{type(problem).__name__}: {problem}"[:400]
    say("zero --help")
    results.add("zero", commands.measure())
    say("one worker and two")
    try:
        results.add("zero", workers.measure(upstream, plan))
    except _FAILURES as problem:
        results.missing["zero, two workers"] = f"{type(problem).__name__}: {problem}"[:400]


def _machine() -> Machine:
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=model[0] if model else platform.machine(),
        python=platform.python_version(),
        cores=cores.described(),
        load=os.getloadavg()[0],
    )


def _wrk_version() -> str:
    program = wrk()
    shown = subprocess.run(  # noqa: S603 - our own command
        [program.path, "-v"], env={**os.environ, **program.environ}, capture_output=True, text=True, check=False
    )
    return shown.stdout.split()[1]
