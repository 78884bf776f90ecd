"""The arithmetic of costs: what holds for all figures, and a month that can be computed by hand."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.model import WindowSize
from lake_assets.compile.cost import (
    COMMIT_CALLS,
    DAY,
    JOB_CORES,
    LOADS_OF_A_PROJECT,
    LOADS_OF_A_TABLE,
    MART_TESTS,
    TABLE_FILES,
    CostSettings,
    Line,
    Usage,
    cost_lines,
    dominant,
    exceeded_quotas,
    row_bytes,
    total,
)
from lake_assets.compile.prices import NOTED, PRICES, price_of
from lake_assets.target_profiles import TARGETS
from tests.support.conform_records import ORDERS

CLOUDS = ("aws", "gcp")
AWS = CostSettings("aws", 300, 60)
GCP = CostSettings("gcp", 300, 60)
SIZES: dict[WindowSize, float] = {"hour": 24, "day": 1, "month": 1}


def usage(name: str = "sales", rows: float = 1_000, days: float = 30, **figures: object) -> Usage:
    """Return the figures of an asset with events on each of some days, of 10 bytes each in raw."""
    known = Usage(
        asset=name,
        rows=rows,
        window="day",
        windows={size: max(1, number * (days if size != "month" else 1)) for size, number in SIZES.items()},
        seconds=days * DAY,
        raw_bytes=rows * 10,
        staging_rows=rows,
        staging_raw_bytes=rows * 10,
        row_bytes=150,
    )
    return replace(known, **figures)  # pyright: ignore[reportArgumentType]


def amount(lines: Iterable[Line], part: str, unit: str) -> float:
    return sum(line.amount for line in lines if (line.part, line.unit) == (part, unit))


usages = st.builds(
    usage,
    st.just("a"),
    st.integers(0, 10**9),
    st.integers(1, 31),
    spark_seconds=st.floats(0, 10**5),
    window=st.sampled_from(["hour", "day", "month"]),
)
settings = st.builds(
    CostSettings,
    st.sampled_from(TARGETS),
    st.integers(1, 100_000),
    st.integers(0, 10_000),
    st.sampled_from([None, "hour", "day", "month"]),
)


@given(st.lists(usages, max_size=4), settings)
def test_cost_of_a_lake_is_that_of_its_assets(figures: list[Usage], cost: CostSettings) -> None:
    named = [replace(figure, asset=f"a{number}") for number, figure in enumerate(figures)]
    marts = {f"mart of {figure.asset}": [figure.asset] for figure in named}
    alone = [line for figure in named for line in cost_lines([figure], marts, cost)]
    together = cost_lines(named, marts, cost)
    assert sorted(map(repr, together)) == sorted(map(repr, alone))
    assert total(together) == pytest.approx(sum(total(cost_lines([figure], marts, cost)) for figure in named))


@given(usages, settings)
def test_no_cost_is_negative(figure: Usage, cost: CostSettings) -> None:
    assert all(line.usd >= 0 and line.amount > 0 for line in cost_lines([figure], {"mart": ["a"]}, cost))


@given(usages, settings, st.floats(1, 100))
def test_cost_does_not_fall_with_more_bytes(figure: Usage, cost: CostSettings, times: float) -> None:
    more = replace(
        figure,
        raw_bytes=figure.raw_bytes * times,
        staging_raw_bytes=figure.staging_raw_bytes * times,
        row_bytes=figure.row_bytes * times,
    )
    before, after = (total(cost_lines([one], {"mart": ["a"]}, cost)) for one in (figure, more))
    assert after >= before * (1 - 1e-9)


@given(usages, settings, st.floats(1, 100))
def test_cost_does_not_fall_with_more_events(figure: Usage, cost: CostSettings, times: float) -> None:
    more = replace(figure, rows=figure.rows * times, staging_rows=figure.staging_rows * times)
    before, after = (total(cost_lines([one], {"mart": ["a"]}, cost)) for one in (figure, more))
    assert after >= before * (1 - 1e-9)


@given(usages, st.sampled_from(CLOUDS), st.integers(1, 40_000), st.integers(0, 100))
def test_rarer_commits_and_builds_cost_no_more(figure: Usage, target: str, seconds: int, minutes: int) -> None:
    often = CostSettings(target, seconds, minutes)  # pyright: ignore[reportArgumentType]
    marts = {"mart": ["a"]}
    cost = total(cost_lines([figure], marts, often))
    assert total(cost_lines([figure], marts, replace(often, commit_seconds=seconds * 2))) <= cost * (1 + 1e-9)
    if minutes:
        assert total(cost_lines([figure], marts, replace(often, mart_minutes=minutes * 2))) <= cost * (1 + 1e-9)


def test_local_target_costs_nothing_but_its_disk() -> None:
    (line,) = cost_lines([usage(rows=1_000)], {"mart": ["sales"]}, CostSettings("local", 1, 0))
    assert (line.service, line.amount, line.usd) == ("disk", 10_000 * 1.8, 0)
    assert dominant([line]) is None


def test_month_of_one_day_follows_the_formulas_of_the_page() -> None:
    """288 commits of two files to one window."""
    lines = cost_lines([usage(rows=1_000_000, days=1)], {"m": ["sales"]}, AWS)
    calls = COMMIT_CALLS["aws"]
    assert amount(lines, "landing", "write requests") == 288 * (2 + TABLE_FILES)
    assert amount(lines, "conform", "read requests") == 288 * 289 / 2 * 2 * calls.reads
    assert amount(lines, "publish", "catalog calls") == 288 * calls.calls
    assert amount(lines, "publish", "query bytes") == 288 * 10e6
    # 24 builds of 10 MB, 8 MB conformed, of which half is read: less than the least of a query.
    assert amount(lines, "marts", "query bytes") == 24 * (1 + MART_TESTS) * 10e6
    assert amount(lines, "storage", "bucket bytes") == 18e6
    expected = 288 * 7 * 5e-6 + 288 * 289 * 0.4e-6 + 288 * 6e-6 + (288 + 144) * 10e6 * 5e-12 + 18e6 * 0.023e-9
    assert total(lines) == pytest.approx(expected)
    assert dominant(lines) == ("conform", pytest.approx(288 * 289 * 0.4e-6 / expected))


def test_windows_of_an_hour_divide_the_reads_of_conform() -> None:
    reads = [
        amount(cost_lines([usage(rows=1_000_000)], {}, replace(AWS, window=size)), "conform", "read requests")
        for size in ("day", "hour")
    ]
    assert reads[0] / reads[1] == pytest.approx(289 / 13)


def test_commits_are_no_more_than_events_and_no_fewer_than_windows() -> None:
    def published(figure: Usage, seconds: int) -> float:
        lines = cost_lines([figure], {}, replace(AWS, commit_seconds=seconds))
        return amount(lines, "publish", "write requests") / COMMIT_CALLS["aws"].writes

    assert published(usage(rows=7), 60) == 7
    assert published(usage(rows=10**6, window="hour"), 10 * DAY) == 720


def test_mart_of_two_assets_is_built_for_the_commits_of_both() -> None:
    """The quiet asset's table is read at each build for the busy one."""
    busy, quiet = usage("busy", rows=10**6), usage("quiet", rows=1)
    lines = cost_lines([busy, quiet], {"both": ["busy", "quiet"]}, GCP)
    of_quiet = next(line for line in lines if line.asset == "quiet" and line.part == "marts")
    assert of_quiet.what == "mart both"
    assert of_quiet.amount == pytest.approx(720 * (1 + MART_TESTS / 2) * 10 * 2**20)


