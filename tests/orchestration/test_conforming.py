"""A conform run in Dagster, and a swap that fails: what is left in the queue and in the tables."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.assets import QUEUED_ONLY, conforming_definition
from lake_assets.orchestration.keys import conformed_key, quarantine_key, staging_key
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits, visit

DAYS = ("2026-02-01", "2026-02-02")


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    """Two windows that are due."""
    made = make_visits(lake, tmp_path)
    made.land(visit(1, 1), visit(2, 1, "south"), visit(3, 2))
    observe_all(made)
    return made


def observe_all(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        observe(visits.settings, ledger, [visits.asset], ledger.cursors())


def queued(visits: Visits) -> set[str]:
    with Ledger(visits.settings) as ledger:
        return {entry.window for entry in ledger.pending([visits.asset.name])}


def run(visits: Visits, instance: dg.DagsterInstance, day: str | None = None) -> bool:
    """One run of the asset's step, of the queue or of a named day; returns whether it succeeded."""
    tags = {} if day else {QUEUED_ONLY: "true"}
    definition = conforming_definition(visits.settings, visits.asset)
    done = dg.materialize([definition], instance=instance, partition_key=day, tags=tags, raise_on_error=False)
    return done.success


def test_window_leaves_the_queue_when_its_events_are_stored(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between the two would leave the marts behind the window without a reason to be built."""
    keys = [make(visits.asset) for make in (conformed_key, staging_key, quarantine_key)]
    stored: list[list[bool]] = []
    with dg.DagsterInstance.ephemeral() as instance:
        genuine = Ledger.dequeue_windows

        def dequeue(self: Ledger, asset: Asset, windows: Sequence[str], sequence: int) -> None:
            events = [instance.get_latest_materialization_event(key) for key in keys]
            stored.append([event is not None for event in events])
            genuine(self, asset, windows, sequence)

        monkeypatch.setattr(Ledger, "dequeue_windows", dequeue)
        assert run(visits, instance)
    assert stored == [[True, True, True]]
    assert queued(visits) == set()
    assert visits.staged() == ["v1", "v3"]


def test_what_landed_after_the_snapshot_that_was_read_stays_queued(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        [first] = {entry.sequence for entry in ledger.pending([visits.asset.name])}
        visits.land(visit(4, 1))
        observe(visits.settings, ledger, [visits.asset], ledger.cursors())
        ledger.dequeue_windows(visits.asset, DAYS, first)
        left = ledger.pending([visits.asset.name])
    assert [(entry.window, entry.sequence) for entry in left] == [(DAYS[0], first + 1)]


def test_snapshot_that_a_run_has_published_is_not_queued_again(visits: Visits) -> None:
    """A run may read a snapshot before the sensor has seen it."""
    visits.refresh()
    name = visits.asset.name
    with Ledger(visits.settings) as ledger:
        [known] = {entry.sequence for entry in ledger.windows(visits.asset)}
        ledger.record_landed({}, {name: [Landed(DAYS[0], known, 1, 1, 1, 0, 0)]})
        assert ledger.pending([name]) == []
        ledger.record_landed({}, {name: [Landed(DAYS[0], known + 1, 1, 1, 1, 0, 0)]})
        assert [entry.window for entry in ledger.pending([name])] == [DAYS[0]]


def test_window_that_passes_its_checks_is_held_back_no_longer(visits: Visits) -> None:
    check = "    quality: [{metric: rowCount, mustBeLessThan: 1}]\n    properties:"
    visits.apply("    properties:", check)
    assert [output.window for output in visits.refresh().held_back] == list(DAYS)
    visits.apply("mustBeLessThan: 1}", "mustBeLessThan: 9}")
    with Ledger(visits.settings) as ledger:
        assert [held.window for held in ledger.held_back(visits.asset)] == list(DAYS)
    visits.land(visit(4, 1))
    visits.refresh()
    with Ledger(visits.settings) as ledger:
        assert [held.window for held in ledger.held_back(visits.asset)] == [DAYS[1]]


def test_run_of_the_queue_makes_no_window_that_is_not_queued(visits: Visits) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(visits, instance)
        before = loaded(visits)
        assert run(visits, instance)
        assert loaded(visits) == before, "nothing was queued"
        assert run(visits, instance, DAYS[0])
    first, second = loaded(visits)
    assert (first > before[0], second) == (True, before[1]), "a backfill makes what it names"


def loaded(visits: Visits) -> list[Any]:
    return [at for _, at in visits.rows("visit_id, _loaded_at")]


def failing(visits: Visits, change: Callable[[WindowOutput], WindowOutput]) -> Sequence[WindowOutput]:
    """Return the output that a refresh of both windows would publish, the last one changed."""
    found: list[WindowOutput] = []

    class Stopped(Exception):
        pass

    def keep(_: DuckLake, __: Asset, outputs: Sequence[WindowOutput]) -> None:
        found.extend(outputs)
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckLake, "replace_windows", keep)
        with pytest.raises(Stopped):
            visits.refresh()
    return [*found[:-1], change(found[-1])]


@pytest.mark.parametrize("files", ["good_files", "quarantine_files"])
def test_swap_that_fails_at_its_last_file_changes_no_table(visits: Visits, files: str) -> None:
    visits.refresh()
    before = (visits.rows("visit_id, guests"), visits.kept())
    visits.land(visit(1, 1, guests=9, minute=1), visit(5, 1, "south"), visit(6, 2))
    outputs = failing(visits, lambda output: replace(output, **{files: ("/nowhere/missing.parquet",)}))
    with pytest.raises(LakeError):
        DuckLake(visits.settings).replace_windows(visits.asset, outputs)
    assert (visits.rows("visit_id, guests"), visits.kept()) == before
    visits.refresh()
    assert visits.rows("visit_id, guests") == [("v1", 9), ("v3", 1), ("v6", 1)]
    assert visits.in_balance()
