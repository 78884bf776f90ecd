"""The simulation of docs/scale.md: cases with an exact result, Little's law, and the page."""

from dataclasses import replace

import pytest

from bench.scale import (
    CONFORM_RATE,
    PAGE,
    RATE,
    Scale,
    conformed_rows,
    large,
    needed_shards,
    page_with_table,
    simulate,
)
from lake_assets.compile.cost import DAY

# One asset, whose worker and run take no time, with a run's start of five seconds.
ALONE = Scale(
    assets=1,
    rate=100,
    commit_seconds=60,
    window_seconds=60,
    shards=1,
    workers=1,
    land_rate=1e9,
    conform_rate=1e12,
    run_seconds=5,
    asset_seconds=0,
    duration=36_000,
    step=0.5,
    noise=False,
)
BUSY = Scale(
    assets=40,
    rate=10_000,
    commit_seconds=60,
    window_seconds=600,
    shards=4,
    workers=2,
    land_rate=1_600,
    conform_rate=40_000,
    run_seconds=2,
    asset_seconds=0.1,
    duration=20_000,
    step=4,
)


def test_lag_of_regular_events_is_half_an_interval_and_the_run() -> None:
    result = simulate(ALONE)
    assert result.mean_lag == pytest.approx(30 - ALONE.step / 2 + 5)
    assert result.utilisation == pytest.approx(5 / 60, rel=0.01)


def test_run_takes_the_time_of_its_assets_and_of_its_windows_rows() -> None:
    result = simulate(replace(ALONE, conform_rate=1_000, asset_seconds=3))
    assert result.mean_lag == pytest.approx(30 - ALONE.step / 2 + 5 + 3 + 6_000 / 1_000)


def test_window_is_conformed_again_from_its_first_event() -> None:
    """Ten commits to a window: the rows of its first one are conformed ten times, the last ones' once."""
    result = simulate(replace(ALONE, window_seconds=600, run_seconds=0, conform_rate=10_000))
    assert result.utilisation * 60 * 10_000 == pytest.approx(100 * 60 * (10 + 1) / 2, rel=0.01)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_in_flight_follow_littles_law(seed: int) -> None:
    result = simulate(replace(BUSY, seed=seed))
    assert result.in_flight == pytest.approx(result.arrivals * result.mean_lag, rel=0.01)
    assert result.arrivals == pytest.approx(BUSY.rate, rel=0.01)


def test_slow_workers_leave_what_they_cannot_read() -> None:
    result = simulate(replace(BUSY, land_rate=1_000, noise=False))
    left = (BUSY.rate - 8 * 1_000) * BUSY.duration
    assert left <= result.at_end <= left + 8_000 * 2.5 * BUSY.commit_seconds


def test_more_shards_show_events_earlier() -> None:
    lags = [simulate(replace(BUSY, shards=shards)).mean_lag for shards in (3, 4, 8)]
    assert lags == sorted(lags, reverse=True)


def test_shards_of_the_formula_are_where_the_simulation_begins_to_keep_up() -> None:
    """Runs begin at once here. What a lake that keeps up has not shown is one commit's and some."""
    needed = needed_shards(900, 3_600)
    few, enough = (
        simulate(replace(large(900, round(needed * share), 4), run_seconds=0, duration=6 * 3_600)).at_end
        for share in (0.85, 1.2)
    )
    assert few > 2 * 900 * RATE > enough


def test_rows_that_are_conformed_are_those_of_the_formula() -> None:
    lake = replace(large(900, 25, 2), run_seconds=0, asset_seconds=0, land_rate=1e9, assets=100, duration=DAY)
    conformed = simulate(lake).utilisation * 25 * CONFORM_RATE / RATE
    assert conformed == pytest.approx(conformed_rows(900, 3_600), rel=0.03)


def test_tables_of_the_page_are_those_of_the_simulation() -> None:
    page = PAGE.read_text("utf-8")
    assert page == page_with_table(page), "run python -m bench.scale"
