"""A window that fails is recorded with its cause and next try, and costs neither other windows nor other assets."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

import lake_assets.conform.duckdb as conforming
import lake_assets.operations.refresh.select as selecting
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.cli.why import command as why_command
from lake_assets.errors import LakeError
from lake_assets.landing.files import files
from lake_assets.ledger.failures import known_failures, try_now
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import ALL, FIRST_PAUSE, Failure
from lake_assets.operations.refresh import Refresh, observe
from lake_assets.orchestration.assets import EVERY_WINDOW_MADE, QUEUED_ONLY, conforming_definition
from lake_assets.orchestration.run_requests import Graph
from lake_assets.orchestration.sensors import raw_windows_sensor
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.lane_runs import run, run_and_die
from tests.support.visits import Visits, make_visits, visit

DAYS = [f"2026-02-{day:02d}" for day in range(1, 13)]
WRONG = "quality: [{type: sql, name: odd, query: select no_such_column from conformed, mustBe: 0}]\n    properties:"


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    """Twelve windows that have landed."""
    made = make_visits(lake, tmp_path)
    made.land(*(visit(day, day) for day in range(1, 13)))
    return made


def failures(visits: Visits) -> Mapping[str, Failure]:
    with Ledger(visits.settings) as ledger:
        return {one.window: one for one in known_failures(ledger, [visits.asset.name])}


def ask_again(visits: Visits, set_aside: bool = True) -> None:
    with Ledger(visits.settings) as ledger:
        try_now(ledger, [visits.asset.name], set_aside)


def published(made: Refresh) -> list[str]:
    return [output.window for output in made.published]


def test_common_cause_is_found_once_and_all_windows_wait(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    genuine = conforming.conform

    def counted(asset: Asset, windows: Sequence[object], *rest: object) -> tuple[WindowOutput, ...]:
        attempts.append(len(windows))
        return genuine(asset, windows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(conforming, "conform", counted)
    visits.apply("properties:", WRONG)
    assert sorted(run(visits, "fresh").causes) == DAYS
    assert attempts == [12, 1, 1, 1]
    whole = failures(visits)[ALL]
    assert (whole.tries, whole.next_try) == (1, None)
    assert "no_such_column" in whole.cause
    visits.land(visit(13, 13))
    for lane in ("fresh", "retry", "both"):
        assert run(visits, lane).causes == {}
    assert len(attempts) == 4
    ask_again(visits, set_aside=False)
    assert run(visits, "both").causes == {}
    # Asked for, one window is tried for all.
    ask_again(visits)
    assert run(visits, "both").causes
    assert attempts == [12, 1, 1, 1, 1]
    assert failures(visits)[ALL].tries == 2
    visits.apply(WRONG, "properties:")
    ask_again(visits)
    assert sorted(published(run(visits, "retry"))) == [*DAYS, "2026-02-13"]
    assert failures(visits) == {}
    assert visits.in_balance()


def test_window_that_fails_waits_while_the_others_are_made(visits: Visits) -> None:
    (broken,) = files(visits.settings, visits.asset, DAYS[4:5]).by_window[DAYS[4]]
    content = Path(broken.path).read_bytes()
    Path(broken.path).write_bytes(b"no Parquet")
    assert len(published(run(visits, "fresh"))) == 11
    first = failures(visits)
    assert first.keys() == {DAYS[4]}
    visits.land(visit(20, 5), visit(21, 6))
    assert published(run(visits, "fresh")) == [DAYS[5]]
    assert failures(visits) == first
    ask_again(visits, set_aside=False)
    run(visits, "retry")
    second = failures(visits)[DAYS[4]]
    assert second.tries == 2
    assert second.next_try is not None
    assert first[DAYS[4]].next_try is not None
    assert second.next_try - second.failed_at > first[DAYS[4]].next_try - first[DAYS[4]].failed_at  # type: ignore[operator]
    Path(broken.path).write_bytes(content)
    ask_again(visits, set_aside=False)
    assert published(run(visits, "retry")) == [DAYS[4]]
    assert failures(visits) == {}
    assert visits.in_balance()


def test_window_that_the_warehouse_refuses_fails_alone(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = DuckLake.replace_windows

    def refuse(self: DuckLake, asset: Asset, outputs: Collection[WindowOutput]) -> None:
        if DAYS[2] in [output.window for output in outputs]:
            raise LakeError("the table refuses it.")
        genuine(self, asset, outputs)  # type: ignore[arg-type]

    monkeypatch.setattr(DuckLake, "replace_windows", refuse)
    assert sorted(published(run(visits, "fresh"))) == [day for day in DAYS if day != DAYS[2]]
    assert failures(visits).keys() == {DAYS[2]}
    monkeypatch.undo()
    ask_again(visits)
    run(visits, "retry")
    assert visits.in_balance()


def test_run_that_fails_as_a_whole_is_recorded_for_all_windows(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no route to the bucket\nand more")

    monkeypatch.setattr(selecting, "files", fail)
    with pytest.raises(OSError, match="no route"):
        run(visits, "fresh")
    whole = failures(visits)[ALL]
    assert whole.cause == "OSError: no route to the bucket"
    assert whole.next_try is not None
    monkeypatch.undo()
    assert run(visits, "fresh").published == []
    ask_again(visits, set_aside=False)
    assert len(published(run(visits, "retry"))) == 12
    assert failures(visits) == {}


def test_window_that_kills_its_process_fails_alone_and_is_named(visits: Visits) -> None:
    killer, others = DAYS[5], [day for day in DAYS if day != DAYS[5]]
    assert run_and_die(visits, "fresh", killer)
    why = CliRunner().invoke(why_command, [visits.asset.name, killer], catch_exceptions=False).output
    assert "its run ended without a result" in why
    # Any of them may have done it: each is tried at once, by itself, and none of them in the runs of what is new.
    assert failures(visits).keys() == set(DAYS)
    visits.land(visit(30, 13))
    assert published(run(visits, "fresh")) == ["2026-02-13"]
    assert run_and_die(visits, "retry", killer)
    assert published(run(visits, "retry")) == others[5:]
    # Those before it were published by the run that died, and had not left the queue.
    assert published(run(visits, "fresh")) == others[:5]
    (failure,) = failures(visits).values()
    assert (failure.window, failure.tries) == (killer, 2)
    assert failure.next_try is not None
    assert failure.next_try - failure.failed_at == FIRST_PAUSE
    ask_again(visits)
    assert published(run(visits, "retry")) == [killer]
    assert failures(visits) == {}
    assert visits.in_balance()


def test_failing_asset_is_tried_beside_the_runs_of_others(visits: Visits, tmp_path: Path) -> None:
    """A run of the queue would wait for windows that fail, and a second one is not requested meanwhile."""
    folder = tmp_path / "good"
    folder.mkdir()
    good = make_visits(visits.settings, folder)
    visits.apply("properties:", WRONG)
    run(visits, "fresh")
    ask_again(visits)
    assets = {one.asset.name: one.asset for one in (visits, good)}
    steps = [conforming_definition(visits.settings, asset) for asset in assets.values()]
    sensor = raw_windows_sensor(visits.settings, assets, Graph({}, {}), steps)
    definitions = dg.Definitions(assets=steps, sensors=[sensor])

    def tick(instance: dg.DagsterInstance) -> dict[str, set[str]]:
        """The schemas of the tables that each requested run makes, by lane."""
        good.land(visit(1, 1))
        with dg.build_sensor_context(instance, definitions=definitions) as context:
            requests = sensor.evaluate_tick(context).run_requests or ()
        for request in requests:
            instance.add_run(dg.DagsterRun("made", tags=request.tags, status=dg.DagsterRunStatus.STARTED))
        return {r.tags[QUEUED_ONLY]: {key.path[0] for key in r.asset_selection or ()} for r in requests}

    def end(instance: dg.DagsterInstance, lane: str) -> None:
        (ended,) = [run for run in instance.get_runs() if run.tags[QUEUED_ONLY] == lane]
        instance.delete_run(ended.run_id)

    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(instance) == {
            "true": {"conformed", good.asset.staging_schema},
            "retry": {"conformed", visits.asset.staging_schema},
        }
        # Both run.
        assert tick(instance) == {}
        end(instance, "true")
        assert tick(instance) == {"true": {"conformed", good.asset.staging_schema}}
        # The try was requested: its run may be on its way, although none is seen.
        end(instance, "retry")
        assert tick(instance) == {}
        ask_again(visits)
        retry = {"retry": {"conformed", visits.asset.staging_schema}}
        assert tick(instance) == retry
        # Due again during a run of that lane.
        ask_again(visits)
        assert tick(instance) == {}
        end(instance, "retry")
        end(instance, "true")
        # `lake run` makes both.
        instance.add_run(dg.DagsterRun("made", tags={QUEUED_ONLY: "both"}, status=dg.DagsterRunStatus.STARTED))
        assert tick(instance) == {}
        end(instance, "both")
        assert tick(instance) == {"true": {"conformed", good.asset.staging_schema}} | retry


def test_run_that_makes_no_window_materializes_nothing(visits: Visits) -> None:
    """The run succeeds, because a failed run would be retried at once; the check is red."""
    visits.apply("properties:", WRONG)
    with Ledger(visits.settings) as ledger:
        observe(visits.settings, ledger, [visits.asset], ledger.cursors())
    step = conforming_definition(visits.settings, visits.asset)
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([step], instance=instance, tags={QUEUED_ONLY: "true"}, raise_on_error=False)
    assert done.success
    assert done.get_asset_materialization_events() == []
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (EVERY_WINDOW_MADE, False)
    assert "no_such_column" in str(check.description)