def test_version_without_raw_lands_nothing_and_stores_no_raw() -> None:
    lines = cost_lines([usage(rows=1_000, has_raw=False)], {}, AWS)
    assert amount(lines, "landing", "write requests") == 0
    assert amount(lines, "storage", "bucket bytes") == 8_000


def test_job_of_spark_runs_at_each_commit_to_a_window() -> None:
    lines = cost_lines([usage(rows=10**6, days=1, spark_seconds=36)], {}, GCP)
    assert amount(lines, "spark", "vCPU hours") == pytest.approx(288 * 36 / 3_600 * JOB_CORES)
    # As Google's own example has it: an hour of twelve compute units, those of this job, is 0.72 $.
    assert sum(line.usd for line in lines if line.part == "spark") == pytest.approx(2.88 * 0.72)


def test_loads_beyond_a_quota_of_bigquery_are_not_possible() -> None:
    busy = usage(rows=10**9)
    assert exceeded_quotas([busy], GCP) == []
    (of_table,) = exceeded_quotas([busy], replace(GCP, commit_seconds=30))
    assert f"{LOADS_OF_A_TABLE:,} loads a day into a table" in of_table
    many = [replace(busy, asset=str(number)) for number in range(1_000)]
    (of_project,) = exceeded_quotas(many, GCP)
    assert f"{LOADS_OF_A_PROJECT:,} loads a day into a project" in of_project
    assert "288,000" in of_project
    assert exceeded_quotas(many, replace(AWS, commit_seconds=30)) == []


def test_row_of_bigquery_has_the_bytes_of_its_types() -> None:
    """Three texts and one JSON, three numbers of which one is a decimal, a boolean, a date, three timestamps."""
    fields = 4 * 14 + 8 + 16 + 8 + 1 + 8 + 3 * 8
    assert row_bytes(ORDERS) == fields + 5 * 8 + 2 * 14


def test_each_price_names_its_unit_once_and_its_page() -> None:
    assert date(2026, 12, 1) <= NOTED
    for target, prices in PRICES.items():
        assert len({price.unit for price in prices}) == len(prices)
        for price in prices:
            assert price.usd >= 0
            assert price.page.startswith("https://")
            assert price.region
            assert price_of(target, price.unit) is price
