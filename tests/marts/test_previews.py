"""Drafts on real rows without a server: the views that they read, the judge of their SQL, and the difference."""

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.compile.ddl import create_table, staging_columns
from lake_assets.compile.preview_view import hidden_keys, preview_columns
from lake_assets.dbt import drafts
from lake_assets.dbt.drafts import Draft, DraftError, compile_draft, compile_environment, judge_draft
from lake_assets.errors import Unavailable
from lake_assets.operations.previews import MartDiff, PreviewError, Sample, compare, diff_mart, preview_model
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.warehouse.local.connection import lock_session
from lake_assets.warehouse.local.preview_session import Session, make_views, one_sentence
from lake_assets.warehouse.results import QueryError

SECRET = "ann@example.com"
TEXT = FieldType("string")
PEOPLE = Asset(
    "people", "crm", "1.0.0", "People.", ("crm@example.com",),
    (Field("id", TEXT), Field("email", TEXT, classification="personal"), Field("town", TEXT)), ("id",), None,
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a lake that was never started."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    monkeypatch.delenv("LAKE_PREVIEW_ANALYSTS", raising=False)
    return load_settings()


@pytest.fixture
def session(tmp_path: Path) -> Generator[Session]:
    """The session of a preview of PEOPLE, locked, whose staging table is in memory."""
    with duckdb.connect() as session:
        session.execute("attach ':memory:' as staged; create schema staged.people_staging")
        session.execute(create_table("staged.people_staging.people", staging_columns(PEOPLE)))
        session.execute(
            "insert into staged.people_staging.people by name select 'p1' as id, $1 as email, 'Bonn' as town, "
            "json_object('mail', $1)::varchar as _extra",
            [SECRET],
        )
        make_views(session, [PEOPLE])
        lock_session(session, f"file://{tmp_path}")
        yield session


def rows(session: Session, sql: str) -> str:
    """Return columns and rows of a query that the judge lets run, as text."""
    judge_draft("mine", sql, [PEOPLE])
    with one_sentence():
        result = session.execute(sql)
        return f"{[column[0] for column in result.description or ()]} {result.fetchall()}"


@pytest.mark.parametrize("command", [preview_model, diff_mart])
def test_only_analysts_of_the_setting_may_and_by_default_none(
    settings: Settings, command: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PreviewError, match=r"ann may not read real rows .* LAKE_PREVIEW_ANALYSTS"):
        command(settings, "funnel", "ann", 5)
    monkeypatch.setenv("LAKE_PREVIEW_ANALYSTS", "ben anna")
    with pytest.raises(PreviewError, match="ann may not"):
        command(load_settings(), "funnel", "ann", 5)
    # The check is passed: what this lake lacks is its Postgres, where the use would be recorded.
    with pytest.raises(Unavailable, match="has no Postgres yet"):
        command(load_settings(), "funnel", "ben", 5)
    with pytest.raises(PreviewError, match="on a cloud target"):
        command(replace(load_settings(), target="gcp"), "funnel", "ben", 5)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from lake.people_staging.people",
        "select people from lake.people_staging.people",
        "select columns(*) from lake.people_staging.people",
        "select to_json(p), p::varchar, struct_pack(a := p), hash(p) from lake.people_staging.people as p",
        "select k, v from (select columns(*)::varchar from lake.people_staging.people) unpivot (v for k in (*))",
    ],
)
def test_confidential_column_is_in_no_row_of_a_preview(session: Session, sql: str) -> None:
    shown = rows(session, sql)
    assert "Bonn" in shown
    assert SECRET not in shown
    assert "email" not in shown


@pytest.mark.parametrize("column", ["email", "lower(email)", "people.email", "_extra", "rowid"])
def test_confidential_column_cannot_be_named_in_a_preview(session: Session, column: str) -> None:
    with pytest.raises(QueryError) as raised:
        rows(session, f"select {column} from lake.people_staging.people")
    assert SECRET not in str(raised.value)


