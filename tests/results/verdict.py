"""Verdict on a run of the tests: `python -m tests.results.verdict` runs them and prints it in its last lines.

Green is a run in which every test passed and none was skipped or left out. A test that fails while servers of many
processes share two cores is tried once more, alone, in one process; for more than TWICE of them nothing is tried again.
"""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lake_assets.settings import PROJECT
from tests.faults.table import faults, not_shown
from tests.results.junit import REPORTS, Case, merged, read_cases

# How many tests may pass at their second try.
TWICE = 2
LONGEST = 10
_CLOSING = re.compile(
    r"(?:\d (?:passed|failed|skipped|errors?|deselected|xfailed|xpassed)\b|no tests ran).* in [\d.]+s"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One call of pytest: whether it ended with 0, what it printed, and its tests."""

    ended_well: bool
    printed: str
    cases: Sequence[Case]

    def having(self, *outcomes: str) -> list[Case]:
        return [case for case in self.cases if case.outcome in outcomes]


def closing(printed: str) -> str:
    """The line with which pytest sums up; empty without one."""
    lines = [line.strip("= ") for line in printed.splitlines() if _CLOSING.search(line)]
    return lines[-1] if lines else ""


def problems(first: Run) -> list[str]:
    """Return the causes, a sentence each, for which the first run is red whatever the result of a retry."""
    found = [
        *(f"not collected: {case.file}: {case.first_line}" for case in first.having("not collected")),
        *(f"took its process with it: {case.test}" for case in first.having("crashed")),
        *(f"skipped: {case.test}: {case.first_line}" for case in first.having("skipped")),
    ]
    if left_out := re.search(r"\d+ deselected", closing(first.printed)):
        found.append(f"left out: {left_out[0]}")
    if not first.having("passed"):
        found.append("no test passed")
    failed = first.having("failed")
    if len(failed) > TWICE:
        found += [f"failed: {case.test}: {case.first_line}" for case in failed]
        found.append(f"{len(failed)} tests failed, and no more than {TWICE} may be tried again")
    if not first.ended_well and not found and not failed:
        found.append("the run failed, and no test of it says why")
    return found


def problems_again(first: Run, again: Run) -> list[str]:
    """Return the tests that failed in the first run and did not pass in the second."""
    passed = {case.test for case in again.having("passed")}
    return [
        f"failed again: {case.test}: {case.first_line}" for case in first.having("failed") if case.test not in passed
    ]


def durations(cases: Iterable[Case]) -> list[str]:
    """The seconds of each folder, and of the files that took longest."""
    folders: dict[str, float] = defaultdict(float)
    files: dict[str, float] = defaultdict(float)
    for case in cases:
        folders[str(Path(case.file).parent)] += case.seconds
        files[case.file] += case.seconds
    return ["Seconds by folder:", *_largest(folders), f"The {LONGEST} longest files:", *_largest(files, LONGEST)]


def _largest(seconds: Mapping[str, float], count: int | None = None) -> list[str]:
    return [f"{seconds[name]:7.0f}  {name}" for name in sorted(seconds, key=lambda n: -seconds[n])[:count]]


def run_all() -> Run:
    return _run(["make", "test"], "tests")


def run_again(cases: Sequence[Case]) -> Run:
    tests = [case.test for case in cases]
    return _run([sys.executable, "-m", "pytest", f"--junitxml={REPORTS}/again.xml", *tests], "again")


def _run(command: Sequence[str], name: str) -> Run:
    """Print the output of the command, and keep it beside the junit file."""
    results, printed = REPORTS / f"{name}.xml", REPORTS / f"{name}.txt"
    results.unlink(missing_ok=True)
    with (
        printed.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            copy.write(line)
    cases = read_cases(results) if results.exists() else []
    return Run(process.returncode == 0, printed.read_text("utf-8"), cases)


def main() -> None:
    REPORTS.mkdir(exist_ok=True)
    first = run_all()
    runs, found = [first], problems(first)
    failed = first.having("failed")
    if failed and not found:
        again = run_again(failed)
        runs.append(again)
        found = problems_again(first, again)
    if not found:
        found = [f"not shown: {why}" for why in not_shown(faults(), merged([list(run.cases) for run in runs]).values())]
    print("\n".join([*durations(first.cases), *found]))
    if len(runs) > 1 and not found:
        print("Passed at the second try, alone, so look at them:")
        print("\n".join(f"  {case.test}: {case.first_line}" for case in failed))
    # Last comes how pytest summed up all the tests.
    print("\n".join(f"ci: {closing(run.printed)}" for run in reversed(runs)))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
