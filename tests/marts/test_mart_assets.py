"""The dbt project as Dagster sees and builds it."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.dbt.environment import dbt_state, manifest_path
from lake_assets.dbt.manifest import load_manifest, project_problem
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.definitions import mart_graph
from lake_assets.orchestration.in_process import stale_marts
from lake_assets.orchestration.marts import BUILD_LOCK, ROUNDS, Marts, ResidentDbt, mart_definitions
from lake_assets.orchestration.paced_marts import due_marts, read_builds
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.local.connection import connect
from tests.support.conditions import wait_until
from tests.support.mart_rows import fill_staging

FUNNEL, SALES = dg.AssetKey(["funnel_data_mart", "funnel"]), dg.AssetKey(["sales_data_mart", "sales"])
STAGING = dg.AssetKey(["sales_staging", "sales"])


@pytest.fixture
def marts(built: Settings, catalog: Mapping[str, Asset]) -> Marts:
    return mart_definitions(built, catalog)


@pytest.fixture
def sales_sql(lake: Settings) -> Generator[Path]:
    """The sales mart's model, which a test may change; it is as it was afterwards."""
    path = lake.dbt_project / "models" / "marts" / "sales_data_mart" / "sales.sql"
    text = path.read_text("utf-8")
    yield path
    path.write_text(text, "utf-8")


def build(marts: Marts, **options: Any) -> dg.ExecuteInProcessResult:
    resources = options.pop("resources", marts.resources)
    return dg.materialize(list(marts.assets), resources=resources, raise_on_error=False, **options)


def made(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey]:
    return {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key}


def test_a_mart_hangs_on_the_staging_tables_whose_models_it_reads(marts: Marts) -> None:
    [definition] = marts.assets
    assert dict(definition.asset_deps) == {
        SALES: {STAGING},
        FUNNEL: {dg.AssetKey(["leads_staging", "leads"]), dg.AssetKey(["contracts_staging", "contracts"])},
    }


def test_a_mart_has_a_description_an_owner_and_its_columns(marts: Marts) -> None:
    spec = marts.assets[0].get_asset_spec(SALES)
    assert (spec.group_name, spec.owners, spec.kinds) == ("sales_data_mart", ["team:sales"], {"dbt", "postgres"})
    assert (spec.description or "").startswith("Sales of each region and day")
    columns = spec.metadata["dagster/column_schema"].columns
    assert [(column.name, column.type) for column in columns][:2] == [("region", "string"), ("day", "date")]
    assert all(column.description for column in columns)
    assert spec.metadata["dagster/table_name"] == "serving.sales_data_mart.sales"


def test_dbts_tests_are_the_marts_checks(marts: Marts) -> None:
    checks = {(spec.asset_key, spec.name) for spec in marts.assets[0].check_specs}
    assert (SALES, "grain_sales_region__day") in checks
    assert (FUNNEL, "grain_funnel_origin__month") in checks


def test_marts_are_made_and_checked(marts: Marts) -> None:
    result = build(marts)
    assert result.success
    assert made(result) == {SALES, FUNNEL}
    evaluations = result.get_asset_check_evaluations()
    assert {evaluation.check_name for evaluation in evaluations} == {s.name for s in marts.assets[0].check_specs}
    assert all(evaluation.passed for evaluation in evaluations)


def test_each_build_of_a_mart_reports_the_lineage_of_its_columns(marts: Marts, built: Settings) -> None:
    for _ in range(2):
        result = build(marts, selection=[FUNNEL])
        [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == FUNNEL]
        lineage = event.step_materialization_data.materialization.metadata["dagster/column_lineage"].value
        sources = {name: [(d.asset_key, d.column_name) for d in deps] for name, deps in lineage.deps_by_column.items()}
        assert sources["origin"] == [(dg.AssetKey(["leads_staging", "leads"]), "origin")]
        assert (dg.AssetKey(["contracts_staging", "contracts"]), "amount") in sources["revenue_eur"]
        assert all(key in set(marts.assets[0].asset_deps[FUNNEL]) for deps in sources.values() for key, _ in deps)


