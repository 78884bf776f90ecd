"""Faults that the tests cause and their results: `python -m tests.faults.table .reports/tests.xml`.

A test that shows a fault is marked `@pytest.mark.fault("what happens", "what follows")`. The markers are read from the
text of the tests, the results from junit files; a test that is in none of them keeps the result that the page has. That
is docs/reliability.md, which is written when every marked test has passed; `tests.results.verdict` demands of each run
that it had them all.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lake_assets.settings import PROJECT
from tests.results.junit import Case, merged, read_cases

REPORT = PROJECT / "docs" / "reliability.md"
# As events go: what is not named here comes last.
_ORDER = ("landing", "buckets", "faults", "conform", "orchestration", "end_to_end", "marts", "warehouse", "spark")
_HEAD = """\
# What is broken on purpose

Each line is a test on real processes, unless it names a double. Run one with `.venv/bin/python -m pytest` and its name.
Afterwards nothing is missing and nothing is doubled, and readers saw old rows or new ones. A result is that of the run
for which the page was last made by `python -m tests.faults.table`, on two cores: seconds are rounded up to 1, 2 or 5
and zeros, and hold the start of the servers that a test was the first to need. Every run in CI has to have all of these
tests, and is red when one of them is skipped or fails.

## A power cut

The tests below kill processes. A machine that loses its power also loses what its disk does not have yet.

- Complete: conformed files and all other files that the lake writes to a local bucket, passwords, the key of tokens and
  `stack.json`. Each file and its folders are on the disk before a commit or a server uses them
  (`tests/buckets/test_durability.py`, and `tests/orchestration/test_power_cut.py`, which drops what was not synced).
- Complete: ledger, catalogs, marts and metrics. Postgres syncs each commit, except in tests.
- The last seconds may be missing: events that the embedded broker acknowledged. It has one copy and leaves syncing to
  the operating system. A broker with three copies, `min.insync.replicas=2` and `acks=all` needs a power cut of all.
- The last seconds may be missing: raw files and table metadata that Kafka Connect wrote to a local bucket, because
  Hadoop's local file system does not sync. `lake status` names a raw table whose metadata cannot be read. S3 and GCS
  acknowledge only what is stored.

So a server that must survive a power cut needs a broker with copies and a bucket in a cloud, or a battery.

## Faults

| what happens | what follows | result | shown by |
|---|---|---|---|
"""
_ROW = re.compile(r"^\|.*\| ([^|]*) \| `([^|`]+::[^|`]+)` \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, its consequence, and the test that shows it, as pytest names it."""

    what: str
    follows: str
    test: str


def faults() -> list[Fault]:
    """Every marked test, by folder, file and place in the file."""
    tests = PROJECT / "tests"
    return [fault for path in sorted(tests.rglob("test_*.py"), key=_place) for fault in _marked(path)]


def _place(path: Path) -> tuple[int, str]:
    folder = path.parent.name
    return (_ORDER.index(folder) if folder in _ORDER else len(_ORDER), str(path))


def _marked(path: Path) -> Iterator[Fault]:
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    what, follows = (ast.literal_eval(argument) for argument in decorator.args)
                    yield Fault(what, follows, f"{path.relative_to(PROJECT).as_posix()}::{node.name}")


def not_shown(wanted: Iterable[Fault], cases: Iterable[Case]) -> list[str]:
    """Return the faults whose test was not run, or did not pass in each case, with the cause."""
    by_function = _by_function(cases)
    found: list[str] = []
    for fault in wanted:
        if fault.test not in by_function:
            found.append(f"{fault.test} was not run")
        found += [f"{case.test} {case.outcome}" for case in by_function.get(fault.test, ()) if case.outcome != "passed"]
    return found


def results(cases: Iterable[Case]) -> dict[str, str]:
    """Return by test the number of passed cases, their seconds, and the longest of each time that they recorded."""
    return {test: _result(own) for test, own in _by_function(cases).items()}


def _by_function(cases: Iterable[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.function, []).append(case)
    return found


def _result(cases: Sequence[Case]) -> str:
    passed = "passed" if len(cases) == 1 else f"{len(cases)} cases passed"
    longest: dict[str, float] = {}
    for name, value in (recorded for case in cases for recorded in case.recorded):
        longest[name] = max(longest.get(name, 0.0), float(value))
    times = [f"; {name} after {rounded(seconds)} s" for name, seconds in longest.items()]
    return f"{passed} in {rounded(sum(case.seconds for case in cases))} s{''.join(times)}"


def rounded(seconds: float) -> str:
    """Round up to the next of 0.1, 0.2, 0.5, 1, 2, 5, 10 and so on."""
    steps = (digit * 10**power for power in range(-1, 6) for digit in (1, 2, 5))
    return f"{next(step for step in steps if seconds <= step):g}"


def results_in(page: str) -> dict[str, str]:
    """Return by test the result that the page has."""
    return {test: result for result, test in _ROW.findall(page)}


def report(found: Mapping[str, str]) -> str:
    rows = "".join(f"| {one.what} | {one.follows} | {found.get(one.test, '')} | `{one.test}` |\n" for one in faults())
    return f"{_HEAD}{rows}"


def main(files: Sequence[str]) -> None:
    cases = merged(read_cases(Path(file)) for file in files).values()
    known = {test: result for test, result in results_in(REPORT.read_text("utf-8")).items() if result}
    found = known | results(cases)
    new = [fault for fault in faults() if fault.test not in known or fault.test in results(cases)]
    if missing := not_shown(new, cases):
        sys.exit("\n".join(missing))
    REPORT.write_text(report(found), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
