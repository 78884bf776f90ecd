"""What the tests break on purpose, as their markers say it: `python -m tests.faults.table > docs/reliability.md`.

A test that shows a fault is marked `@pytest.mark.fault("what happens", "what follows")`. The markers are read from the
text of the tests, so that a list needs none of the packages and servers that its tests need.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lake_assets.settings import PROJECT

REPORT = PROJECT / "docs" / "reliability.md"
# As events go: what is not named here comes last.
_ORDER = ("landing", "buckets", "faults", "conform", "orchestration", "end_to_end", "marts", "warehouse", "spark")
_HEAD = """\
# What is broken on purpose

Each line is a test on real processes, unless it says a double. Run one with `.venv/bin/python -m pytest` and its name.
Afterwards nothing is missing and nothing is doubled, and readers saw old rows or new ones. The tests' own markers are
what this page is made of, by `python -m tests.faults.table`.

| what happens | what follows | shown by |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens and what follows, and the test that shows it, as pytest names it."""

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


def report() -> str:
    rows = "".join(f"| {fault.what} | {fault.follows} | `{fault.test}` |\n" for fault in faults())
    return f"{_HEAD}{rows}"


if __name__ == "__main__":
    sys.stdout.write(report())