def test_unknown_fields_are_hidden_of_assets_with_confidential_fields_only() -> None:
    open_asset = replace(PEOPLE, fields=PEOPLE.fields[::2])
    assert "_extra" in preview_columns(open_asset)
    assert {"email", "_extra"}.isdisjoint(preview_columns(PEOPLE))
    assert preview_columns(PEOPLE)[:2] == ("id", "town")
    assert (hidden_keys(PEOPLE), hidden_keys(replace(PEOPLE, key=("email",)))) == ((), ("email",))


@pytest.mark.parametrize(
    "sql",
    [
        "select * from staged.people_staging.people",
        'select * from "STAGED".people_staging.people',
        "select * from __ducklake_metadata_staged.ducklake.ducklake_table",
        "select * from lake.people_staging.people_quarantine",
        "select * from serving.ledger.contract",
        "select * from lake.information_schema.tables",
        "select * from read_text('/etc/passwd')",
        "select * from read_parquet('bucket/raw/*.parquet')",
        "select * from 'bucket/raw/a.parquet'",
        "select * from duckdb_views()",
        "select * from postgres_query('serving', 'select 1')",
        "select * from query('from staged.people_staging.people')",
        # A generated model is a file of the working tree, too.
        "with __dbt__cte__stg_people as (select * from read_text('/etc/passwd')) select * from __dbt__cte__stg_people",
        "attach 'other.duckdb' as other",
        "copy (select 1) to 'file.csv'",
        "select 1; select 2",
    ],
)
def test_draft_that_reads_files_or_other_tables_is_refused(sql: str) -> None:
    with pytest.raises(DraftError, match=r"^the model mine "):
        judge_draft("mine", sql, [PEOPLE])


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/passwd')",
        "attach 'other.duckdb' as other",
        "set enable_external_access = true",
        "load httpfs",
    ],
)
def test_session_of_a_preview_is_locked_whatever_the_judge_lets_pass(session: Session, sql: str) -> None:
    with pytest.raises(QueryError), one_sentence():
        session.execute(sql)


def test_text_of_a_draft_reads_no_variable_with_a_secret(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "LAKE_POSTGRES_DSN", "LAKE_TOKEN_KEY", "LAKE_DBT_SCHEMA"):
        monkeypatch.setenv(name, "hidden")
    environment = compile_environment(settings, tmp_path)
    assert "hidden" not in environment.values()
    assert {"PATH", "LAKE_HOME", "DBT_TARGET_PATH"} <= set(environment)


def test_draft_of_the_working_tree_is_compiled_and_judged_without_server(settings: Settings, tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT / "dbt_project", tmp_path / "project"))
    settings = replace(settings, dbt_project=project)
    assets = list(read_files(settings).assets.values())
    funnel = project / "models/marts/funnel_data_mart/funnel.sql"
    funnel.write_text(funnel.read_text("utf-8") + "-- a draft", "utf-8")
    draft = compile_draft(settings, "funnel", assets)
    assert (draft.schema, draft.table, draft.grain) == ("funnel_data_mart", "funnel", ("origin", "month"))
    assert draft.sql.endswith("-- a draft")
    assert {asset.name for asset in draft.assets} == {"leads", "contracts"}

    # dbt does not judge generated models.
    (project / "models/staging/leads/stg_leads.sql").write_text("select * from read_text('/etc/passwd')", "utf-8")
    with pytest.raises(DraftError, match="the model stg_leads calls read_text in line 1"):
        compile_draft(settings, "stg_leads", assets)


SOURCE = {"schema": "people_staging", "name": "people", "identifier": "people"}


