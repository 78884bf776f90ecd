"""`lake preview` and `lake diff` on a lake with rows: what they show, and the record of each use in the ledger."""

import json
from collections.abc import Generator, Mapping
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from lake_assets.catalog.model import Asset
from lake_assets.cli import diff, preview
from lake_assets.compile.sql import identifier
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.preview_session import preview_session

SECRET = "ann@example.com"


@pytest.fixture(scope="module")
def _applied(session_lake: Settings, catalog: Mapping[str, Asset]) -> Generator[None]:
    """The examples as applied contracts, and a confidential value in each lead."""
    with Ledger(session_lake) as ledger:
        ledger.ensure_schema()
        files = (session_lake.catalog / "assets").glob("*.yaml")
        texts = {path.stem: path.read_text("utf-8") for path in files}
        ledger.save_contracts([(asset, texts[name]) for name, asset in catalog.items()])
    with connect(session_lake, serving=False) as session:
        session.execute(f"update lake.leads_staging.leads set email = '{SECRET}'")
    yield
    with connect(session_lake, serving=False) as session:
        session.execute("update lake.leads_staging.leads set email = null")
    with psycopg.connect(session_lake.postgres.conninfo("lake")) as postgres:
        postgres.execute("truncate ledger.contract, ledger.preview")


@pytest.fixture
def lake_of_ann(built: Settings, _applied: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_PREVIEW_ANALYSTS", "ann")
    return load_settings()


@pytest.fixture
def draft(lake_of_ann: Settings) -> Generator[Path]:
    """A file of a model in the working tree, and the text of the mart `sales` as it was."""
    sales = lake_of_ann.dbt_project / "models/marts/sales_data_mart/sales.sql"
    text, path = sales.read_text("utf-8"), sales.with_name("people.sql")
    yield path
    sales.write_text(text, "utf-8")
    path.unlink(missing_ok=True)


def run_preview(*arguments: str) -> Result:
    return CliRunner().invoke(preview.command, [*arguments, "--as", "ann"])


def uses(lake: Settings) -> list[tuple]:
    with psycopg.connect(lake.postgres.conninfo("lake")) as session:
        return session.execute(
            "select analyst, command, model, rows, ended_at is not null, os_user <> '', query like '%_staging%' "
            "from ledger.preview order by id"
        ).fetchall()


def test_preview_shows_real_rows_and_each_use_is_recorded(lake_of_ann: Settings) -> None:
    before = len(uses(lake_of_ann))
    shown = run_preview("stg_leads", "--limit", "3", "--json")
    assert shown.exit_code == 0, shown.exception
    rows = json.loads(shown.stdout)
    assert (len(rows), "email" in rows[0], rows[0]["country"]) == (3, False, "DE")
    assert SECRET not in shown.stdout
    assert "There are more than 3 rows" in shown.stderr
    assert uses(lake_of_ann)[before:] == [("ann", "preview", "stg_leads", 3, True, True, True)]


def test_refused_analyst_reads_and_records_nothing(lake_of_ann: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = uses(lake_of_ann)
    monkeypatch.delenv("LAKE_PREVIEW_ANALYSTS")
    for command in (preview.command, diff.command):
        refused = CliRunner().invoke(command, ["funnel", "--as", "ann"])
        assert isinstance(refused.exception, LakeError)
        assert "LAKE_PREVIEW_ANALYSTS" in str(refused.exception)
    assert uses(lake_of_ann) == before


def test_use_that_fails_is_recorded_without_rows(lake_of_ann: Settings, draft: Path) -> None:
    before = len(uses(lake_of_ann))
    draft.write_text("select email from {{ ref('stg_leads') }}", "utf-8")
    failed = run_preview("people")
    assert "email" in str(failed.exception)
    assert SECRET not in str(failed.exception)
    assert [use[2:5] for use in uses(lake_of_ann)[before:]] == [("people", None, False)]


def test_session_of_a_preview_writes_nothing_and_reads_as_an_analyst(
    lake_of_ann: Settings, catalog: Mapping[str, Asset]
) -> None:
    refused = (
        "delete from staged.leads_staging.leads",
        "delete from serving.sales_data_mart.sales",
        "select * from serving.ledger.contract",
        "select email from lake.leads_staging.leads",
    )
    for statement in refused:
        with pytest.raises(LakeError), preview_session(lake_of_ann, [catalog["leads"]]) as session:
            session.execute(statement).fetchall()
    with preview_session(lake_of_ann, [catalog["leads"]]) as session:
        assert session.execute("select count(*) from serving.sales_data_mart.sales").fetchall() != [(0,)]


def test_control_characters_of_rows_are_printed_as_escapes(lake_of_ann: Settings, draft: Path) -> None:
    draft.write_text("select chr(27) || '[2J' as origin from {{ ref('stg_leads') }}", "utf-8")
    shown = run_preview("people", "--limit", "1")
    assert "\\x1b[2J" in shown.stdout
    assert "\x1b" not in shown.stdout + run_preview("people", "--json").stdout


def test_diff_of_a_mart_has_its_changed_rows_and_none_if_unchanged(lake_of_ann: Settings, draft: Path) -> None:
    sales = draft.with_name("sales.sql")
    same = json.loads(CliRunner().invoke(diff.command, ["sales", "--as", "ann", "--json"]).stdout)
    assert (same["added"], same["removed"], same["changed"], same["samples"]) == (0, 0, 0, [])
    total, column = same["same"], "orders"
    assert total > 0
    text = sales.read_text("utf-8")
    assert text.rstrip().endswith("select * from final")
    changed = f"select * replace ({identifier(column)} + 1 as {identifier(column)}) from final where region <> 'south'"
    sales.write_text(text.rstrip().removesuffix("select * from final") + changed, "utf-8")
    shown = json.loads(CliRunner().invoke(diff.command, ["sales", "--as", "ann", "--json", "--limit", "2"]).stdout)
    assert shown["added"] == 0
    assert shown["removed"] + shown["changed"] == total
    assert shown["changed_by_column"] == {column: shown["changed"]}
    assert [sample["kind"] for sample in shown["samples"]].count("removed") == 2
    table = CliRunner().invoke(diff.command, ["sales", "--as", "ann"]).stdout
    assert "sales_data_mart.sales, by region" in table
    assert uses(lake_of_ann)[-1][:3] == ("ann", "diff", "sales")