def test_a_mart_is_behind_when_its_sql_changed_after_it_was_made(
    built: Settings, catalog: Mapping[str, Asset], marts: Marts, sales_sql: Path
) -> None:
    with dg.instance_for_test() as instance:
        build(marts, instance=instance)
        assert stale_marts(instance, mart_graph(marts.assets)) == []
        sales_sql.write_text(sales_sql.read_text("utf-8") + "\n-- another thought\n", "utf-8")
        changed = mart_definitions(built, catalog)
        assert stale_marts(instance, mart_graph(changed.assets)) == [SALES]


def test_only_the_marts_that_are_asked_for_are_made(marts: Marts) -> None:
    assert made(build(marts, selection=[FUNNEL])) == {FUNNEL}


def test_a_mart_without_its_staging_table_in_the_catalog_is_left_out(
    built: Settings, catalog: Mapping[str, Asset]
) -> None:
    """A user's own catalog has no leads, but the project still has the funnel."""
    only_sales = mart_definitions(built, {"sales": catalog["sales"]})
    assert {key for definition in only_sales.assets for key in definition.keys} == {SALES}
    result = build(only_sales)
    assert result.success
    assert made(result) == {SALES}
    assert mart_definitions(built, {}).assets == []


def test_a_mart_that_fails_a_test_is_made_and_has_a_failed_check(
    built: Settings, catalog: Mapping[str, Asset], sales_sql: Path
) -> None:
    doubled = sales_sql.read_text("utf-8").replace(
        "select * from final", "select * from final union all select * from final"
    )
    sales_sql.write_text(doubled, "utf-8")
    result = build(mart_definitions(built, catalog))
    assert result.success
    assert made(result) == {SALES, FUNNEL}
    assert [e.check_name for e in result.get_asset_check_evaluations() if not e.passed] == ["grain_sales_region__day"]


@pytest.mark.fault("a mart cannot be made", "its run fails with dbt's words; the other marts are made")
@pytest.mark.parametrize(
    ("broken", "column"), [(SALES, "sum(quantity)"), (FUNNEL, "count(closings.closed_at)")], ids=["sales", "funnel"]
)
def test_a_failed_mart_fails_the_run_with_dbts_error_and_others_are_built(
    built: Settings, catalog: Mapping[str, Asset], broken: dg.AssetKey, column: str
) -> None:
    """Regression: two models were written at once, and what failed the one took the other's connection with it."""
    path = built.dbt_project / "models" / "marts" / broken.path[0] / f"{broken.path[1]}.sql"
    text = path.read_text("utf-8")
    assert column in text
    path.write_text(text.replace(column, column.replace(")", "t)")), "utf-8")
    try:
        result = build(mart_definitions(built, catalog))
    finally:
        path.write_text(text, "utf-8")
    assert not result.success
    assert made(result) == {SALES, FUNNEL} - {broken}
    [failure] = result.get_step_failure_events()
    name = column[column.index("(") + 1 : -1].rpartition(".")[2] + "t"
    text = str(failure.step_failure_data.error)
    assert f"The model {'.'.join(broken.path)} was not built: " in text
    assert f"Column: {name}." in text
    assert f"Owner: {'team:sales' if broken == SALES else 'team:growth'}." in text
    assert f"Next step: correct {path}" in text
    assert f'"{column[column.index("(") + 1 : -1].rpartition(".")[2]}t"' in str(failure.step_failure_data.error)


class Meddling(ResidentDbt):
    """dbt during whose build a window with one sale is published after each read, `times` times."""

    times: int

    def cli(self, *args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["context"])
        call = super().cli(*args, **kwargs)
        if len(calls) <= self.times:
            genuine, number, instance = call.stream, len(calls), kwargs["context"].instance

            def stream() -> Iterator[Any]:
                yield from genuine()
                publish_sale(number)
                instance.report_runless_asset_event(dg.AssetMaterialization(STAGING, partition="2026-01-01"))

            call.stream = stream
        return call


