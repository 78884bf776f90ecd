"""Seconds of each test file, so that the longest are started first and no worker ends alone.

`make test` keeps the durations of its run. A fresh clone goes by `seconds.json`, made of such a run by
`python -m tests.results.seconds`.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lake_assets.settings import PROJECT

LAST_RUN = PROJECT / ".reports" / "tests.xml"
COMMITTED = Path(__file__).with_name("seconds.json")
# Shorter files fill the gaps wherever they come.
WORTH_KEEPING = 5


def longest_first(items: list[pytest.Item]) -> None:
    """Sort the files by how long they took; the tests of a file stay together and in their order."""
    seconds = {**committed(), **seconds_of(LAST_RUN)}
    items.sort(key=lambda item: (-seconds.get(item.path.relative_to(PROJECT).as_posix(), 0), item.path))


def committed() -> Mapping[str, float]:
    return json.loads(COMMITTED.read_text("utf-8"))


def seconds_of(results: Path) -> Mapping[str, float]:
    """Return the seconds of each file in a JUnit report, none when it cannot be read."""
    try:
        cases = list(ElementTree.parse(results).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return {}
    seconds: Counter[str] = Counter()
    for case in cases:
        seconds[case.get("classname", "").replace(".", "/") + ".py"] += float(case.get("time", 0))
    return seconds


if __name__ == "__main__":
    found = {file: round(seconds) for file, seconds in seconds_of(LAST_RUN).items() if seconds >= WORTH_KEEPING}
    json.dump(dict(sorted(found.items(), key=lambda entry: -entry[1])), sys.stdout, indent=1)
    print()
