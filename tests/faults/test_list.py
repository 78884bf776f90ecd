"""docs/reliability.md is what the tests' markers say."""

from tests.faults.table import REPORT, report


def test_the_list_of_faults_is_the_one_that_the_tests_make() -> None:
    assert REPORT.read_text("utf-8") == report(), "python -m tests.faults.table > docs/reliability.md"
