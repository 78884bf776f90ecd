"""The run that follows from a queue: every window in it, and the marts behind their assets."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.ledger.ledger import Landed, Pending
from lake_assets.ledger.retries import Lane
from lake_assets.orchestration.assets import QUEUED_ONLY, conforming_definition, lane_of
from lake_assets.orchestration.keys import staging_key
from lake_assets.orchestration.run_requests import RETRY_AFTER, Graph, due, request_for
from lake_assets.orchestration.sensors import raw_events, raw_windows_sensor
from lake_assets.settings import load_settings

LEADS = Asset(
    "leads", "crm", "1.0.0", "", ("a@example.com",), (Field("at", FieldType("timestamp")),), (), "at", date(2020, 1, 1)
)  # fmt: skip
CONTRACTS = replace(LEADS, dataset="contracts")
HOURLY = replace(LEADS, dataset="clicks", window="hour")
ASSETS = {asset.name: asset for asset in (LEADS, CONTRACTS, HOURLY)}
FUNNEL = dg.AssetKey(["funnel_data_mart", "funnel"])
GRAPH = Graph({FUNNEL: frozenset([staging_key(LEADS), staging_key(CONTRACTS)])}, {FUNNEL: None})


def queued(asset: str, *windows: str) -> list[Pending]:
    now = datetime.now(UTC)
    return [Pending(n, asset, w, 1, "landed", 1, 1, 1, 0, 0, now, None) for n, w in enumerate(windows)]


def test_a_mart_joined_from_two_changed_assets_is_in_one_run() -> None:
    pending = [*queued("leads", "2026-01-02"), *queued("contracts", "2026-01-03")]
    request = request_for(pending, ASSETS, GRAPH, "fresh")
    keys = list(request.run.asset_selection or ())
    assert {staging_key(LEADS), staging_key(CONTRACTS)} <= set(keys)
    assert keys.count(FUNNEL) == 1


def test_an_asset_that_did_not_change_is_not_in_the_run() -> None:
    request = request_for(queued("leads", "2026-01-02"), ASSETS, GRAPH, "fresh")
    assert staging_key(CONTRACTS) not in (request.run.asset_selection or ())


def test_windows_of_any_time_and_size_share_a_run_that_names_none() -> None:
    pending = [*queued("leads", "0999-05-05", "2026-01-02", "9998-12-31"), *queued("clicks", "2026-01-02-10:00")]
    request = request_for(pending, ASSETS, GRAPH, "fresh")
    assert request.entries == pending
    assert request.run.partition_key is None
    assert set(request.run.tags) == {QUEUED_ONLY}


def test_a_run_of_windows_that_failed_leaves_marts_to_their_automation() -> None:
    request = request_for(queued("leads", "2026-01-02"), ASSETS, GRAPH, "retry")
    assert staging_key(LEADS) in (request.run.asset_selection or ())
    assert FUNNEL not in (request.run.asset_selection or ())


@pytest.mark.parametrize("lane", ["fresh", "retry", "both"])
def test_a_run_makes_the_lane_it_was_requested_for(lane: Lane) -> None:
    request = request_for(queued("leads", "2026-01-02"), ASSETS, GRAPH, lane)
    assert lane_of(request.run.tags) == lane


def test_dagster_loads_a_lake_of_hours_and_days() -> None:
    """One job of both was refused, so neither code server nor daemon started."""
    settings = load_settings()
    conforming = [conforming_definition(settings, asset) for asset in ASSETS.values()]
    sensor = raw_windows_sensor(settings, ASSETS, GRAPH, conforming)
    dg.Definitions(assets=conforming, sensors=[sensor]).get_repository_def().load_all_definitions()


def test_a_window_is_requested_again_when_its_run_did_not_make_it() -> None:
    """The run failed, or the tick that requested it ended before there was a run."""
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
    """All of raw is new to the other version, and Dagster would take old windows for changed ones."""
    newer = replace(LEADS, version="2.0.0")
    assets = {LEADS.name: LEADS, newer.name: newer}
    old, new = (Landed(window, sequence, 1, 1, 1, 0, 0) for sequence, window in enumerate(("2026-01-01", "2026-01-02")))
    landed = {LEADS.name: [old, new], newer.name: [new]}
    assert [event.partition for event in raw_events(assets, landed, {newer.name})] == ["2026-01-02"]
    assert [event.partition for event in raw_events(assets, landed, {LEADS.name})] == ["2026-01-01", "2026-01-02"]