calls: list[Any] = []


def publish_sale(number: int) -> None:
    with connect(load_settings()) as session:
        sold = "from lake.sales_staging.sales where order_id = 's1'"
        session.execute(f"insert into lake.sales_staging.sales select * replace ('late{number}' as order_id) {sold}")


@pytest.fixture
def sales_again(marts: Marts, built: Settings, catalog: Mapping[str, Asset]) -> Generator[None]:
    """Staging and mart are afterwards as they were."""
    yield
    fill_staging(built, [catalog["sales"]])
    assert build(marts, selection=[SALES]).success


def orders(settings: Settings) -> int:
    with psycopg.connect(settings.postgres.conninfo("analyst")) as session:
        row = session.execute("select sum(orders) from sales_data_mart.sales").fetchone()
    assert row
    return int(row[0])


@pytest.mark.usefixtures("sales_again")
@pytest.mark.parametrize(("times", "rounds"), [(0, 1), (1, 2), (99, ROUNDS)])
def test_a_window_that_is_published_while_a_mart_is_made_is_in_the_mart(
    marts: Marts, built: Settings, times: int, rounds: int
) -> None:
    """A window published during the last round is the exception: `mart_condition` rebuilds the mart for it."""
    calls.clear()
    given = marts.resources["dbt"]
    assert isinstance(given, ResidentDbt)
    before = orders(built)
    meddling = Meddling(**given.model_dump(), times=times)
    result = build(marts, resources={"dbt": meddling}, selection=[SALES])
    assert result.success
    assert made(result) == {SALES}
    assert len(calls) == rounds
    assert orders(built) == before + rounds - 1


@pytest.mark.usefixtures("sales_again")
def test_paced_mart_is_built_once_and_records_what_it_may_lack(built: Settings, catalog: Mapping[str, Asset]) -> None:
    """Each build in a cloud costs money, and the sensor `marts` builds it again after its pause."""
    calls.clear()
    paced = mart_definitions(replace(built, mart_minutes=60), catalog)
    given = paced.resources["dbt"]
    assert isinstance(given, ResidentDbt)
    graph = mart_graph(paced.assets)
    with dg.instance_for_test() as instance:
        meddling = Meddling(**given.model_dump(), times=99)
        result = build(paced, resources={"dbt": meddling}, selection=[SALES], instance=instance)
        assert result.success
        assert len(calls) == 1
        later = time.time() + 3600
        assert due_marts(graph, read_builds(instance, graph), {}, later, 60) == [SALES]
        assert build(paced, selection=[SALES], instance=instance).success
        assert due_marts(graph, read_builds(instance, graph), {}, later, 60) == []


def test_two_builds_wait_for_each_other(marts: Marts, built: Settings) -> None:
    calls.clear()
    given = marts.resources["dbt"]
    assert isinstance(given, ResidentDbt)
    watched = Meddling(**given.model_dump(), times=0)
    results: list[dg.ExecuteInProcessResult] = []
    with dg.instance_for_test() as instance:
        second = threading.Thread(
            target=lambda: results.append(
                build(marts, resources={"dbt": watched}, selection=[SALES], instance=instance)
            )
        )
        # As a run in another pod holds it: only Postgres is common to both.
        with Ledger(built) as ledger, ledger.locked(BUILD_LOCK):
            second.start()
            wait_until(lambda: bool(instance.get_runs()))
            second.join(2)
            assert second.is_alive()
            assert calls == []
        second.join()
    assert len(calls) == 1
    assert results[0].success


def test_what_a_run_leaves_behind_is_cleared_when_it_succeeds(marts: Marts, built: Settings) -> None:
    runs = dbt_state(built) / "runs"
    before = set(runs.iterdir()) if runs.exists() else set()
    assert build(marts).success
    assert set(runs.iterdir()) <= before