def node(name: str, parent: str, materialized: str = "table") -> dict[str, object]:
    return {
        "name": name, "resource_type": "model", "path": f"marts/{name}.sql", "raw_code": "", "schema": "a_data_mart",
        "alias": name, "config": {"materialized": materialized}, "depends_on": {"nodes": [parent]},
        "compiled_code": "select * from lake.people_staging.people",
    }  # fmt: skip


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have dbt compile `inner`, which reads a source with confidential fields, and `outer`, which contains it."""
    nodes = {"model.inner": node("inner", "source.people", "ephemeral"), "model.outer": node("outer", "model.inner")}
    nodes["model.broken"] = {**node("broken", "model.none"), "compiled_code": None}
    manifest = {"nodes": nodes, "sources": {"source.people": SOURCE}}
    monkeypatch.setattr(drafts, "_compile", lambda *_: (manifest, "it has no end"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("inner", "inner reads the staging table of people, which has confidential fields .email.*leaves them out.$"),
        ("outer", "inner reads the staging table of people, "),
        ("broken", "dbt could not compile the model broken: it has no end"),
        ("inne", "no model 'inne': did you mean 'inner'"),
    ],
)
def test_draft_that_no_build_would_take_is_refused(
    settings: Settings, compiled: None, name: str, sentence: str
) -> None:
    with pytest.raises(DraftError, match=sentence):
        compile_draft(settings, name, [PEOPLE])


def test_name_of_a_model_is_no_selection_of_dbt(settings: Settings) -> None:
    with pytest.raises(DraftError, match=r"'\+funnel' is no name of a model"):
        compile_draft(settings, "+funnel", [])


SHARED = (
    "(values ('web', 1, 10.50, 'a'), ('phone', 1, 3.00, 'b'), ('mail', 2, 5.00, null)) as t (origin, month, eur, old)"
)


def difference(sql: str, limit: int = 5, change: str = "") -> MartDiff:
    with duckdb.connect() as session:
        session.execute(
            "attach ':memory:' as serving; create table serving.t as select origin, month, eur::decimal(9, 2) as eur, "
            f"old from {SHARED}"
        )
        session.execute(change)
        return compare(session, Draft("t", "a_data_mart", "t", sql, ("origin", "month"), ()), "serving.t", limit)


def test_diff_counts_rows_by_the_grain_and_changes_by_column() -> None:
    diff = difference(
        "select * from (values ('web', 1, 10.504, 'x'), ('phone', 1, 4, 'y'), (null, 1, 1, 'z')) as n "
        "(origin, month, eur, new) -- the last line is a comment"
    )
    assert (diff.added, diff.removed, diff.changed, diff.same) == (1, 1, 1, 1)
    assert diff.changed_by_column == {"eur": 1}
    assert (diff.added_columns, diff.removed_columns) == (("new",), ("old",))
    assert set(diff.samples) == {
        Sample("added", (None, "1"), None, None, None),
        Sample("removed", ("mail", "2"), None, None, None),
        Sample("changed", ("phone", "1"), "eur", "3.00", "4.000"),
    }


def test_value_that_the_shared_type_cannot_hold_is_a_change() -> None:
    diff = difference("select origin, month, 'many' as eur, old from serving.t")
    assert diff.changed_by_column == {"eur": 3}
    assert difference("from serving.t").changed == 0
    # Cast to the shared type, this text would be null as the shared value is.
    numbers = "create or replace table serving.t as select 'mail' as origin, 2 as month, null::integer as eur"
    lost = difference("select origin, month, 'many' as eur from serving.t", change=numbers)
    assert lost.changed_by_column == {"eur": 1}


def test_rows_whose_key_is_null_are_matched() -> None:
    same = difference("from serving.t", change="update serving.t set origin = null where origin = 'web'")
    assert (same.added, same.removed, same.same) == (0, 0, 3)


def test_samples_are_bounded_for_each_kind_and_column() -> None:
    diff = difference("select origin, month, eur + 1 as eur, old || '!' as old from serving.t", limit=1)
    assert diff.changed_by_column == {"eur": 3, "old": 2}
    assert [(sample.kind, sample.column) for sample in diff.samples] == [("changed", "eur"), ("changed", "old")]
    assert difference("from serving.t limit 1", limit=0).samples == ()


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("from serving.t union all from serving.t", "draft of t has 3 keys more than once"),
        ("select origin from serving.t", "draft of t has no column month, which is in its grain"),
    ],
)
def test_diff_needs_a_key_once_and_the_columns_of_the_grain(sql: str, sentence: str) -> None:
    with pytest.raises(PreviewError, match=sentence):
        difference(sql)
