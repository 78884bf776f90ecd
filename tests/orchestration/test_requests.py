"""Which runs follow from a queue: newest windows first, few of them, and marts with the assets they are joined from."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.ledger.ledger import Landed, Pending
from lake_assets.orchestration.keys import staging_key
from lake_assets.orchestration.partitions import spans, window_partitions
from lake_assets.orchestration.sensors import RANGE_END, RANGE_START, RETRY_AFTER, Graph, due, raw_events, requests

LEADS = Asset(
    "leads", "crm", "1.0.0", "", ("a@example.com",), (Field("at", FieldType("timestamp")),), (), "at", date(2020, 1, 1)
)  # fmt: skip
CONTRACTS = replace(LEADS, dataset="contracts")
HOURLY = replace(LEADS, dataset="clicks", window="hour", start=date.today() - timedelta(days=3))
ASSETS = {asset.name: asset for asset in (LEADS, CONTRACTS, HOURLY)}
FUNNEL = dg.AssetKey(["funnel_data_mart", "funnel"])
GRAPH = Graph({FUNNEL: frozenset([staging_key(LEADS), staging_key(CONTRACTS)])}, {FUNNEL: None})
PARTITIONS = window_partitions(ASSETS.values())


def queued(asset: str, *windows: str) -> list[Pending]:
    now = datetime.now(UTC)
    return [Pending(n, asset, w, 1, "landed", 1, 1, 1, 0, 0, now, None) for n, w in enumerate(windows)]


def test_a_mart_joined_from_two_changed_assets_is_in_one_run() -> None:
    found = list(
        requests([*queued("leads", "2026-01-02"), *queued("contracts", "2026-01-03")], ASSETS, PARTITIONS, GRAPH)
    )
    (request,) = found
    keys = list(request.run.asset_selection or ())
    assert {staging_key(LEADS), staging_key(CONTRACTS)} <= set(keys)
    assert keys.count(FUNNEL) == 1
    assert (request.run.tags[RANGE_START], request.run.tags[RANGE_END]) == ("2026-01-02", "2026-01-03")


def test_an_asset_that_did_not_change_is_not_in_the_run() -> None:
    (request,) = requests(queued("leads", "2026-01-02"), ASSETS, PARTITIONS, GRAPH)
    assert staging_key(CONTRACTS) not in (request.run.asset_selection or ())


def test_the_newest_windows_come_first_and_a_late_one_in_a_run_of_its_own() -> None:
    found = list(requests(queued("leads", "2025-01-01", "2026-01-02", "2026-01-03"), ASSETS, PARTITIONS, GRAPH))
    assert [(r.run.tags[RANGE_START], r.run.tags[RANGE_END]) for r in found] == [
        ("2026-01-02", "2026-01-03"),
        ("2025-01-01", "2025-01-01"),
    ]


def test_every_queued_window_is_in_exactly_one_request() -> None:
    windows = [f"2026-0{month}-{day:02d}" for month in range(1, 8) for day in (1, 9, 17)]
    found = list(requests(queued("leads", *windows, "1999-05-05"), ASSETS, PARTITIONS, GRAPH))
    assert len(found) <= 3
    assert sorted(entry.window for request in found for entry in request.entries) == sorted([*windows, "1999-05-05"])


def test_hours_and_days_are_asked_for_apart() -> None:
    hour = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%d-%H:00")
    found = list(requests([*queued("clicks", hour), *queued("leads", "2026-01-02")], ASSETS, PARTITIONS, GRAPH))
    assert sorted(r.run.tags[RANGE_START] for r in found) == sorted([hour, "2026-01-02"])


def test_windows_from_before_the_contracts_start_still_get_a_run() -> None:
    (request,) = requests(queued("leads", "1999-05-05"), ASSETS, PARTITIONS, GRAPH)
    assert request.run.tags[RANGE_START] == "2020-01-01"
    assert [entry.window for entry in request.entries] == ["1999-05-05"]


def test_ranges_are_cut_at_the_widest_holes() -> None:
    days = ["2026-01-01", "2026-01-20", "2026-03-01", "2026-03-30"]
    assert spans(days, "day", PARTITIONS["day"], gap=7, most=2) == [
        ("2026-01-01", "2026-01-20"),
        ("2026-03-01", "2026-03-30"),
    ]


def test_the_window_that_the_broker_lets_producers_reach_is_a_partition() -> None:
    tomorrow = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d")
    assert tomorrow in PARTITIONS["day"].get_partition_keys()


def test_a_window_is_requested_again_when_its_run_did_not_make_it() -> None:
    """Its run failed, or the tick that requested it ended before there was a run."""
    now = datetime.now(UTC)
    new, waiting, failed, lost = (
        replace(entry, requested_at=asked)
        for entry, asked in zip(
            queued("leads", "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"),
            (None, now - timedelta(minutes=9), now - RETRY_AFTER, now - timedelta(minutes=2)),
            strict=True,
        )
    )
    entries = [new, waiting, failed, lost]
    assert due(entries, now, now - timedelta(minutes=3)) == [new, failed, lost]
    assert due(entries, now, now - timedelta(minutes=1)) == [new, failed]
    assert due(entries, now, None) == entries


def test_raw_windows_are_reported_by_a_version_that_knew_the_table() -> None:
    """To the other version all of raw is new, and Dagster would take old windows for ones that were added to."""
    newer = replace(LEADS, version="2.0.0")
    assets = {LEADS.name: LEADS, newer.name: newer}
    old, new = (Landed(window, sequence, 1, 1, 1, 0, 0) for sequence, window in enumerate(("2026-01-01", "2026-01-02")))
    landed = {LEADS.name: [old, new], newer.name: [new]}
    assert [event.partition for event in raw_events(assets, landed, {newer.name})] == ["2026-01-02"]
    assert [event.partition for event in raw_events(assets, landed, {LEADS.name})] == ["2026-01-01", "2026-01-02"]
