"""Runs of the tests that count."""

import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from tests.results.junit import read_cases
from tests.results.verdict import Run, closing, durations, problems, problems_again

FAILED = '<failure message="AssertionError: no&#10;more">text</failure>'
BROKEN = '<error message="failed on setup with &quot;OSError: no&quot;">text</error>'
SKIPPED = '<skipped type="pytest.skip" message="nothing can be mounted here">text</skipped>'
EXPECTED = '<skipped type="pytest.xfail" message="" />'


def run(tmp_path: Path, *cases: tuple[str, str], ended_well: bool = True, summed_up: str = "") -> Run:
    """A run whose junit file has these tests, each with what is within it."""
    path = tmp_path / "junit.xml"
    tests = "".join(
        f'<testcase classname="tests.some.test_it" name={quoteattr(name)} time="1.5">{inner}</testcase>'
        for name, inner in cases
    )
    path.write_text(f"<testsuites><testsuite>{tests}</testsuite></testsuites>", "utf-8")
    return Run(ended_well, summed_up, read_cases(path))


def test_a_run_in_which_all_tests_pass_counts(tmp_path: Path) -> None:
    assert problems(run(tmp_path, ("test_a", ""), ("test_b", ""))) == []


def test_two_tests_that_pass_at_the_second_try_are_let_pass(tmp_path: Path) -> None:
    first = run(tmp_path, ("test_a[x.y]", FAILED), ("test_b", BROKEN), ("test_c", ""), ended_well=False)
    assert problems(first) == []
    assert [case.test for case in first.having("failed")] == [
        "tests/some/test_it.py::test_a[x.y]",
        "tests/some/test_it.py::test_b",
    ]
    assert problems_again(first, run(tmp_path, ("test_a[x.y]", ""), ("test_b", ""))) == []


def test_a_test_that_fails_twice_or_has_no_second_try_is_red(tmp_path: Path) -> None:
    first = run(tmp_path, ("test_a", FAILED), ("test_b", BROKEN), ended_well=False)
    for again in [("test_a", FAILED)], [("test_a", SKIPPED)], []:
        found = problems_again(first, run(tmp_path, *again, ("test_b", "")))
        assert found == ["failed again: tests/some/test_it.py::test_a: AssertionError: no"]


def test_a_third_failure_is_red_without_a_second_try(tmp_path: Path) -> None:
    cases = [(name, FAILED) for name in ("test_a", "test_b", "test_c")]
    found = problems(run(tmp_path, *cases, ("test_d", ""), ended_well=False))
    assert found[0] == "failed: tests/some/test_it.py::test_a: AssertionError: no"
    assert found[-1] == "3 tests failed, and no more than 2 may be tried again"


@pytest.mark.parametrize("inner", [SKIPPED, EXPECTED])
def test_a_skip_or_an_expected_failure_is_red(tmp_path: Path, inner: str) -> None:
    (found,) = problems(run(tmp_path, ("test_a", inner), ("test_b", "")))
    assert found.startswith("skipped: tests/some/test_it.py::test_a: ")


def test_a_run_without_a_test_that_passed_is_red(tmp_path: Path) -> None:
    assert problems(run(tmp_path)) == ["no test passed"]
    assert problems(Run(False, "", [])) == ["no test passed"]


def test_a_test_that_was_left_out_is_red(tmp_path: Path) -> None:
    line = "= 1 passed, 3 deselected in 4.20s ="
    assert problems(run(tmp_path, ("test_a", ""), summed_up=line)) == ["left out: 3 deselected"]


def test_a_run_that_failed_and_has_no_failure_is_red(tmp_path: Path) -> None:
    found = problems(run(tmp_path, ("test_a", ""), ended_well=False))
    assert found == ["the run failed, and no test of it says why"]


def test_a_test_that_failed_while_it_was_torn_down_failed(tmp_path: Path) -> None:
    first = run(tmp_path, ("test_a", ""), ("test_a", BROKEN), ("test_b", ""), ended_well=False)
    assert [(case.name, case.outcome) for case in first.cases] == [("test_a", "failed"), ("test_b", "passed")]


def test_what_pytest_and_its_workers_really_write_is_understood(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(
        "import os, pytest\n"
        "def test_ends_its_process(): os._exit(3)\n"
        "def test_passes(record_property): record_property('landed', 2.5)\n"
        "@pytest.mark.parametrize('x', ['a.b[c]'])\n"
        "def test_fails(x): assert x == 1\n"
        "def test_is_skipped(): pytest.skip('no reason')\n"
        "@pytest.fixture\n"
        "def torn():\n"
        "    yield\n"
        "    raise OSError('late')\n"
        "def test_is_torn_down_badly(torn): pass\n"
        "@pytest.mark.xfail\n"
        "def test_is_expected_to_fail(): assert False\n",
        "utf-8",
    )
    (tmp_path / "tests" / "test_other.py").write_text("import nothing_of_that_name", "utf-8")
    # Two workers, as a worker that ends while it is alone with a test leaves its file's other tests to the other one.
    options = ("-n", "2", "--import-mode=importlib", "--junitxml=junit.xml", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = Run(done.returncode == 0, done.stdout, read_cases(tmp_path / "junit.xml"))
    outcomes = {case.test.removeprefix("tests/"): case.outcome for case in found.cases}
    assert outcomes == {
        "test_other.py": "not collected",
        "test_some.py::test_ends_its_process": "crashed",
        "test_some.py::test_passes": "passed",
        "test_some.py::test_fails[a.b[c]]": "failed",
        "test_some.py::test_is_skipped": "skipped",
        "test_some.py::test_is_torn_down_badly": "failed",
        "test_some.py::test_is_expected_to_fail": "skipped",
    }
    assert [case.recorded for case in found.having("passed")] == [(("landed", "2.5"),)]
    assert sum(line.startswith(("not collected", "took its process", "skipped")) for line in problems(found)) == 4
    assert " passed" in closing(found.printed)


def test_the_closing_line_is_the_last_in_which_pytest_sums_up() -> None:
    printed = "1 passed in 2.00s\n==== 1 failed, 1,234 passed in 901.20s (0:15:01) ====\nmake: *** [test] Error 1\n"
    assert closing(printed) == "1 failed, 1,234 passed in 901.20s (0:15:01)"
    assert closing("=== no tests ran in 0.10s ===\n") == "no tests ran in 0.10s"
    assert closing("nothing of it\n") == ""


def test_durations_are_of_folders_and_of_the_longest_files(tmp_path: Path) -> None:
    lines = durations(run(tmp_path, ("test_a", ""), ("test_b", FAILED)).cases)
    assert lines[1:2] == ["      3  tests/some"]
    assert lines[-1] == "      3  tests/some/test_it.py"
