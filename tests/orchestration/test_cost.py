"""`lake cost` on a ledger with windows: what it reads, and its sentences when there is nothing to price."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import psycopg
import pytest
from click.testing import CliRunner

from lake_assets import bucket
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import PartitionCount, WindowOutput
from lake_assets.cli.cost import command
from lake_assets.dbt.environment import manifest_path
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.month_figures import MonthFigures, month_figures, published_months
from lake_assets.ledger.publish import publish_windows
from lake_assets.project import read_files
from lake_assets.settings import Settings
from tests.operations.test_waiting_marts import MANIFEST

SALES, LEADS = "sales", "leads"


def output(window: str, raw: int = 10, good: int = 8, size: int = 1_000) -> WindowOutput:
    count = PartitionCount("shop.sales", 0, raw, good, 1, raw - good - 1, 0, 0, raw - 1)
    return WindowOutput(window, raw, (count,), (), (), size, ())


@pytest.fixture(scope="module")
def assets(lake: Settings) -> dict[str, Asset]:
    catalog = read_files(lake).assets
    return {name: catalog[name] for name in (SALES, LEADS)}


@pytest.fixture(scope="module")
def ledger(lake: Settings, assets: dict[str, Asset]) -> Iterator[Ledger]:
    """The ledger with windows of `sales` in two months, one of them made by Spark, and none of `leads`; no tables."""
    with Ledger(lake) as ledger:
        ledger.ensure_schema()
        ledger.save_contracts([(asset, read_files(lake).text(asset)) for asset in assets.values()])
        for window, engine in (("2026-10-30", "duckdb"), ("2026-11-01", "duckdb"), ("2026-11-03", "spark")):
            publish_windows(ledger, assets[SALES], 1, [output(window)], run_id="run", engine=engine, seconds=6.0)
        yield ledger


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def assert_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(LakeError) as raised:
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def figures(ledger: Ledger, assets: dict[str, Asset], month: str) -> list[MonthFigures]:
    return month_figures(ledger, list(assets.values()), month)


def test_month_has_its_windows_and_all_that_is_stored_by_then(ledger: Ledger, assets: dict[str, Asset]) -> None:
    assert figures(ledger, assets, "2026-11") == [
        MonthFigures(SALES, 20, 2, 2, "2026-11-03", 6.0, 3_000, 27, 3_000),
    ]
    assert figures(ledger, assets, "2026-10") == [MonthFigures(SALES, 10, 1, 1, "2026-10-30", 0.0, 1_000, 9, 1_000)]
    assert figures(ledger, assets, "2026-12") == [MonthFigures(SALES, 0, 0, 0, None, 0.0, 3_000, 27, 3_000)]
    assert figures(ledger, assets, "2026-09") == []
    assert published_months(ledger, list(assets.values())) == ("2026-10", "2026-11")


def test_windows_that_retention_removed_are_not_stored(ledger: Ledger, assets: dict[str, Asset]) -> None:
    """Raw is the dataset's, staging the asset's; a removal that is not done yet counts as stored."""
    with _removed(ledger, "dataset", "raw", "2026-10-30"), _removed(ledger, "asset", "staging", "2026-11-01"):
        (found,) = figures(ledger, assets, "2026-11")
        assert (found.raw_bytes, found.staging_rows, found.staging_raw_bytes) == (2_000, 18, 2_000)
        assert found.rows == 20
    with _removed(ledger, "dataset", "raw", "2026-10-30", done="null"):
        assert figures(ledger, assets, "2026-11")[0].raw_bytes == 3_000
    with _removed(ledger, "asset", "staging", "2026-10-30", done="null"):
        assert figures(ledger, assets, "2026-11")[0].staging_rows == 27
    with _removed(ledger, "asset", "quarantine", "2026-10-30"):
        assert figures(ledger, assets, "2026-11")[0].staging_rows == 27


@contextmanager
def _removed(ledger: Ledger, owner: str, element: str, window: str, done: str = "now()") -> Iterator[None]:
    ledger.connection.execute(
        f'insert into ledger.removal ({owner}, element, "window", sequence, rows, removed_at) '  # pyright: ignore
        f"values ('sales', '{element}', '{window}', 1, 10, {done})"
    )
    try:
        yield
    finally:
        ledger.connection.execute("delete from ledger.removal")


def test_days_of_windows_of_an_hour_are_counted_once(ledger: Ledger, assets: dict[str, Asset]) -> None:
    hourly = replace(assets[LEADS], window="hour")
    windows = ["2026-11-01-00:00", "2026-11-01-23:00", "2026-11-02-00:00"]
    publish_windows(ledger, hourly, 1, [output(w) for w in windows], run_id="run", engine="duckdb", seconds=1.0)
    try:
        (found,) = figures(ledger, {LEADS: hourly}, "2026-11")
        assert (found.windows, found.days, found.newest) == (3, 2, "2026-11-02-00:00")
    finally:
        ledger.connection.execute("delete from ledger.window where asset = 'leads'")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The statements that are executed. Any read of data or of the bucket fails."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("data was read")

    executed: list[object] = []
    execute = psycopg.Cursor.execute

    def counted(cursor: psycopg.Cursor, query: object, *rest: Any, **options: Any) -> psycopg.Cursor:
        executed.append(query)
        return execute(cursor, query, *rest, **options)  # pyright: ignore

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    monkeypatch.setattr(bucket, "opened", refused)
    monkeypatch.setattr(duckdb, "connect", refused)
    return executed


def test_cost_of_many_assets_takes_as_many_statements_as_of_one(
    ledger: Ledger, lake: Settings, assets: dict[str, Asset], statements: list[object]
) -> None:
    assert "sales in 2026-11: 20 events in windows of a day" in run(SALES, "--month", "2026-11", "--target", "aws")
    of_one = len(statements)
    text = read_files(lake).text(assets[SALES])
    for number in range(50):
        name = f"sales_{number}"
        crowd = replace(assets[SALES], dataset=name)
        ledger.save_contract(crowd, text.replace("shop.sales", f"shop.{name}").replace("name: sales", f"name: {name}"))
        publish_windows(ledger, crowd, 1, [output("2026-11-01")], run_id="run", engine="duckdb", seconds=1.0)
    statements.clear()
    try:
        shown = run("--month", "2026-11", "--target", "aws")
        assert len(statements) == of_one
        assert sum(line.startswith(" sales_") and line.split()[1] == "10" for line in shown.splitlines()) == 50
    finally:
        for table in ("contract", "window"):
            ledger.connection.execute(f"delete from ledger.{table} where asset like 'sales\\_%'")  # pyright: ignore


def test_lake_lists_only_assets_that_have_something(ledger: Ledger) -> None:
    shown = run("--month", "2026-11", "--target", "gcp", "--commit-seconds", "900")
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith(" sales")] == [["sales", "20"]]
    assert " leads" not in shown
    assert "LAKE_COMMIT_SECONDS=900, LAKE_MART_MINUTES=60" in shown


def test_marts_are_those_of_the_parsed_project(ledger: Ledger, lake: Settings) -> None:
    month = ("sales", "--month", "2026-11", "--target", "aws")
    path = manifest_path(lake)
    assert "Marts are not counted, because the dbt project was never parsed" in run(*month)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(MANIFEST), "utf-8")
    try:
        shown = run(*month)
    finally:
        path.unlink()
    assert "mart sales_data_mart.sales" in shown
    assert "Marts are not counted" not in shown


def test_what_cannot_be_priced_is_one_sentence(ledger: Ledger) -> None:
    assert_sentence(["lead"], "there is no asset 'lead': did you mean 'leads'?")
    assert_sentence(
        ["sales", "--month", "2026-12"],
        "no window of sales is in 2026-12: there are windows from 2026-10 to 2026-11. Choose a month, as in "
        "`--month 2026-11`.",
    )
    assert_sentence(["leads", "--month", "2026-11"], "no window of leads is published yet: send events")
    assert_sentence(["--month", "2025-01"], "no window of any asset is in 2025-01")
    assert_sentence(["sales", "--month", "11"], "'11' is not a month")


def test_month_is_the_current_one_by_default(ledger: Ledger) -> None:
    assert_sentence(["leads"], "no window of leads is published yet")
    assert_sentence(["sales"], f"no window of sales is in {datetime.now(UTC):%Y-%m}")


def test_empty_lake_is_one_sentence(ledger: Ledger) -> None:
    with _emptied(ledger, "window"):
        assert_sentence([], "no window of any asset is published yet: send events with `lake produce`")
        with _emptied(ledger, "contract"):
            assert_sentence([], "no contract is applied: write one with `lake new`, and run `lake apply`.")
            assert_sentence(["sales"], "the contract of 'sales' is not applied")


@contextmanager
def _emptied(ledger: Ledger, table: str) -> Iterator[None]:
    rows = f"create temporary table kept_{table} as select * from ledger.{table}; delete from ledger.{table}"
    ledger.connection.execute(rows)  # pyright: ignore
    try:
        yield
    finally:
        ledger.connection.execute(f"insert into ledger.{table} select * from kept_{table}")  # pyright: ignore
