"""Results of a run of the tests in its junit file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from lake_assets.settings import PROJECT

# The folder for junit files, which Git ignores.
REPORTS = PROJECT / ".reports"
Outcome = Literal["passed", "failed", "skipped", "crashed", "not collected"]


@dataclass(frozen=True, slots=True)
class Case:
    """One test: `file` is relative to the project, `name` has the parameters, `first_line` is that of its failure.

    `crashed` is a test that took its worker with it, `not collected` a file or folder that could not be imported. An
    expected failure counts as skipped. `recorded` is what the test recorded with `record_property`.
    """

    file: str
    name: str
    outcome: Outcome
    seconds: float
    first_line: str
    recorded: tuple[tuple[str, str], ...] = ()

    @property
    def test(self) -> str:
        """Return the name that pytest gives the test."""
        return f"{self.file}::{self.name}" if self.name else self.file

    @property
    def function(self) -> str:
        """Return the name without parameters."""
        return self.test.partition("[")[0]


def read_cases(path: Path) -> list[Case]:
    """The tests of a junit file. A test whose teardown failed stands there twice, and is reported once, as failed."""
    found: dict[str, Case] = {}
    for element in ElementTree.parse(path).getroot().iter("testcase"):
        case = _case(element)
        if case.test not in found or found[case.test].outcome == "passed":
            found[case.test] = case
    return list(found.values())


def merged(runs: Iterable[list[Case]]) -> dict[str, Case]:
    """Return by test the case of the last of the runs."""
    return {case.test: case for run in runs for case in run}


def _case(element: ElementTree.Element) -> Case:
    place, name = element.get("classname", ""), element.get("name", "")
    if not place:
        # A file that was not collected.
        place, name = name, ""
    file = f"{place.replace('.', '/')}.py"
    outcome, first_line = _outcome(element)
    properties = tuple((one.get("name", ""), one.get("value", "")) for one in element.iter("property"))
    return Case(file, name, outcome, float(element.get("time", "0")), first_line, properties)


def _outcome(element: ElementTree.Element) -> tuple[Outcome, str]:
    for tag in ("error", "failure", "skipped"):
        problem = element.find(tag)
        if problem is not None:
            message = problem.get("message", "")
            first_line = message.strip().partition("\n")[0]
            if tag == "skipped":
                return "skipped", first_line
            if "collection failure" in message:
                return "not collected", first_line
            # pytest-xdist's words: a report of it has no type of its own.
            return ("crashed" if "crashed while running" in message else "failed"), first_line
    return "passed", ""
