"""docs/reliability.md has the faults of the tests' markers, with the results of a run."""

import re
from pathlib import Path

import pytest

from tests.faults import table
from tests.faults.table import REPORT, faults, not_shown, report, results, results_in, rounded
from tests.results.junit import Case

AGAIN = "make it again: python -m tests.faults.table .reports/tests.xml"
ONE, *REST = faults()


def case(name: str = "", outcome: str = "passed", **more: str) -> Case:
    file, _, function = ONE.test.partition("::")
    return Case(file, function + name, outcome, 12.4, "", tuple(more.items()))  # type: ignore[arg-type]


def test_the_list_of_faults_is_the_one_that_the_tests_make() -> None:
    page = REPORT.read_text("utf-8")
    found = results_in(page)
    assert page == report(found), AGAIN
    assert found.keys() == {fault.test for fault in faults()}
    assert [cell for cell in found.values() if not re.match(r"(\d+ cases )?passed in [\d.]+ s", cell)] == [], AGAIN


def test_a_fault_whose_test_was_left_out_or_did_not_pass_is_not_shown() -> None:
    assert not_shown([ONE], [case()]) == []
    assert not_shown([ONE], []) == [f"{ONE.test} was not run"]
    assert not_shown([ONE], [case("[a]"), case("[b]", "skipped")]) == [f"{ONE.test}[b] skipped"]
    assert len(not_shown([ONE, *REST], [case()])) == len(REST)


def test_a_result_has_its_cases_and_the_longest_time_that_they_recorded() -> None:
    assert results([case()]) == {ONE.test: "passed in 20 s"}
    both = [case("[a]", landed="3.9"), case("[b]", landed="21")]
    assert results(both) == {ONE.test: "2 cases passed in 50 s; landed after 50 s"}


def test_seconds_are_rounded_up() -> None:
    assert [rounded(seconds) for seconds in (0, 0.1, 0.4, 2, 2.1, 60, 400)] == [
        "0.1",
        "0.1",
        "0.5",
        "2",
        "5",
        "100",
        "500",
    ]


def test_a_page_is_made_only_when_every_fault_has_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, junit = tmp_path / "page.md", tmp_path / "junit.xml"
    monkeypatch.setattr(table, "REPORT", page)
    page.write_text(report({fault.test: "passed in 5 s" for fault in REST}), "utf-8")
    before = page.read_text("utf-8")
    with pytest.raises(SystemExit, match="was not run"):
        table.main([])
    file, _, name = ONE.test.partition("::")
    place = file.removesuffix(".py").replace("/", ".")
    for inner in "<failure message='no'>no</failure>", "":
        junit.write_text(f"<t><testcase classname='{place}' name='{name}' time='9'>{inner}</testcase></t>", "utf-8")
        if inner:
            with pytest.raises(SystemExit, match="failed"):
                table.main([str(junit)])
            assert page.read_text("utf-8") == before
    table.main([str(junit)])
    assert results_in(page.read_text("utf-8")) == {ONE.test: "passed in 10 s"} | {f.test: "passed in 5 s" for f in REST}