def test_neither_loading_nor_building_marts_imports_dbt(built: Settings) -> None:
    """dbt costs each Dagster process 2.5 s; a library that starts to import it again must be noticed."""
    code = """
import sys
import dagster as dg
from lake_assets.orchestration.marts import mart_definitions
from lake_assets.project import read_files
from lake_assets.settings import load_settings

settings = load_settings()
marts = mart_definitions(settings, read_files(settings).assets)
loaded = [name for name in ("dbt", "dbt.version", "dbt_common", "boto3") if name in sys.modules]
result = dg.materialize(list(marts.assets), resources=marts.resources)
print("loaded", loaded, "built", result.success, "dbt" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loaded [] built True False" in done.stdout, done.stderr


def test_dagster_dbt_still_takes_a_dbt_that_was_imported_before(built: Settings) -> None:
    code = "import dbt.version, dbt.adapters.base, lake_assets.dbt.dagster_dbt_import, sys; print(sys.modules['dbt'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "module 'dbt'" in done.stdout


def test_the_manifest_is_rebuilt_only_when_the_project_changed(built: Settings) -> None:
    load_manifest(built)
    made_at = manifest_path(built).stat().st_mtime_ns
    assert "model.lake.extra" not in load_manifest(built)["nodes"]
    assert manifest_path(built).stat().st_mtime_ns == made_at
    extra = built.dbt_project / "models" / "marts" / "sales_data_mart" / "extra.sql"
    extra.write_text("{{ config(contract={'enforced': false}) }} select 1 as one", "utf-8")
    try:
        assert "model.lake.extra" in load_manifest(built)["nodes"]
    finally:
        extra.unlink()
    assert "model.lake.extra" not in load_manifest(built)["nodes"]


def test_another_project_is_parsed_although_its_files_are_older(built: Settings, tmp_path: Path) -> None:
    assert "model.lake.sales" in load_manifest(built)["nodes"]
    other = tmp_path / "dbt"
    shutil.copytree(built.dbt_project, other, ignore=shutil.ignore_patterns("target", "logs", "sales_data_mart"))
    for path in (other, *other.rglob("*")):
        os.utime(path, (0, 0))
    try:
        assert "model.lake.sales" not in load_manifest(replace(built, dbt_project=other))["nodes"]
    finally:
        assert "model.lake.sales" in load_manifest(built)["nodes"]


def test_a_model_that_cannot_be_parsed_leaves_the_last_state_running(
    built: Settings, catalog: Mapping[str, Asset], sales_sql: Path
) -> None:
    before = load_manifest(built)
    sales_sql.write_text("select * from {{ ref('stg_salez') }}", "utf-8")
    assert load_manifest(built) == before
    words = r"cannot be parsed: .*stg_salez.* The last state that could be parsed stays in use"
    assert re.search(words, problem(built))
    # A change in the same tick of the kernel's clock as the look at it is looked at again, once.
    load_manifest(built)
    looked_at = manifest_path(built).with_suffix(".failed").stat().st_mtime_ns
    assert build(mart_definitions(built, catalog)).success
    assert manifest_path(built).with_suffix(".failed").stat().st_mtime_ns == looked_at, "dbt was asked again"


def test_a_fixed_project_is_the_one_that_runs(built: Settings) -> None:
    load_manifest(built)
    assert problem(built) == ""


def test_a_project_that_never_could_be_parsed_has_no_marts(
    built: Settings, catalog: Mapping[str, Asset], sales_sql: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(built.dbt_project, project)
    (project / sales_sql.relative_to(built.dbt_project)).write_text("{{ ref('stg_salez') }}", "utf-8")
    fresh = replace(built, home=tmp_path / "lake", dbt_project=project)
    assert mart_definitions(fresh, catalog).assets == []
    assert re.search(r"stg_salez.* No mart is built", problem(fresh))


def problem(settings: Settings) -> str:
    return project_problem(settings) or ""
