"""Two major versions of a dataset side by side: raw is one, all after it is each one's own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.catalog.parse import check_together
from lake_assets.catalog.problems import ContractError
from lake_assets.landing.files import window_rows
from lake_assets.ledger.audit import audit_windows
from lake_assets.ledger.ledger import Landed, Ledger, Pending
from lake_assets.ledger.window_states import window_states
from lake_assets.operations.erasure.execute import forget
from lake_assets.operations.erasure.search import plan_erasure, wanted_fields
from lake_assets.operations.retention import RetentionPlan, maintain, plan_retention
from lake_assets.orchestration.arrival_checks import evaluations
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.orchestration.keys import raw_key, staging_key
from lake_assets.orchestration.sensors import raw_events
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits, visit

NOW = datetime(2026, 2, 20, tzinfo=UTC)
RAW = (
    "customProperties:",
    "slaProperties: [{{property: retention, element: raw, value: {}, unit: d}}]\ncustomProperties:",
)


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    """Two old windows and a new one, each with a good row and one in quarantine."""
    made = make_visits(stack, tmp_path)
    made.land(*(visit(10 * day + n, day, door) for day in (1, 2, 15) for n, door in enumerate(("north", "south"))))
    made.refresh()
    return made


@pytest.fixture
def newer(visits: Visits) -> Visits:
    """The version 2 of the contract, which takes the south door too."""
    return visits.beside("[north]", "[north, south]")


def planned(versions: Sequence[Visits]) -> RetentionPlan:
    with Ledger(versions[0].settings) as ledger:
        warehouse = DuckLake(versions[0].settings)
        return plan_retention(versions[0].settings, ledger, warehouse, [one.asset for one in versions], NOW)


def problems(visits: Visits) -> list[str]:
    settings, asset = visits.settings, visits.asset
    with Ledger(settings) as ledger:
        found = audit_windows(
            window_states(ledger, asset), window_rows(settings, asset), DuckLake(settings).window_rows(asset)
        )
    return [f"{one.window}: {problem}" for one in found for problem in (*one.problems, *(["late"] if one.late else []))]


def test_each_version_judges_all_events_by_its_own_contract(visits: Visits, newer: Visits) -> None:
    newer.refresh()
    assert visits.staged() == ["v10", "v150", "v20"]
    assert newer.staged() == ["v10", "v11", "v150", "v151", "v20", "v21"]
    visits.land(visit(30, 3, "south"))
    for one in (visits, newer):
        one.refresh()
        assert one.in_balance()
    assert "v30" in newer.staged()
    assert "v30" not in visits.staged()
    assert problems(visits) == problems(newer) == []


def test_a_window_that_one_version_made_is_still_due_for_the_other(visits: Visits, newer: Visits) -> None:
    newer.refresh()
    visits.land(visit(30, 3))
    visits.refresh()
    assert [output.window for output in newer.refresh().published] == ["2026-02-03"]


def test_raw_stays_for_as_long_as_any_version_keeps_it(visits: Visits, newer: Visits) -> None:
    newer.refresh()
    visits.apply(RAW[0], RAW[1].format(10))
    assert planned([visits, newer]).removals == ()
    newer.apply(RAW[0], RAW[1].format(14))
    (removal,) = planned([visits, newer]).removals
    assert (removal.element, list(removal.rows), removal.kept.days) == ("raw", ["2026-02-01", "2026-02-02"], 14)


def test_raw_stays_until_every_version_has_made_the_window(visits: Visits, newer: Visits) -> None:
    for one in (visits, newer):
        one.apply(RAW[0], RAW[1].format(10))
    found = planned([visits, newer])
    assert found.removals == ()
    assert "2 windows from 2026-02-01 to 2026-02-02 stay until they are published" in found.kept_back[0]
    newer.refresh()
    assert len(planned([visits, newer]).removals) == 1


def test_what_retention_took_of_raw_is_accounted_for_in_every_version(visits: Visits, newer: Visits) -> None:
    newer.refresh()
    for one in (visits, newer):
        one.apply(RAW[0], RAW[1].format(10))
    assets = [visits.asset, newer.asset]
    with Ledger(visits.settings) as ledger:
        warehouse = DuckLake(visits.settings)
        maintain(visits.settings, ledger, warehouse, assets, NOW, planned([visits, newer]).checksum)
    assert set(window_rows(visits.settings, newer.asset)) == {"2026-02-15"}
    assert problems(visits) == problems(newer) == []
    third = newer.beside()
    third.refresh()
    assert third.staged() == ["v150", "v151"]
    assert problems(third) == []


def test_a_subject_is_erased_in_every_version_and_both_are_rebuilt(visits: Visits, newer: Visits) -> None:
    newer.refresh()
    made: list[tuple[str, str]] = []

    def make(pending: Sequence[Pending]) -> dict[str, str]:
        made.extend((entry.asset, entry.window) for entry in pending)
        return visits.refresh().failed | newer.refresh().failed

    with Ledger(visits.settings) as ledger:
        wanted = wanted_fields(visits.asset, ["v20"])
        checksum = plan_erasure(visits.settings, ledger, visits.asset, wanted).checksum
        forget(visits.settings, ledger, visits.asset, [newer.asset], wanted, checksum=checksum, force=False, build=make)
        assert {asset for asset, _ in made} == {visits.asset.name, newer.asset.name}
        assert {window for _, window in made} == {"2026-02-02"}
        assert ledger.pending([visits.asset.name, newer.asset.name]) == []
    assert visits.staged() == ["v10", "v150"]
    assert newer.staged() == ["v10", "v11", "v150", "v151", "v21"]
    for one in (visits, newer):
        assert one.in_balance()


def test_what_lands_in_raw_is_one_event_whichever_versions_read_it(visits: Visits, newer: Visits) -> None:
    assets = {one.asset.name: one.asset for one in (visits, newer)}
    old, new = sorted(assets)
    news, all_of_raw = [Landed("2026-02-15", 2, 1, 1, 1, 0, 0)], [Landed("2026-02-01", 1, 1, 1, 1, 0, 0)]
    events = list(raw_events(assets, {old: news, new: [*all_of_raw, *news]}, {old: "1.a.b"}))
    assert [(event.asset_key, event.partition) for event in events] == [(raw_key(visits.asset), "2026-02-15")]
    events = list(raw_events(assets, {old: news, new: news}, {old: "2.a.b", new: "2.a.b"}))
    assert len(events) == 1


def test_both_stand_in_the_graph_behind_one_topic_and_one_raw_table(visits: Visits) -> None:
    expected = "slaProperties: [{property: frequency, value: 1, unit: h}]\ncustomProperties:"
    visits.apply("customProperties:", expected)
    newer = visits.beside()
    settings = replace(visits.settings, catalog=visits.path.parent.parent)
    definitions = build_definitions(settings, read_files(settings))
    graph = definitions.resolve_asset_graph()
    staging = {staging_key(one.asset) for one in (visits, newer)}
    assert staging <= graph.materializable_asset_keys
    assert {key for key in graph.get_all_asset_keys() if key.path[0] == "raw"} == {raw_key(visits.asset)}
    dg.Definitions.validate_loadable(definitions)
    names = [name for name, _ in evaluations(settings, [visits.asset, newer.asset])]
    assert names == [f"{newer.asset.name}.frequency"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("partitions: 2", "partitions: 3", "partitions: 3, but 2 in"),
        ("window: day", "window: hour", "window: hour, but day in"),
        ("domain: ops", "domain: crm", "domain: crm, but ops in"),
    ],
)
def test_versions_that_share_a_raw_table_agree_on_it(visits: Visits, old: str, new: str, what: str) -> None:
    newer = visits.beside()
    newer.path.write_text(newer.path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(ContractError) as caught:
        check_together([visits.asset, newer.asset])
    assert what in str(caught.value)


def test_two_files_of_one_major_version_are_refused(visits: Visits) -> None:
    again = replace(visits.asset, version="1.4.0", path=visits.path.with_name("again.yaml"))
    with pytest.raises(ContractError, match="change one, or its major version"):
        check_together([visits.asset, again])
