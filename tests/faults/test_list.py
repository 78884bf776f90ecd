"""docs/reliability.md names tests that there are."""

import re

from lake_assets.settings import PROJECT

_NAMED = re.compile(r"\| `(tests/[\w/]+\.py)::(test_\w+)` \|$", re.MULTILINE)


def test_every_fault_in_the_list_is_shown_by_a_test_that_exists() -> None:
    text = (PROJECT / "docs" / "reliability.md").read_text("utf-8")
    named = _NAMED.findall(text)
    assert len(named) == sum(line.startswith("| ") for line in text.splitlines()) - 1, "each line names one"
    for file, name in named:
        assert f"\ndef {name}(" in (PROJECT / file).read_text("utf-8"), f"{file}::{name}"
