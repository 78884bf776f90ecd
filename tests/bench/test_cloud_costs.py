"""The table of costs in docs/targets.md is that of the bench, whose counts are those of a run against the doubles."""

import pytest

from bench.cloud_costs import FILES, PAGE, count_all, daily_cost, page_with_table, table, usage_of_a_day
from lake_assets.compile.cost import COMMIT_CALLS, DAY, CostSettings, cost_lines
from lake_assets.target_profiles import Target


def test_table_of_costs_is_that_of_the_bench() -> None:
    page = PAGE.read_text("utf-8")
    assert page == page_with_table(page), "run python -m bench.cloud_costs"


def test_counts_of_the_table_are_those_of_a_run() -> None:
    """A call or query more at each commit must not come unnoticed."""
    assert count_all() == dict(COMMIT_CALLS)


@pytest.mark.parametrize("target", COMMIT_CALLS)
def test_second_commit_calls_what_is_counted_for_a_window_of_its_files(target: Target) -> None:
    """The bench counts the publication of a window of four files: of the second of two commits by two tasks."""
    one, two = (
        {(line.part, line.unit): line.amount for line in cost_lines([usage_of_a_day(4)], {}, settings)}
        for settings in (CostSettings(target, DAY // commits, 60) for commits in (1, 2))
    )
    calls = COMMIT_CALLS[target]
    assert two["conform", "read requests"] - one["conform", "read requests"] == FILES * calls.reads
    assert two["publish", "write requests"] - one["publish", "write requests"] == calls.writes
    if target == "aws":
        assert two["publish", "catalog calls"] - one["publish", "catalog calls"] == calls.calls
    else:
        assert two["publish", "loads"] - one["publish", "loads"] == calls.loads


def test_pause_of_marts_bounds_their_cost() -> None:
    after_each, paused = (daily_cost("gcp", 3, 1_000_000, 300, minutes)["marts"] for minutes in (0, 60))
    assert after_each / paused == pytest.approx(288 / 24)


def test_reads_of_conform_grow_with_the_square_of_commits() -> None:
    often, rarely = (daily_cost("aws", 1, 1_000_000, seconds, 60)["conform"] for seconds in (60, 300))
    assert often / rarely == pytest.approx(25, rel=0.01)


def test_asset_with_few_events_has_few_commits() -> None:
    assert daily_cost("aws", 1_000, 1_000, 60, 60)["landing"] == pytest.approx(1_000 * 4 * 5 / 1e6)


def test_lake_beyond_the_quota_of_loads_has_no_cost() -> None:
    """BigQuery accepts 100,000 loads a day into a project, whatever one pays."""
    rows = {
        tuple(cells[1:4]): cells[6]
        for cells in ([c.strip() for c in line.split("|")] for line in table().splitlines())
        if len(cells) == 9
    }
    assert rows["1,000", "1,000,000", "300 s"] == "not possible"
    assert rows["1,000", "1,000,000", "900 s"].endswith("$")
