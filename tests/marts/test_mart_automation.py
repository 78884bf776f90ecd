"""Automatic builds of marts: scenarios, tick by tick."""

import threading
from collections.abc import Generator

import dagster as dg
import pytest

from lake_assets.orchestration.marts import mart_condition
from tests.support.conditions import wait_until

WINDOWS = dg.DynamicPartitionsDefinition(name="windows")
STAGING, OTHER, MART = dg.AssetKey("staging"), dg.AssetKey("other"), dg.AssetKey("mart")
OLD, NEW = "2024-01-03", "2026-03-01"


class Lake:
    """Two staging tables and a mart of both; `tick` is the automation sensor's evaluation."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.go_on = threading.Event()
        self.fails = False
        self.started = threading.Event()
        self._cursor = None
        self.define("select 1")
        assert self.tick() == 0

    def define(self, sql: str, with_mart: bool = True) -> None:
        """Reload the code location, as after a change of the mart's SQL."""

        @dg.asset(key=MART, deps=[STAGING, OTHER], automation_condition=mart_condition(), code_version=sql)
        def mart() -> None:
            self.started.set()
            assert self.go_on.wait(60)
            assert not self.fails

        tables = [dg.AssetSpec(key, partitions_def=WINDOWS) for key in (STAGING, OTHER)]
        self.defs = dg.Definitions([*tables, mart] if with_mart else tables)

    def tick(self) -> int:
        """Return the number of requested runs of the mart."""
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self._cursor)
        self._cursor = result.cursor
        return result.get_num_requested(MART)

    def publish(self, window: str = NEW, key: dg.AssetKey = STAGING) -> None:
        self.instance.add_dynamic_partitions("windows", [window])
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=window))

    def make_mart(self) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(MART))

    def run_mart(self) -> threading.Thread:
        """A run of the mart that goes on until `go_on` is set."""
        job = self.defs.resolve_implicit_global_asset_job_def()

        def execute() -> None:
            job.execute_in_process(instance=self.instance, asset_selection=[MART], raise_on_error=False)

        run = threading.Thread(target=execute)
        run.start()
        wait_until(self.started.is_set)
        return run


@pytest.fixture
def lake() -> Generator[Lake]:
    with dg.instance_for_test() as instance:
        yield Lake(instance)


def test_nothing_new_makes_nothing(lake: Lake) -> None:
    assert [lake.tick(), lake.tick()] == [0, 0]


@pytest.mark.parametrize("window", [OLD, NEW])
def test_a_window_that_is_published_alone_makes_the_mart_once(lake: Lake, window: str) -> None:
    """Late windows count as much as today's."""
    lake.publish(window)
    assert lake.tick() == 1
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]


def test_many_windows_of_both_tables_make_the_mart_once(lake: Lake) -> None:
    for day in range(1, 10):
        lake.publish(f"2026-02-0{day}")
        lake.publish(f"2026-02-0{day}", OTHER)
    assert lake.tick() == 1
    lake.make_mart()
    assert lake.tick() == 0


def test_a_run_that_makes_staging_and_mart_needs_no_second_one(lake: Lake) -> None:
    lake.publish()
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]


def test_a_run_of_staging_and_mart_across_a_tick_needs_no_second_run(lake: Lake) -> None:
    lake.make_mart()
    lake.tick()
    lake.go_on.clear()
    run = lake.run_mart()
    lake.publish()
    assert lake.tick() == 0, "the run that makes both is under way"
    lake.go_on.set()
    run.join()
    assert [lake.tick(), lake.tick()] == [0, 0]


def test_a_window_published_right_after_the_mart_in_one_tick_is_not_lost(lake: Lake) -> None:
    lake.make_mart()
    lake.publish()
    assert lake.tick() == 1


def test_a_window_that_is_published_between_asking_and_making_is_not_lost(lake: Lake) -> None:
    lake.publish()
    assert lake.tick() == 1
    lake.make_mart()
    lake.publish(OLD)
    assert lake.tick() == 1


def test_a_mart_that_fails_is_tried_once_for_each_change(lake: Lake) -> None:
    lake.publish()
    assert [lake.tick() for _ in range(5)] == [1, 0, 0, 0, 0]
    lake.publish(OLD)
    assert [lake.tick() for _ in range(5)] == [1, 0, 0, 0, 0]


def test_a_mart_whose_joint_run_failed_is_tried_again(lake: Lake) -> None:
    """Staging was published, then the run died before the mart."""
    lake.publish()
    lake.make_mart()
    assert lake.tick() == 0
    lake.publish()
    assert lake.tick() == 1


@pytest.mark.parametrize(("fails", "requested"), [(False, 0), (True, 1)], ids=["made", "failed"])
def test_a_window_that_comes_while_the_mart_is_made_waits_for_that_run(lake: Lake, fails: bool, requested: int) -> None:
    """A run that ends well has it too, because it makes the mart again until nothing changes meanwhile."""
    lake.fails = fails
    run = lake.run_mart()
    lake.publish()
    assert [lake.tick(), lake.tick()] == [0, 0]
    lake.go_on.set()
    run.join()
    assert [lake.tick(), lake.tick()] == [requested, 0]


def test_a_new_mart_is_made_once_when_there_is_something_to_read(lake: Lake) -> None:
    lake.define("select 1", with_mart=False)
    lake.publish(OLD)
    lake.tick()
    lake.define("select 1")
    assert [lake.tick(), lake.tick()] == [1, 0]
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]


def test_a_mart_whose_sql_changed_is_made_once_without_an_event(lake: Lake) -> None:
    lake.publish()
    lake.make_mart()
    lake.tick()
    lake.define("select 2")
    assert [lake.tick(), lake.tick()] == [1, 0]
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]


@pytest.mark.parametrize("is_running", [False, True])
def test_sql_that_changes_right_after_a_request_is_not_lost(lake: Lake, is_running: bool) -> None:
    """Regression guard: a model that was saved twice within seconds kept its first SQL until the next event."""
    lake.publish()
    assert lake.tick() == 1
    lake.make_mart()
    lake.tick()
    lake.define("select 2")
    assert lake.tick() == 1
    run = lake.run_mart() if is_running else None
    lake.define("select 3")
    assert lake.tick() == (0 if is_running else 1)
    lake.go_on.set()
    if run:
        run.join()
        assert lake.tick() == 1
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]


def test_a_mart_built_with_the_first_data_of_a_lake_is_not_rebuilt(lake: Lake) -> None:
    lake.publish()
    lake.make_mart()
    assert [lake.tick(), lake.tick()] == [0, 0]
