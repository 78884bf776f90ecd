"""Lag of a partition: records that have not landed, by its offsets alone."""

from lake_assets.landing.lag import Lag, produced


def test_records_that_the_broker_has_removed_since_still_count() -> None:
    assert produced(begin=60, end=100, first=0, no_record=0) == 100


def test_records_that_the_broker_removed_before_any_landed_do_not_count() -> None:
    assert produced(begin=60, end=100, first=60, no_record=0) == 40


def test_offsets_without_a_record_are_not_waited_for() -> None:
    assert produced(begin=0, end=100, first=0, no_record=3) == 97


def test_records_delivered_twice_do_not_hide_what_another_asset_waits_for() -> None:
    """Lags of assets are added up: one that has more rows than offsets would cancel another's."""
    assert (Lag("orders", 10, 12).in_flight, Lag("leads", 10, 8).in_flight) == (0, 2)
